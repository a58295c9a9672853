package eventsqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

// maxConnections is the limit of the pool that Open makes: a writer, and
// those who read meanwhile.
const maxConnections = 16

// Pool is an *sql.DB whose transactions are *[Tx]. Use it instead of the
// *sql.DB in it for what writes: its methods wait for their turn, in the
// order in which they have come, while those of the *sql.DB fail with
// SQLITE_BUSY when another transaction writes.
//
// Get one from [Connection.Unwrap].
type Pool struct {
	*sql.DB

	file      atomic.Pointer[file] // found at the first use, see locate
	immediate bool                 // DB begins transactions with the write lock
	volatile  bool                 // the data does not outlive the process
	markWait  time.Duration
}

// A Connection is an SQLite database as a Library uses it. Most services have
// a [DB], from [Open] or [Wrap]; the type parameters are for those that bring
// a transaction type of their own.
type Connection[TX eventdb.BasicTX, DB eventdb.BasicDB[TX]] struct {
	*eventdb.Connection[eventmodels.StringEventID, TX, DB]
	dialect  *dialect
	markWait time.Duration
	close    func() error // of what Open has opened, else nil
}

// DB is the connection of services that have no transaction type of their
// own.
type DB = Connection[*Tx, *Pool]

// Option is a setting of a connection.
type Option func(*options)

type options struct {
	eventdb.Settings
	migrate bool // off by default
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

// WithMigrate makes [Open] run [Migrate]. The other constructors ignore it.
func WithMigrate() Option { return func(o *options) { o.migrate = true } }

// New makes a connection of a database with a transaction type of the
// service's own. Its transactions should begin with the write lock, which is
// the parameter _txlock=immediate of the driver's data source name: then
// Transact waits for its turn; else SQLITE_BUSY can come up in its middle and
// is returned.
//
// DB is an *sql.DB over modernc.org/sqlite or something that embeds one.
func New[TX eventdb.BasicTX, DB eventdb.BasicDB[TX]](db DB, opts ...Option) *Connection[TX, DB] {
	o := optionsOf(opts)
	d := &dialect{db: db}
	return &Connection[TX, DB]{
		Connection: eventdb.NewConnection[eventmodels.StringEventID](db, d, o.Settings),
		dialect:    d,
		markWait:   o.MarkWait,
	}
}

// Wrap makes a connection of an *sql.DB that the service has opened with the
// driver modernc.org/sqlite; another SQLite in the same process would break
// the file's locks. It must be a file, and should be in WAL mode with
// synchronous=FULL, foreign_keys as the service likes, and busy_timeout 0 (a
// longer one only keeps a thread waiting). A service that begins its own
// transactions on db begins them with BEGIN IMMEDIATE (_txlock=immediate), and
// is ready for SQLITE_BUSY; with [Pool.BeginTx] it need not be.
//
// Wrap once per Library. The service closes db.
func Wrap(db *sql.DB, opts ...Option) *DB {
	o := optionsOf(opts)
	return New[*Tx](&Pool{DB: db, markWait: o.MarkWait}, opts...)
}

// Open opens the database in the file path, which is created if there is none
// (its directory is not). The file is put into WAL mode. Commits are durable
// when they return (synchronous=FULL), and foreign keys are enforced.
//
// With ":memory:" the database is in a new file in the directory for temporary
// files; it is not synchronised to the disk and Close removes it. (SQLite's
// own databases in memory let nobody read while a transaction is open.)
func Open(ctx context.Context, path string, opts ...Option) (*DB, error) {
	db, err := open(ctx, path, optionsOf(opts), opts)
	if err != nil {
		return nil, fmt.Errorf("open the SQLite database %q: %w", path, err)
	}
	return db, nil
}

func open(ctx context.Context, path string, o options, opts []Option) (_ *DB, err error) {
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
	sqlDB.SetMaxOpenConns(maxConnections)
	sqlDB.SetMaxIdleConns(maxConnections)
	closeAll := func() error { return errors.Join(sqlDB.Close(), remove()) }
	pool := &Pool{DB: sqlDB, immediate: true, volatile: volatile, markWait: o.MarkWait}
	if err := prepare(ctx, pool, path, o.migrate); err != nil {
		return nil, errors.Join(err, closeAll())
	}
	db := New[*Tx](pool, opts...)
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
func (c *Connection[TX, DB]) Close() error {
	if c.close == nil {
		return nil
	}
	return c.close()
}

// Transact implements [eventmodels.CanTransact]: it runs fn in a transaction
// that has the database's write lock from its beginning, and waits for that
// until ctx ends. While fn runs nobody else writes; a Transact, or a writing
// statement of the [Pool], inside of fn waits for itself.
func (c *Connection[TX, DB]) Transact(ctx context.Context, fn func(TX) error) error {
	return c.begun(ctx, func(began *bool) error {
		return c.Connection.Transact(ctx, func(tx TX) error {
			*began = true
			return fn(tx)
		})
	})
}

// TransactOnce implements [eventmodels.AbstractDB].
func (c *Connection[TX, DB]) TransactOnce(ctx context.Context, marks []eventmodels.Mark, fn func(tx TX, fresh []bool) error) error {
	waiting, cancel := context.WithTimeoutCause(ctx, c.markWait, &lockWaitError{c.markWait})
	defer cancel()
	err := c.begun(waiting, func(began *bool) error {
		return c.Connection.TransactOnce(ctx, marks, func(tx TX, fresh []bool) error {
			*began = true
			return fn(tx, fresh)
		})
	})
	return err
}

// begun tries again what was busy before the service's function was called.
// It matters for databases given to New: those of a [Pool] have waited when
// their transaction begins.
func (c *Connection[TX, DB]) begun(waiting context.Context, transact func(began *bool) error) error {
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
	if cause, ok := errors.AsType[*lockWaitError](context.Cause(waiting)); ok && isBusy(last) {
		return errors.Join(cause, last)
	}
	return err
}

// Ping implements [eventmodels.AbstractDB]: it reads from the file.
func (c *Connection[TX, DB]) Ping(ctx context.Context) error {
	return whileBusy(ctx, func() error {
		var tables int
		return c.Unwrap().QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM sqlite_schema LIMIT 1)").Scan(&tables)
	})
}

// BeginTx begins a transaction that has the write lock, and waits for that
// until ctx ends. When ctx ends later it is rolled back. Its level is always
// serializable, whatever opts say. With opts.ReadOnly it is a snapshot for
// reading that waits for nobody.
func (p *Pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (*Tx, error) {
	if opts != nil && opts.ReadOnly {
		sqlTx, err := p.DB.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return nil, err
		}
		return &Tx{Tx: sqlTx, ctx: ctx, free: func() {}}, nil
	}
	f, err := p.locate(ctx)
	if err != nil {
		return nil, err
	}
	waiting := ctx
	if opts == onceOptions {
		limited, cancel := context.WithTimeoutCause(ctx, p.waitLimit(), &lockWaitError{p.waitLimit()})
		defer cancel()
		waiting = limited
	}
	if err := f.lock.acquire(waiting); err != nil {
		return nil, waitError(ctx, waiting, err)
	}
	var sqlTx *sql.Tx
	err = whileBusy(waiting, func() (err error) {
		sqlTx, err = p.begin(ctx)
		return err
	})
	if err != nil {
		f.lock.release()
		return nil, waitError(ctx, waiting, err)
	}
	return newTx(ctx, sqlTx, f.lock), nil
}

// waitLimit bounds the wait of exactly-once transactions.
func (p *Pool) waitLimit() time.Duration {
	if p.markWait <= 0 {
		return eventdb.DefaultMarkWait
	}
	return p.markWait
}

// waitError says, of a wait that was limited, that it is the limit that has
// ended it.
func waitError(ctx, waiting context.Context, err error) error {
	if limit, ok := errors.AsType[*lockWaitError](context.Cause(waiting)); ok && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return limit
	}
	if ctx.Err() != nil {
		return fmt.Errorf("wait for the database's write lock: %w", err)
	}
	return err
}

// begin begins with the write lock, or is busy. What a service's *sql.DB
// begins it with is the service's choice, so that its transaction is replaced
// on the same connection, where database/sql goes on to end it.
func (p *Pool) begin(ctx context.Context) (*sql.Tx, error) {
	sqlTx, err := p.DB.BeginTx(ctx, nil)
	if err != nil || p.immediate {
		return sqlTx, err
	}
	if _, err := sqlTx.ExecContext(ctx, "ROLLBACK; BEGIN IMMEDIATE"); err != nil {
		_ = sqlTx.Rollback() // none is open, which is an error without a meaning
		return nil, err
	}
	return sqlTx, nil
}

func newTx(ctx context.Context, sqlTx *sql.Tx, lock *writeLock) *Tx {
	// database/sql rolls back when ctx ends, and gives SQLite's lock back.
	// Ours follows even if nobody ends the transaction.
	var released atomic.Bool
	release := func() {
		if released.CompareAndSwap(false, true) {
			lock.release()
		}
	}
	stop := context.AfterFunc(ctx, release)
	return &Tx{Tx: sqlTx, ctx: ctx, free: func() {
		stop()
		release()
	}}
}

// ExecContext runs a statement in a transaction of its own when its turn to
// write has come.
func (p *Pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	f, err := p.locate(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.lock.acquire(ctx); err != nil {
		return nil, waitError(ctx, ctx, err)
	}
	defer f.lock.release()
	var result sql.Result
	err = whileBusy(ctx, func() (err error) {
		result, err = p.DB.ExecContext(ctx, query, args...)
		return err
	})
	return result, err
}

// Exec is ExecContext with the background context.
func (p *Pool) Exec(query string, args ...any) (sql.Result, error) {
	return p.ExecContext(context.Background(), query, args...)
}

// QueryContext reads. It waits for nobody, except with a statement that
// writes (RETURNING).
func (p *Pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	var rows *sql.Rows
	err := whileBusy(ctx, func() (err error) {
		rows, err = p.DB.QueryContext(ctx, query, args...)
		return err
	})
	return rows, err
}

// Query is QueryContext with the background context.
func (p *Pool) Query(query string, args ...any) (*sql.Rows, error) {
	return p.QueryContext(context.Background(), query, args...)
}

// QueryRowContext reads one row, as QueryContext does.
func (p *Pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	var row *sql.Row
	_ = whileBusy(ctx, func() error { // the row has the error
		row = p.DB.QueryRowContext(ctx, query, args...)
		return row.Err()
	})
	return row
}

// QueryRow is QueryRowContext with the background context.
func (p *Pool) QueryRow(query string, args ...any) *sql.Row {
	return p.QueryRowContext(context.Background(), query, args...)
}

// locate returns the database's file.
func (p *Pool) locate(ctx context.Context) (*file, error) {
	if f := p.file.Load(); f != nil {
		return f, nil
	}
	f, err := locate(ctx, p.DB)
	if err != nil {
		return nil, err
	}
	f.volatile = p.volatile
	p.file.Store(f) // goroutines that do it at the same time find the same
	return f, nil
}
