package eventsqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

// DefaultMaxConnections is the size of the pool that [Open] makes: one writes,
// the others read meanwhile. What waits for the write lock has no connection.
const DefaultMaxConnections = 16

// A Connection is an SQLite database as a Library uses it. Most services have
// a [DB], from [Open] or [Wrap]; the type parameters are for those that bring
// a transaction type of their own.
type Connection[TX eventdb.BasicTX, Database eventdb.BasicDB[TX]] struct {
	*eventdb.Connection[eventmodels.StringEventID, TX, Database]
	markWait time.Duration
	close    func() error
}

// DB is an SQLite database with transactions of type [*Tx]. It belongs to one
// Library; wrap its *sql.DB once more for another.
type DB = Connection[*Tx, *Pool]

var (
	_ eventmodels.AbstractDB[eventmodels.StringEventID, *Tx] = (*DB)(nil)
	_ eventdb.BasicDB[*Tx]                                   = (*Pool)(nil)
)

// Option is a setting of a connection.
type Option func(*options)

type options struct {
	eventdb.Settings

	// Of Open only.
	migrate        bool // default: the tables are there
	maxConnections int  // default: DefaultMaxConnections
}

func optionsOf(opts []Option) options {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if o.MarkWait <= 0 {
		o.MarkWait = eventdb.DefaultMarkWait
	}
	return o
}

// WithMarkWait bounds how long an exactly-once delivery waits for the
// database's write lock, which another delivery of the same event has, or any
// other transaction. After that it is put back and tried again later, at no
// cost for the event; its place among the running handlers is free meanwhile.
// The default is 10 s.
func WithMarkWait(d time.Duration) Option { return func(o *options) { o.MarkWait = d } }

// WithMigrate makes [Open] run [Migrate]. For Open only: [Wrap] and [New] have
// no context to do it in.
func WithMigrate() Option { return func(o *options) { o.migrate = true } }

// WithMaxConnections limits the pool that [Open] makes;
// [DefaultMaxConnections] by default. The relay has up to five connections
// besides. For Open only.
func WithMaxConnections(n int) Option {
	return func(o *options) { o.maxConnections = max(n, 1) }
}

// New makes a connection of a database with a transaction type of the
// service's own. Its transactions should begin with the write lock, which is
// the parameter _txlock=immediate of the driver's data source name: then
// Transact waits for its turn; else SQLITE_BUSY can come up in its middle and
// is returned. The file should be in WAL mode, or readers keep COMMIT from
// taking place, with the same error; see [Wrap] for more.
//
// db is an *sql.DB over modernc.org/sqlite or something that embeds one.
func New[TX eventdb.BasicTX, Database eventdb.BasicDB[TX]](db Database, opts ...Option) *Connection[TX, Database] {
	return connect[TX](db, optionsForNew(opts))
}

func connect[TX eventdb.BasicTX, Database eventdb.BasicDB[TX]](db Database, o options) *Connection[TX, Database] {
	return &Connection[TX, Database]{
		Connection: eventdb.NewConnection[eventmodels.StringEventID, TX](db, &dialect{db: db}, o.Settings),
		markWait:   o.MarkWait,
		close:      func() error { return nil },
	}
}

// OneWriter tells the Library that one transaction can write at a time: its
// exactly-once handlers take turns, so that none waits for the write lock of
// another in the time that is its own.
func (*Connection[TX, Database]) OneWriter() bool { return true }

func optionsForNew(opts []Option) options {
	o := optionsOf(opts)
	if o.migrate || o.maxConnections != 0 {
		panic("eventsqlite: WithMigrate and WithMaxConnections are for Open; call Migrate and SetMaxOpenConns yourself")
	}
	return o
}

// Wrap makes a connection of an *sql.DB that the service has opened with the
// driver modernc.org/sqlite; another SQLite in the same process would break
// the file's locks. It must be a file, and should be in WAL mode with
// synchronous=FULL, foreign_keys as the service likes, and busy_timeout 0 (a
// longer one only keeps a thread waiting). A service that begins its own
// transactions on db begins them with BEGIN IMMEDIATE (_txlock=immediate), and
// is ready for SQLITE_BUSY; with [Pool.BeginTx] it need not be.
//
// Wrap once per Library. The service closes db, after the Library has stopped.
//
// It panics if db is nil or an option is for Open only.
func Wrap(db *sql.DB, opts ...Option) *DB {
	if db == nil {
		panic("eventsqlite.Wrap: the *sql.DB is nil")
	}
	o := optionsForNew(opts)
	return connect[*Tx](&Pool{DB: db, markWait: o.MarkWait}, o)
}

// Open opens the database in the file path, which is created if there is none
// (its directory is not). The file is put into WAL mode. Commits are durable
// when they return (synchronous=FULL), and foreign keys are enforced.
//
// With ":memory:" the database is in a new file in the directory for temporary
// files; it is not synchronised to the disk and Close removes it. (SQLite's
// own databases in memory let nobody read while a transaction is open.)
func Open(ctx context.Context, path string, opts ...Option) (*DB, error) {
	db, err := open(ctx, path, optionsOf(opts))
	if err != nil {
		return nil, fmt.Errorf("open the SQLite database %q: %w", path, err)
	}
	return db, nil
}

func open(ctx context.Context, path string, o options) (*DB, error) {
	remove := func() error { return nil }
	volatile := path == ":memory:"
	switch {
	case path == "":
		return nil, errors.New(`the path is empty; use ":memory:" for a database that Close removes`)
	case strings.HasPrefix(path, "file:"):
		return nil, errors.New("the path must be a file's name and not a URI; open the URI with sql.Open and use Wrap for settings of your own")
	case volatile:
		dir, err := os.MkdirTemp("", "events-sqlite-")
		if err != nil {
			return nil, err
		}
		remove = func() error { return os.RemoveAll(dir) }
		path = filepath.Join(dir, "events.db")
	}
	connector, err := connectorFor(path, settingsOf(volatile))
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	sqlDB := sql.OpenDB(connector)
	limit := cmp.Or(o.maxConnections, DefaultMaxConnections)
	sqlDB.SetMaxOpenConns(limit)
	sqlDB.SetMaxIdleConns(limit)
	closeAll := func() error { return errors.Join(sqlDB.Close(), remove()) }
	pool := &Pool{DB: sqlDB, immediate: true, volatile: volatile, markWait: o.MarkWait}
	if err := prepare(ctx, pool, path, o.migrate); err != nil {
		return nil, errors.Join(err, closeAll())
	}
	db := connect[*Tx](pool, o)
	db.close = closeAll
	return db, nil
}

// prepare puts the file into WAL mode, and migrates it if that is asked for.
func prepare(ctx context.Context, pool *Pool, path string, migrate bool) error {
	if folder := filepath.Dir(path); !isDir(folder) {
		return fmt.Errorf("there is no directory %q; create it first", folder)
	}
	var mode string
	// WAL mode is a property of the file. Whoever changes it needs the file
	// for itself for a moment.
	err := whileBusy(ctx, func() error { return pool.DB.QueryRowContext(ctx, "PRAGMA journal_mode=WAL").Scan(&mode) })
	if err != nil {
		return err
	}
	if !strings.EqualFold(mode, "wal") {
		return fmt.Errorf("SQLite refuses WAL mode here and stays with %q; is this a network file system?", mode)
	}
	if migrate {
		return Migrate(ctx, pool.DB)
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Close closes what Open has opened. The Library must have stopped. After Wrap
// and New it does nothing.
func (c *Connection[TX, Database]) Close() error {
	return c.close()
}

// Transact implements [eventmodels.CanTransact]: it runs fn in a transaction
// that has the database's write lock from its beginning, and waits for that
// until ctx ends. While fn runs nobody else writes; a Transact, or a writing
// statement of the [Pool], inside of fn waits for itself.
func (c *Connection[TX, Database]) Transact(ctx context.Context, fn func(TX) error) error {
	return c.begun(ctx, func(began *bool) error {
		return c.Connection.Transact(ctx, func(tx TX) error {
			*began = true
			return fn(tx)
		})
	})
}

// TransactOnce implements [eventmodels.AbstractDB].
func (c *Connection[TX, Database]) TransactOnce(ctx context.Context, marks []eventmodels.Mark, fn func(tx TX, fresh []bool) error) error {
	waiting, cancel := context.WithTimeoutCause(ctx, c.markWait, &lockWaitError{c.markWait})
	defer cancel()
	return c.begun(waiting, func(began *bool) error {
		return c.Connection.TransactOnce(ctx, marks, func(tx TX, fresh []bool) error {
			*began = true
			return fn(tx, fresh)
		})
	})
}

// begun tries again what was busy before the service's function was called.
// It matters for databases given to New: those of a [Pool] have waited when
// their transaction begins.
func (c *Connection[TX, Database]) begun(waiting context.Context, transact func(began *bool) error) error {
	var last error
	err := whileBusy(waiting, func() error {
		began := false
		last = transact(&began)
		if began && isBusy(last) {
			return nil
		}
		return last
	})
	if err == nil {
		return last
	}
	if limit, ok := errors.AsType[*lockWaitError](context.Cause(waiting)); ok && isBusy(last) {
		return limit
	}
	return err
}

// Ping implements [eventmodels.AbstractDB]: it reads from the file.
func (c *Connection[TX, Database]) Ping(ctx context.Context) error {
	return whileBusy(ctx, func() error {
		var tables int
		return c.Unwrap().QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM sqlite_schema LIMIT 1)").Scan(&tables)
	})
}
