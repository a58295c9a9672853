package events2

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// Connection is a SingleStore database as a Library uses it, for services
// that bring a transaction type TX and a database type DB of their own. The
// others use [DB].
type Connection[TX eventdb.BasicTX, Database eventdb.BasicDB[TX]] struct {
	*eventdb.Connection[eventmodels.BinaryEventID, TX, Database]
	sequence *sequence
	close    func() error
}

// DB is a SingleStore database with transactions of type [*Tx]. It
// belongs to one Library; wrap the pool once more for another.
type DB = Connection[*Tx, *Pool]

var _ eventmodels.AbstractDB[eventmodels.BinaryEventID, *Tx] = (*DB)(nil)

// DefaultMaxConnections is the size of the pool that [Open] makes: the 20
// handlers that a Library runs at once by default, and some for the rest of
// the service.
const DefaultMaxConnections = 25

// config is what options set.
type config struct {
	settings   eventdb.Settings
	lockPrefix string

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

// WithLockPrefix is the lockPrefix of [New], for [Open] and [Wrap]; "" by
// default.
func WithLockPrefix(prefix string) Option { return func(c *config) { c.lockPrefix = prefix } }

// WithMarkWait bounds how long an exactly-once delivery waits for another one
// of the same event; then it gives its connection back and is tried again
// later. 10 s by default, and for values that are not positive.
func WithMarkWait(d time.Duration) Option { return func(c *config) { c.settings.MarkWait = d } }

// WithMigrate makes [Open] run [Migrate]. For Open only: [Wrap] and [New] have
// no context to do it in.
func WithMigrate() Option { return func(c *config) { c.migrate = true } }

// WithMaxConnections limits the pool that [Open] makes;
// [DefaultMaxConnections] by default. The library has up to six connections
// besides. For Open only.
func WithMaxConnections(n int) Option {
	return func(c *config) { c.maxConnections = max(n, 1) }
}

// product is the server's name in messages.
const product = "SingleStore"

// Open opens a database by its data source name (as of go-sql-driver/mysql:
// user:password@tcp(host:3306)/database), with a pool of its own, and asks it
// whether it answers. The caller closes the result.
//
// Where the name does not say otherwise, the parameters of statements are put
// into their text (interpolateParams), which saves two of three round trips.
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
	closeSequence := db.close
	db.close = func() error { return errors.Join(closeSequence(), pools.Close()) }
	return db, nil
}

// Wrap makes a database of a pool that the application has opened with the
// driver github.com/go-sql-driver/mysql. The pool remains the application's:
// it closes it, after the Library has stopped.
//
// The driver does not tell how connections of the pool are made, so that the
// library takes those that it needs out of it: up to five for the relay, which
// it keeps until that stops, and one to draw numbers with, which it keeps until
// Close. The pool should have a limit of ten or more, or none. With [Open] the
// library has its own.
//
// It panics if pool is nil or an option is for Open only.
func Wrap(pool *sql.DB, opts ...Option) *DB {
	if pool == nil {
		panic("events2.Wrap: the *sql.DB is nil")
	}
	return connectTo[*Tx](&Pool{pool}, newConfig(opts))
}

// New makes a database of a type of the application's own, with transactions
// of the application's own type; see eventdb for what they need. *sql.DB with
// *sql.Tx will do, if events are produced with ProduceTx only.
//
// lockPrefix names the rows of events_key_locks that transactions lock: all
// services that produce events for a scope (a library's prefix) give the same,
// and "" will do; those with another one do not wait for these, and have no
// order with them.
//
// The library takes connections out of db, which must have the method Conn of
// *sql.DB; types that embed a *sql.DB have it. See [Wrap] for the rest, and [Tx]
// for what it does about lock timeouts: transactions of another type must be
// rolled back after these, so a function given to Transact must return such an
// error.
func New[TX eventdb.BasicTX, Database eventdb.BasicDB[TX]](db Database, lockPrefix string, opts ...Option) *Connection[TX, Database] {
	return connectTo[TX](db, newConfig(append(slices.Clone(opts), WithLockPrefix(lockPrefix))))
}

func connectTo[TX eventdb.BasicTX, Database eventdb.BasicDB[TX]](db Database, settings config) *Connection[TX, Database] {
	if settings.migrate || settings.maxConnections != 0 {
		panic("events2: WithMigrate and WithMaxConnections are for Open; call Migrate and SetMaxOpenConns yourself")
	}
	return connect[TX](db, mysqldb.ConnOf(db), mysqldb.KeptConnections+1, settings)
}

// connect: kept is the number of connections that source takes from db.
func connect[TX eventdb.BasicTX, Database eventdb.BasicDB[TX]](db Database, source mysqldb.Source, kept int, settings config) *Connection[TX, Database] {
	// What a common row lock does elsewhere it does not do here: its partition
	// is another one than the outbox's.
	settings.settings.KeyLocks = true
	d := dialect{source: source, sequence: newSequence(source, settings.lockPrefix), maxConnections: mysqldb.LimitOf(db, kept)}
	return &Connection[TX, Database]{
		Connection: eventdb.NewConnection[eventmodels.BinaryEventID, TX](db, d, settings.settings),
		sequence:   d.sequence,
		close:      func() error { d.sequence.close(); return nil },
	}
}

// Transact implements [eventmodels.CanTransact].
func (c *Connection[TX, Database]) Transact(ctx context.Context, fn func(TX) error) error {
	if err := c.sequence.connect(ctx); err != nil {
		return err
	}
	return c.Connection.Transact(ctx, fn)
}

// TransactOnce implements [eventmodels.AbstractDB].
func (c *Connection[TX, Database]) TransactOnce(ctx context.Context, marks []eventmodels.Mark, fn func(tx TX, fresh []bool) error) error {
	if err := c.sequence.connect(ctx); err != nil {
		return err
	}
	return c.Connection.TransactOnce(ctx, marks, fn)
}

// Close closes what [Open] has opened. Of a database that was given to [Wrap] or
// [New] it closes the one connection that draws numbers.
func (c *Connection[TX, Database]) Close() error { return c.close() }
