package eventpg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed46dd6f11/events/eventmodels"
)

const (
	// workConnections are shared by everything but the lease, which never
	// waits for them.
	workConnections  = 3
	leaseConnections = 2

	// callLimit bounds each call, so that a server that has vanished without
	// a word is noticed. It is above statementLimit, so that one that works
	// is heard.
	callLimit      = 40 * time.Second
	statementLimit = 30 * time.Second

	// connectLimit bounds one attempt to connect, to each of the hosts.
	connectLimit = 15 * time.Second
)

// sessionSettings make the store's connections independent of the defaults of
// the database and of the user.
//
// The planner's settings: the tables grow from nothing to millions of rows and
// back between two looks of autovacuum at them, so that a plan that is chosen
// by their size is wrong for most of the time. Each of the store's statements
// has an index that is right at every size, and these settings leave nothing
// else to choose. With no choice left, planning once is enough.
var sessionSettings = fmt.Sprintf(`
SET default_transaction_isolation = 'read committed';
SET default_transaction_read_only = off;
SET statement_timeout = %d;
SET lock_timeout = %d;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
SET plan_cache_mode = force_generic_plan`,
	statementLimit.Milliseconds(), (statementLimit / 2).Milliseconds())

// store is an [eventmodels.OutboxStore].
type store struct {
	source source
	pool   *pgxpool.Pool
	work   chan struct{} // a slot per call that is not about the lease

	listenProbe, listenLimit time.Duration

	// closing ends calls that are under way when the store is closed.
	closing context.Context
	close   context.CancelFunc

	// config of new connections. It is asked for again after the server has
	// refused the credentials, since the application may have changed them.
	config  atomic.Pointer[pgx.ConnConfig]
	refused atomic.Bool
}

var _ eventmodels.OutboxStore = (*store)(nil)

// openStore connects, and checks the tables.
func openStore(ctx context.Context, source source) (*store, error) {
	config, err := source(ctx)
	if err != nil {
		return nil, err
	}
	s := &store{
		source: source, work: make(chan struct{}, workConnections),
		listenProbe: defaultListenProbe, listenLimit: defaultListenLimit,
	}
	s.closing, s.close = context.WithCancel(context.Background())
	s.config.Store(ownConfig(config))
	if s.pool, err = s.newPool(); err != nil {
		return nil, err
	}
	if err := s.check(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// ownConfig changes what tells the store's connections from the application's.
func ownConfig(config *pgx.ConnConfig) *pgx.ConnConfig {
	config = config.Copy()
	name := "events relay"
	if app := config.RuntimeParams["application_name"]; app != "" {
		name = app + ": " + name
	}
	config.RuntimeParams["application_name"] = name
	if config.ConnectTimeout <= 0 || config.ConnectTimeout > connectLimit {
		config.ConnectTimeout = connectLimit
	}
	config.Tracer = nil // the application's spans are not for a loop that runs for ever
	config.OnNotice, config.OnNotification = nil, nil
	return config
}

func (s *store) newPool() (*pgxpool.Pool, error) {
	config := s.config.Load()
	// pgxpool insists on a configuration that it has parsed; this is the text
	// that config was parsed from.
	c, err := pgxpool.ParseConfig(config.ConnString())
	if err != nil {
		return nil, errors.New("the connection string of the application's pool cannot be read")
	}
	c.ConnConfig = config
	c.MinConns, c.MinIdleConns = 0, 0
	c.MaxConns = workConnections + leaseConnections
	c.PingTimeout = 10 * time.Second
	c.BeforeConnect = s.beforeConnect
	c.AfterConnect = afterConnect
	return pgxpool.NewWithConfig(s.closing, c)
}

// beforeConnect takes over credentials that have changed.
func (s *store) beforeConnect(ctx context.Context, config *pgx.ConnConfig) error {
	if s.refused.Swap(false) {
		// The application's pool may have no connection to look at.
		asking, cancel := context.WithTimeout(ctx, connectLimit)
		fresh, err := s.source(asking)
		cancel()
		if err != nil {
			s.refused.Store(true)
			return err
		}
		s.config.Store(ownConfig(fresh))
	}
	current := s.config.Load()
	config.User, config.Password = current.User, current.Password
	return nil
}

func afterConnect(ctx context.Context, conn *pgx.Conn) error {
	keepAlive(conn.PgConn().Conn())
	_, err := conn.Exec(ctx, sessionSettings)
	return err
}

// keepAlive lets the operating system notice within half a minute that the
// other side is gone. TLS and the like are asked for what is below them.
func keepAlive(conn net.Conn) {
	for {
		switch c := conn.(type) {
		case *net.TCPConn:
			// Best effort: calls are bounded without it.
			_ = c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3})
			return
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return
		}
	}
}

// bound returns a context that also ends with the store, and in time.
func (s *store) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	stop := context.AfterFunc(s.closing, cancel)
	return ctx, func() { stop(); cancel() }
}

// do runs f with a connection, once there is one of those for work.
func (s *store) do(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	select {
	case s.work <- struct{}{}:
	case <-ctx.Done():
		return s.explain(ctx.Err())
	}
	defer func() { <-s.work }()
	return s.explain(s.with(ctx, f))
}

// doLease runs f with a connection without waiting for other work.
func (s *store) doLease(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.explain(s.with(ctx, f))
}

func (s *store) with(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // a connection that is broken is dropped
	return f(ctx, conn.Conn())
}

// exec is do for a statement without rows.
func (s *store) exec(ctx context.Context, query string, args ...any) (tag pgconn.CommandTag, err error) {
	err = s.do(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		tag, err = conn.Exec(ctx, query, args...)
		return err
	})
	return tag, err
}

// errClosed is the error of a store's methods after Close.
var errClosed = errors.New("the outbox store is closed")

func (s *store) explain(err error) error {
	if err == nil {
		return nil
	}
	if s.closing.Err() != nil {
		return fmt.Errorf("%w: %w", errClosed, err)
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		var answer *pgconn.PgError
		if errors.As(err, &answer) && hasClass(answer.Code, classAuthorization) {
			s.refused.Store(true)
		}
		return explainConnect(s.config.Load(), err)
	}
	return explainSchema(err)
}

// Close implements [eventmodels.OutboxStore].
func (s *store) Close() error {
	s.close()
	s.pool.Close() // waits for the calls that have just been ended
	return nil
}
