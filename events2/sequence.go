package events2

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// sequence draws seqs, outside of the transactions that they are for, as a
// sequence of other databases does: in a transaction of its own, so that one
// that stays open keeps nobody else from drawing. What a transaction has drawn
// and not committed is a gap.
//
// A draw raises the counter of its scope from what it was believed to be, in one
// statement in autocommit, and looks again if that was wrong: no lock is held
// between two statements, in which a process could stand still. Transactions of
// this process that want to draw at the same moment do it together.
//
// If one transaction has committed before another one begins to draw, its seqs
// are the smaller ones: the counter only grows.
type sequence struct {
	connections *mysqldb.Connections // one of them
	prefix      string               // of locks

	connected atomic.Bool // once

	mu     sync.Mutex
	scopes map[string]*scopeQueue // guarded by mu
}

// scopeQueue is what a sequence knows of a scope.
type scopeQueue struct {
	// turn is held (a value is in it) by whoever draws for all that wait.
	turn    chan struct{}
	waiting []*draw // guarded by sequence.mu

	// Of whoever has the turn:
	ready bool  // the scope's rows are there
	known bool  // last is what the counter was not long ago
	last  int64 // the last seq that was drawn
}

// draw is a wish for seqs. Its result is written before done is closed.
type draw struct {
	n     int64
	done  chan struct{}
	first int64
	err   error
}

func newSequence(source mysqldb.Source, prefix string) *sequence {
	return &sequence{connections: mysqldb.NewConnections(source, nil), prefix: prefix, scopes: make(map[string]*scopeQueue)}
}

func (s *sequence) queue(scope string) *scopeQueue {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.scopes[scope]
	if q == nil {
		q = &scopeQueue{turn: make(chan struct{}, 1)}
		s.scopes[scope] = q
	}
	return q
}

// draw returns the first of n seqs.
func (s *sequence) draw(ctx context.Context, scope string, n int) (first int64, err error) {
	q := s.queue(scope)
	mine := &draw{n: int64(n), done: make(chan struct{})}
	s.mu.Lock()
	q.waiting = append(q.waiting, mine)
	s.mu.Unlock()
	for {
		select {
		case <-mine.done:
			return mine.first, mine.err
		case q.turn <- struct{}{}:
			s.serve(ctx, scope, q, mine)
			<-q.turn
		case <-ctx.Done():
			s.forget(q, mine)
			return 0, ctx.Err()
		}
	}
}

// serve draws for all that wait. When the context of whoever serves has ended,
// the others go back into the queue, for the next one who has the turn.
func (s *sequence) serve(ctx context.Context, scope string, q *scopeQueue, mine *draw) {
	s.mu.Lock()
	batch := q.waiting
	q.waiting = nil
	s.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	var total int64
	for _, d := range batch {
		total += d.n
	}
	first, err := s.take(ctx, scope, q, total)
	if err != nil && ctx.Err() != nil {
		if i := slices.Index(batch, mine); i >= 0 {
			batch = slices.Delete(batch, i, i+1)
			mine.err = err
			close(mine.done)
		}
		s.mu.Lock()
		q.waiting = append(batch, q.waiting...)
		s.mu.Unlock()
		return
	}
	for _, d := range batch {
		d.first, d.err = first, err
		first += d.n
		close(d.done)
	}
}

// forget takes a draw that nobody waits for out of the queue. If it is being
// served, its seqs are a gap.
func (s *sequence) forget(q *scopeQueue, mine *draw) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q.waiting = slices.DeleteFunc(q.waiting, func(d *draw) bool { return d == mine })
}

const (
	firstSeq  = `INSERT IGNORE INTO events_seqs (scope, n) VALUES (?, 0)`
	lastSeq   = `SELECT n FROM events_seqs WHERE scope = ?`
	raiseSeq  = `UPDATE events_seqs SET n = ? WHERE scope = ? AND n = ?`
	firstLock = `INSERT IGNORE INTO events_key_locks (scope, prefix, bucket, n) VALUES `
)

// take raises the counter by n.
func (s *sequence) take(ctx context.Context, scope string, q *scopeQueue, n int64) (first int64, err error) {
	err = s.lasting(ctx, func(ctx context.Context, conn *sql.Conn) error {
		for {
			if !q.known {
				if err := s.look(ctx, conn, scope, q); err != nil {
					return err
				}
			}
			q.known = false
			raised, err := exec(ctx, conn, raiseSeq, q.last+n, []byte(scope), q.last)
			if err != nil {
				return err
			}
			if raised == 1 {
				first = q.last + 1
				q.last, q.known = q.last+n, true
				return nil
			}
		}
	})
	return first, explainSchema(err)
}

// lasting runs f once more, with another connection, if the one it has had is
// lost, as it is when the server or something on the way there has closed it
// while nobody drew. f can be repeated whatever came of it: a counter that was
// raised and is raised again leaves a gap.
func (s *sequence) lasting(ctx context.Context, f func(context.Context, *sql.Conn) error) error {
	err := s.connections.Lease(ctx, f)
	if mysqldb.Lost(err) && ctx.Err() == nil {
		err = s.connections.Lease(ctx, f)
	}
	return err
}

func (s *sequence) look(ctx context.Context, conn *sql.Conn, scope string, q *scopeQueue) error {
	err := conn.QueryRowContext(ctx, lastSeq, []byte(scope)).Scan(&q.last)
	if errors.Is(err, sql.ErrNoRows) {
		q.last = 0
		_, err = exec(ctx, conn, firstSeq, []byte(scope))
	}
	q.known = err == nil
	return err
}

// prepare makes sure that the rows of a scope that transactions lock are there,
// and that there is a connection to draw with.
func (s *sequence) prepare(ctx context.Context, scope string) error {
	q := s.queue(scope)
	select {
	case q.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-q.turn }()
	if q.ready {
		return nil
	}
	err := s.lasting(ctx, func(ctx context.Context, conn *sql.Conn) error {
		args := make([]any, 0, 3*eventdb.KeyBuckets)
		for bucket := range eventdb.KeyBuckets {
			args = append(args, []byte(scope), []byte(s.prefix), bucket)
		}
		_, err := exec(ctx, conn, firstLock+mysqldb.List("(?, ?, ?, 0)", eventdb.KeyBuckets), args...)
		return err
	})
	q.ready = err == nil
	return explainSchema(err)
}

// connect makes sure that there is a connection to draw with before a
// transaction has one: transactions that have all the connections of a pool
// would wait for one more.
func (s *sequence) connect(ctx context.Context) error {
	if s.connected.Load() {
		return nil
	}
	err := s.connections.Lease(ctx, func(context.Context, *sql.Conn) error { return nil })
	if err == nil {
		s.connected.Store(true)
	}
	return err
}

func (s *sequence) close() { s.connections.Close() }
