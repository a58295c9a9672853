package eventpg

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

// Connection is a PostgreSQL database as a Library uses it, for services that
// bring a transaction type TX and a database type DB of their own. The others
// use [DB].
type Connection[TX eventdb.BasicTX, Database eventdb.BasicDB[TX]] struct {
	*eventdb.Connection[eventmodels.StringEventID, TX, Database]
	close func() error
}

// DB is a PostgreSQL database with transactions of type [*Tx]. It belongs to
// one Library; wrap the pool once more for another.
type DB = Connection[*Tx, *Pool]

var _ eventmodels.AbstractDB[eventmodels.StringEventID, *Tx] = (*DB)(nil)

// DefaultMaxConnections is the size of the pool that [Open] makes: the 20
// handlers that a Library runs at once by default, and some for the rest of
// the service.
const DefaultMaxConnections = 25

// config is what options set.
type config struct {
	settings eventdb.Settings

	// Of Open only.
	migrate        bool // default: the tables are there
	maxConnections int  // 0: DefaultMaxConnections
}

func newConfig(opts []Option) config {
	var c config
	for _, opt := range opts {
		opt(&c)
	}
	return c
}

// Option is a setting of [Open], [Wrap], [WrapPool] and [New].
type Option func(*config)

// WithKeyLocks makes the order of commits per key hold for transactions that
// have no row lock in common: just before a transaction stores its events it
// takes an advisory lock for each of their keys (hashed to 256) until it ends.
// Transactions with events of one key then commit one after the other. All
// services that produce for the topics concerned must use it. Off by default.
func WithKeyLocks() Option { return func(c *config) { c.settings.KeyLocks = true } }

// WithMarkWait bounds how long an exactly-once delivery waits for another one
// of the same event; then it gives its connection back and is tried again
// later. 10 s by default, and for values that are not positive.
func WithMarkWait(d time.Duration) Option { return func(c *config) { c.settings.MarkWait = d } }

// WithMigrate makes [Open] run [Migrate]. For Open only: [Wrap] and [New] have
// no context to do it in.
func WithMigrate() Option { return func(c *config) { c.migrate = true } }

// WithMaxConnections limits the pool that [Open] makes;
// [DefaultMaxConnections] by default. The relay has up to six connections
// besides. For Open only.
func WithMaxConnections(n int) Option {
	return func(c *config) { c.maxConnections = max(n, 1) }
}

// Open opens a database by its URL or key=value string (as of libpq and pgx),
// with a pool of its own, and asks it whether it answers. The caller closes
// the result.
//
// The error says which server could not be reached or what it refused; it
// never has a password in it. Tables that are missing are an error when they
// are first used; see [WithMigrate] and [CheckSchema].
func Open(ctx context.Context, dsn string, opts ...Option) (*DB, error) {
	settings := newConfig(opts)
	native, err := parse(dsn)
	if err != nil {
		return nil, err
	}
	limit := cmp.Or(settings.maxConnections, DefaultMaxConnections)
	pool := sql.OpenDB(Connector(stdlib.GetConnector(*native)))
	pool.SetMaxOpenConns(limit)
	pool.SetMaxIdleConns(limit)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(explainConnect(native, err), pool.Close())
	}
	if settings.migrate {
		if err := Migrate(ctx, pool); err != nil {
			return nil, errors.Join(err, pool.Close())
		}
	}
	db := connect[*Tx](&Pool{pool}, fixedSource(native), settings)
	db.close = pool.Close
	return db, nil
}

// parse never returns an error that quotes dsn, since there is no telling what
// in a broken one is the password.
func parse(dsn string) (*pgx.ConnConfig, error) {
	native, err := pgx.ParseConfig(dsn)
	if err == nil && !strayPassword(dsn) && !strayURL(native) {
		return native, nil
	}
	var file *fs.PathError
	if errors.As(err, &file) {
		return nil, fmt.Errorf("the PostgreSQL connection string names a file that cannot be read: %w", file)
	}
	return nil, errors.New("the PostgreSQL connection string cannot be read; write it as postgres://user:password@host:5432/database?sslmode=require, " +
		"with %-escapes for special characters of the password, or as key=value pairs (host, port, user, password, dbname)")
}

// strayURL says whether a setting has a name that none can have: a URL with a
// slash or a colon too few is read as one, password and all, and the server
// would quote it.
func strayURL(native *pgx.ConnConfig) bool {
	for name := range native.RuntimeParams {
		if strings.ContainsAny(name, ":/@") {
			return true
		}
	}
	return false
}

// strayPassword says whether a URL has an "@" outside of its place, because a
// special character of the password is not escaped. Such a URL can be read,
// with a part of the password as the name of the host or the database, which
// errors quote.
func strayPassword(dsn string) bool {
	_, rest, isURL := strings.Cut(dsn, "://")
	if !isURL {
		return false
	}
	rest, _, _ = strings.Cut(rest, "?") // values of parameters may have one
	if i := strings.IndexAny(rest, "@/"); i >= 0 {
		rest = rest[i+1:]
	}
	return strings.Contains(rest, "@")
}

// Wrap makes a database of a pool that the application has opened, with pgx's
// driver ("pgx" in sql.Open, or stdlib.OpenDB). The pool remains the
// application's: it closes it, after the Library has stopped. [Connector] saves
// its transactions round trips.
//
// The relay has connections of its own, made with the settings of the pool's.
// What the application does to new connections (stdlib.OptionAfterConnect) is
// not repeated on them: the library's tables must be found by the search_path
// of the connection string or of the database user.
//
// It panics if pool is nil or an option is for Open only.
func Wrap(pool *sql.DB, opts ...Option) *DB {
	if pool == nil {
		panic("eventpg.Wrap: the *sql.DB is nil")
	}
	return New[*Tx](&Pool{pool}, opts...)
}

// WrapPool makes a database of a pgx pool that the application has opened.
// Transactions of the database and of its handlers take their connections from
// the pool, wait there like everybody else, and give them back when they end;
// [Tx.Native] is the pool's own connection. The pool's MaxConns is what limits
// exactly-once handlers, which leave two connections to the rest of the
// service, if there are that many.
//
// The relay has connections of its own beside the pool's, made with its
// settings and its BeforeConnect, so that neither can starve the other. What
// its other hooks do to connections (AfterConnect, PrepareConn) is not
// repeated on them: the library's tables must be found by the search_path of
// the connection string or of the database user.
//
// The pool remains the application's: it closes it, after the Library has
// stopped and the result was closed. Close of the result leaves the pool open.
//
// It panics if pool is nil or an option is for Open only.
func WrapPool(pool *pgxpool.Pool, opts ...Option) *DB {
	if pool == nil {
		panic("eventpg.WrapPool: the *pgxpool.Pool is nil")
	}
	settings := forWrapping(opts)
	facade := sql.OpenDB(Connector(stdlib.GetPoolConnector(pool)))
	facade.SetMaxIdleConns(0) // it keeps no connection of its own
	facade.SetMaxOpenConns(int(pool.Config().MaxConns))
	db := connect[*Tx](&Pool{facade}, nativeSource(pool), settings)
	db.close = facade.Close
	return db
}

// nativeSource does not take a connection of the pool, of which there may be
// only one.
func nativeSource(pool *pgxpool.Pool) source {
	return func(ctx context.Context) (*pgx.ConnConfig, error) {
		config := pool.Config() // a copy
		if config.BeforeConnect != nil {
			if err := config.BeforeConnect(ctx, config.ConnConfig); err != nil {
				return nil, err
			}
		}
		return config.ConnConfig, nil
	}
}

// forWrapping refuses what only Open can do.
func forWrapping(opts []Option) config {
	settings := newConfig(opts)
	if settings.migrate || settings.maxConnections != 0 {
		panic("eventpg: WithMigrate and WithMaxConnections are for Open; call Migrate and set the pool's size yourself")
	}
	return settings
}

// New makes a database of a type of the application's own, with transactions
// of the application's own type; see eventdb for what they need. *sql.DB with
// *sql.Tx will do, if events are produced with ProduceTx only.
//
// For the relay, db must have the method Conn of *sql.DB; types that embed a
// *sql.DB have it. The driver must be pgx's. See [Wrap] for the rest.
func New[TX eventdb.BasicTX, Database eventdb.BasicDB[TX]](db Database, opts ...Option) *Connection[TX, Database] {
	return connect[TX](db, poolSource(db), forWrapping(opts))
}

func connect[TX eventdb.BasicTX, Database eventdb.BasicDB[TX]](db Database, source source, settings config) *Connection[TX, Database] {
	d := dialect{source: source, maxConnections: func() int { return 0 }}
	if counted, ok := any(db).(interface{ Stats() sql.DBStats }); ok {
		d.maxConnections = func() int { return counted.Stats().MaxOpenConnections }
	}
	return &Connection[TX, Database]{
		Connection: eventdb.NewConnection[eventmodels.StringEventID, TX](db, d, settings.settings),
		close:      func() error { return nil },
	}
}

// Close closes the pool that [Open] has opened. A pool that was given to [Wrap],
// [WrapPool] or [New] stays open.
func (c *Connection[TX, Database]) Close() error { return c.close() }

// A source says how connections of the store's own are made.
type source func(context.Context) (*pgx.ConnConfig, error)

func fixedSource(config *pgx.ConnConfig) source {
	return func(context.Context) (*pgx.ConnConfig, error) { return config.Copy(), nil }
}

// poolSource looks at a connection of the application's pool.
func poolSource(db any) source {
	return func(ctx context.Context) (*pgx.ConnConfig, error) {
		pool, ok := db.(interface {
			Conn(context.Context) (*sql.Conn, error)
		})
		if !ok {
			return nil, fmt.Errorf("the relay needs connections of its own, and %T does not say how they are made; "+
				"embed a *sql.DB in it, or give it the method Conn(context.Context) (*sql.Conn, error)", db)
		}
		conn, err := pool.Conn(ctx)
		if err != nil {
			return nil, err
		}
		native, err := nativeConn(conn)
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return native.Config(), conn.Close()
	}
}
