package mysqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
)

const (
	// callLimit bounds each call of a store, so that a server that has
	// vanished without a word is noticed.
	callLimit = 40 * time.Second

	// workConnections are shared by everything but the lease, which never
	// waits for them.
	workConnections = 2
	// StoreConnections is how many connections a store keeps at most.
	StoreConnections = workConnections + 1
	// KeptConnections is how many connections of a pool that has no others to
	// give the relay and, with two, the deletion of old marks may keep.
	KeptConnections = StoreConnections + 2
)

// A Source gives a connection that nobody else uses until it is closed.
type Source func(context.Context) (*sql.Conn, error)

// Connections are those of a store: made when they are first needed, kept, and
// made again after they were lost.
type Connections struct {
	source  Source
	prepare func(context.Context, *sql.Conn) error // nil: as they are
	work    chan *slot
	lease   chan *slot
	closing context.Context // ends with Close
	close   context.CancelFunc
}

// A slot is a place for a connection. Whoever takes it out of its channel has
// it for himself.
type slot struct{ conn *sql.Conn }

// NewConnections makes none yet. prepare, unless it is nil, is called with each
// that is made, and makes it independent of the server's defaults.
func NewConnections(source Source, prepare func(context.Context, *sql.Conn) error) *Connections {
	c := &Connections{source: source, prepare: prepare, work: make(chan *slot, workConnections), lease: make(chan *slot, 1)}
	for range workConnections {
		c.work <- &slot{}
	}
	c.lease <- &slot{}
	c.closing, c.close = context.WithCancel(context.Background())
	return c
}

// ErrClosed is the error of a store's methods after Close.
var ErrClosed = errors.New("the outbox store is closed")

// Work runs f with a connection, once there is one of those for work. f is run
// once more if its connection turns out to have been closed while it was idle.
func (c *Connections) Work(ctx context.Context, f func(context.Context, *sql.Conn) error) error {
	return c.with(ctx, c.work, f)
}

// Lease runs f with the connection that the lease has to itself.
func (c *Connections) Lease(ctx context.Context, f func(context.Context, *sql.Conn) error) error {
	return c.with(ctx, c.lease, f)
}

func (c *Connections) with(ctx context.Context, slots chan *slot, f func(context.Context, *sql.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	defer context.AfterFunc(c.closing, cancel)()
	var s *slot
	select {
	case s = <-slots:
	case <-ctx.Done():
		return c.explain(ctx.Err())
	}
	defer func() { slots <- s }()
	if c.closing.Err() != nil {
		return ErrClosed
	}
	for {
		kept := s.conn != nil
		err := c.run(ctx, s, f)
		if err != nil && !usable(s.conn, err) {
			s.drop()
		}
		// A connection that was closed while it was idle, and nothing was
		// sent: another one will do.
		if kept && s.conn == nil && errors.Is(err, driver.ErrBadConn) && ctx.Err() == nil {
			continue
		}
		return c.explain(err)
	}
}

func (c *Connections) run(ctx context.Context, s *slot, f func(context.Context, *sql.Conn) error) error {
	if s.conn == nil {
		conn, err := c.source(ctx)
		if err != nil {
			return err
		}
		s.conn = conn
		if c.prepare != nil {
			if err := c.prepare(ctx, conn); err != nil {
				s.drop()
				return fmt.Errorf("prepare a connection of the relay: %w", err)
			}
		}
	}
	return f(ctx, s.conn)
}

// usable says whether a connection can be kept after an error. The driver
// closes one whose context ends while it waits for an answer.
func usable(conn *sql.Conn, err error) bool {
	return conn != nil && !Lost(err) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !away[Number(err)]
}

// drop closes the connection for good. In a pool of the application's it must
// not end up with other settings than its own.
func (s *slot) drop() {
	if s.conn != nil {
		Discard(s.conn)
		s.conn = nil
	}
}

// Discard closes a connection instead of giving it back to its pool.
func Discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // the pool drops what is bad
	_ = conn.Close()
}

func (c *Connections) explain(err error) error {
	if err != nil && c.closing.Err() != nil && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}

// Close ends what is under way and closes the connections.
func (c *Connections) Close() {
	c.close()
	for range workConnections {
		s := <-c.work
		s.drop()
		c.work <- s
	}
	s := <-c.lease
	s.drop()
	c.lease <- s
}

// DriverError says that a *sql.DB does not use go-sql-driver/mysql.
type DriverError struct {
	// Driver is the type of the driver's connections.
	Driver string
}

// Error says what to do.
func (e *DriverError) Error() string {
	return fmt.Sprintf("the *sql.DB has the driver connection %s, and what is needed is that of github.com/go-sql-driver/mysql; "+
		`open it with Open of this package, sql.Open("mysql", dsn) or mysql.NewConnector`, e.Driver)
}

// CheckDriver looks at a connection's driver, also below one that shows what
// it wraps.
func CheckDriver(conn *sql.Conn) error {
	return conn.Raw(func(driverConn any) error {
		for inner := driverConn; ; {
			if t := reflect.TypeOf(inner); t != nil && t.Kind() == reflect.Pointer && strings.HasPrefix(t.Elem().PkgPath(), "github.com/go-sql-driver/mysql") {
				return nil
			}
			wrapper, ok := inner.(interface{ Raw() driver.Conn })
			if !ok {
				return &DriverError{Driver: fmt.Sprintf("%T", driverConn)}
			}
			inner = wrapper.Raw()
		}
	})
}
