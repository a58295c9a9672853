package eventmysql

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// Connection is a MySQL or MariaDB database as a Library uses it, for services
// that bring a transaction type TX and a database type DB of their own. The
// others use [DB].
type Connection[TX eventdb.BasicTX, Database eventdb.BasicDB[TX]] struct {
	*eventdb.Connection[eventmodels.BinaryEventID, TX, Database]
	close func() error
}

// DB is a MySQL or MariaDB database with transactions of type [*Tx]. It
// belongs to one Library; wrap the pool once more for another.
type DB = Connection[*Tx, *Pool]

var _ eventmodels.AbstractDB[eventmodels.BinaryEventID, *Tx] = (*DB)(nil)

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
	if c.settings.MarkWait <= 0 {
		c.settings.MarkWait = eventdb.DefaultMarkWait
	}
	return c
}

// Option is a setting of [Open], [Wrap] and [New].
type Option func(*config)

// WithKeyLocks makes the order of commits per key hold for transactions that
// have no row lock in common: just before a transaction stores its events it
// locks, for each of their keys (hashed to 256), a row of events_key_locks
// until it ends. Transactions with events of one key then commit one after the
// other. All services that produce for the topics concerned must use it. Off
// by default.
func WithKeyLocks() Option { return func(c *config) { c.settings.KeyLocks = true } }

// WithMarkWait bounds how long an exactly-once delivery waits for another one
// of the same event; then it gives its connection back and is tried again
// later. 10 s by default, and for values that are not positive. [Open] sets
// the pool's innodb_lock_wait_timeout to it (in whole seconds), unless the data
// source name does.
func WithMarkWait(d time.Duration) Option { return func(c *config) { c.settings.MarkWait = d } }

// WithMigrate makes [Open] run [Migrate]. For Open only: [Wrap] and [New] have
// no context to do it in.
func WithMigrate() Option { return func(c *config) { c.migrate = true } }

// WithMaxConnections limits the pool that [Open] makes;
// [DefaultMaxConnections] by default. The relay has up to five connections
// besides. For Open only.
func WithMaxConnections(n int) Option {
	return func(c *config) { c.maxConnections = max(n, 1) }
}

// product is the server's name in messages.
const product = "MySQL"

// Open opens a database by its data source name (as of go-sql-driver/mysql:
// user:password@tcp(host:3306)/database), with a pool of its own, and asks it
// whether it answers. The caller closes the result.
//
// Where the name does not say otherwise, the parameters of statements are put
// into their text (interpolateParams), which saves two of three round trips,
// and innodb_lock_wait_timeout is that of [WithMarkWait].
//
// The error says which server could not be reached or what it refused; it
// never has a password in it. Tables that are missing are an error when they
// are first used; see [WithMigrate] and [CheckSchema].
func Open(ctx context.Context, dsn string, opts ...Option) (*DB, error) {
	settings := newConfig(opts)
	native, err := mysqldb.ParseDSN(product, dsn)
	if err != nil {
		return nil, err
	}
	wait := (settings.settings.MarkWait + time.Second - 1) / time.Second
	mysqldb.SetDefault(native, "innodb_lock_wait_timeout", strconv.FormatInt(int64(wait), 10))
	pools, err := mysqldb.OpenPools(ctx, product, native, cmp.Or(settings.maxConnections, DefaultMaxConnections))
	if err != nil {
		return nil, err
	}
	if settings.migrate {
		if err := Migrate(ctx, pools.Application); err != nil {
			return nil, errors.Join(err, pools.Close())
		}
	}
	db := connect[*Tx](&Pool{pools.Application}, pools.Conn, 0, settings)
	db.close = pools.Close
	return db, nil
}

// Wrap makes a database of a pool that the application has opened with the
// driver github.com/go-sql-driver/mysql. The pool remains the application's:
// it closes it, after the Library has stopped.
//
// The driver does not tell how connections of the pool are made, so that the
// relay takes those that it needs, up to five, out of it and keeps them until
// it stops: the pool should have a limit of ten or more, or none. With [Open]
// the relay has its own.
//
// It panics if pool is nil or an option is for Open only.
func Wrap(pool *sql.DB, opts ...Option) *DB {
	if pool == nil {
		panic("eventmysql.Wrap: the *sql.DB is nil")
	}
	return New[*Tx](&Pool{pool}, opts...)
}

// New makes a database of a type of the application's own, with transactions
// of the application's own type; see eventdb for what they need. *sql.DB with
// *sql.Tx will do, if events are produced with ProduceTx only.
//
// For the relay, db must have the method Conn of *sql.DB; types that embed a
// *sql.DB have it. See [Wrap] for the rest, and [Tx] for what it does about
// deadlocks and lock timeouts: transactions of another type must be rolled back
// after these, so a function given to Transact must return such an error.
func New[TX eventdb.BasicTX, Database eventdb.BasicDB[TX]](db Database, opts ...Option) *Connection[TX, Database] {
	settings := newConfig(opts)
	if settings.migrate || settings.maxConnections != 0 {
		panic("eventmysql: WithMigrate and WithMaxConnections are for Open; call Migrate and SetMaxOpenConns yourself")
	}
	return connect[TX](db, mysqldb.ConnOf(db), mysqldb.KeptConnections, settings)
}

// connect: kept is the number of connections that source takes from db.
func connect[TX eventdb.BasicTX, Database eventdb.BasicDB[TX]](db Database, source mysqldb.Source, kept int, settings config) *Connection[TX, Database] {
	d := dialect{source: source, maxConnections: mysqldb.LimitOf(db, kept)}
	return &Connection[TX, Database]{
		Connection: eventdb.NewConnection[eventmodels.BinaryEventID, TX](db, d, settings.settings),
		close:      func() error { return nil },
	}
}

// Close closes the pool that [Open] has opened. It does nothing for a database
// that was given to [Wrap] or [New].
func (c *Connection[TX, Database]) Close() error { return c.close() }
