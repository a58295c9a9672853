package eventpg

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// channel is that of NOTIFY; the payload is the scope.
const channel = "events_outbox"

const (
	// defaultListenProbe is how often the server is asked whether the
	// connection is still one, and defaultListenLimit how long the answer may
	// take. A Wake can be missed for the sum of both, and no longer.
	defaultListenProbe = 15 * time.Second
	defaultListenLimit = 10 * time.Second
)

// Wake implements [eventmodels.OutboxStore].
func (s *store) Wake(ctx context.Context, scope string) error {
	_, err := s.exec(ctx, `SELECT pg_notify($1, $2)`, channel, scope)
	return err
}

// Listen implements [eventmodels.OutboxStore], on a connection of its own.
func (s *store) Listen(ctx context.Context, scope string, listening chan<- struct{}, wake func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()

	conn, err := s.connectListener(ctx)
	if err != nil {
		return s.explain(err)
	}
	defer closeListener(conn)
	close(listening)
	for {
		err := s.waitForWake(ctx, conn, scope, wake)
		if err == nil {
			err = s.probe(ctx, conn)
		}
		if err != nil {
			return s.explain(fmt.Errorf("listen for notifications: %w", err))
		}
	}
}

func (s *store) connectListener(ctx context.Context) (*pgx.Conn, error) {
	connecting, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	config := s.config.Load().Copy()
	if err := s.beforeConnect(connecting, config); err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(connecting, config)
	if err != nil {
		return nil, err
	}
	if err := afterConnect(connecting, conn); err != nil {
		closeListener(conn)
		return nil, err
	}
	if _, err := conn.Exec(connecting, "LISTEN "+channel); err != nil {
		closeListener(conn)
		return nil, err
	}
	return conn, nil
}

// waitForWake returns nil when it is time to ask whether the connection is
// still one.
func (s *store) waitForWake(ctx context.Context, conn *pgx.Conn, scope string, wake func()) error {
	waiting, cancel := context.WithTimeout(ctx, s.listenProbe)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(waiting)
		switch {
		case err == nil:
			if n.Payload == scope {
				wake()
			}
		case ctx.Err() != nil:
			return ctx.Err()
		case waiting.Err() != nil && !conn.IsClosed():
			return nil
		default:
			return err
		}
	}
}

// probe asks the server, and makes sure that it is not waited for longer than
// that.
func (s *store) probe(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, s.listenLimit)
	defer cancel()
	return conn.Ping(ctx)
}

func closeListener(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // nothing is waiting in it
}
