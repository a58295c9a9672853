package memorydb

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
)

// Tx is a transaction. It is used by one goroutine at a time.
type Tx struct {
	eventdb.Pending

	client *Client
	ctx    context.Context
	lost   <-chan struct{}
	began  time.Time
	stop   func() bool // of what ends the transaction with ctx

	// Guarded by the server's mu.
	xid     uint64 // 0 before the first row of the outbox is inserted
	ended   error  // why, once the server has ended it
	done    chan struct{}
	held    []string // locks
	writes  []func(*Server)
	counted map[string]int64 // by key: the Seq of its last event in this transaction
}

var _ eventmodels.EnhancedTX = (*Tx)(nil)

// BeginTx begins a transaction, which is rolled back when ctx ends before
// COMMIT. Its level is READ COMMITTED.
func (c *Client) BeginTx(ctx context.Context, _ *sql.TxOptions) (*Tx, error) {
	lost, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	tx := &Tx{client: c, ctx: ctx, lost: lost, began: time.Now(), done: make(chan struct{}), counted: make(map[string]int64)}
	c.server.mu.Lock()
	c.server.sessions[tx] = struct{}{}
	c.server.mu.Unlock()
	tx.stop = context.AfterFunc(ctx, func() { tx.hangUp(ctx.Err()) })
	if err := c.travel(ctx, lost); err != nil {
		tx.hangUp(err)
		return nil, err
	}
	return tx, nil
}

// end ends the transaction on the server; the server's mu must be held.
func (t *Tx) end(why error) {
	if t.ended != nil {
		return
	}
	t.ended = why
	s := t.client.server
	delete(s.sessions, t)
	s.lastEnded = max(s.lastEnded, t.xid)
	for _, name := range t.held {
		delete(s.locks, name)
	}
	close(t.done)
}

// hangUp gives the connection up. The server notices some time later, and
// rolls back.
func (t *Tx) hangUp(why error) {
	t.client.mu.Lock()
	notice := time.Millisecond
	if errors.Is(why, errLost) {
		notice = max(notice, t.client.detect)
	}
	t.client.mu.Unlock()
	time.AfterFunc(notice, func() {
		t.client.server.mu.Lock()
		defer t.client.server.mu.Unlock()
		t.end(why)
	})
}

// do runs a statement of the transaction.
func (t *Tx) do(ctx context.Context, run func() outcome) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.ctx, func() { cancel(t.ctx.Err()) })()
	if t.client.chance(func() float64 { return t.client.failing }) {
		t.client.server.mu.Lock()
		t.end(errConflict)
		t.client.server.mu.Unlock()
	}
	err := t.client.travel(ctx, t.lost)
	if err == nil {
		err = t.client.execute(ctx, t.lost, func() outcome {
			if t.ended != nil {
				return outcome{err: t.ended}
			}
			return run()
		})
	}
	if err == nil {
		err = t.client.travel(ctx, t.lost)
	}
	if err != nil && (errors.Is(err, errLost) || ctx.Err() != nil) {
		t.hangUp(err)
	}
	return err
}

// lock takes a row's lock, or says for whose end to wait; the server's mu must
// be held.
func (t *Tx) lock(name string) <-chan struct{} {
	locks := t.client.server.locks
	switch holder := locks[name]; holder {
	case t:
	case nil:
		locks[name] = t
		t.held = append(t.held, name)
	default:
		return holder.done
	}
	return nil
}

// Commit commits. An error does not say that the transaction has not taken
// effect, except a [refusedError].
func (t *Tx) Commit() error {
	defer t.stop()
	loses := t.client.chance(func() float64 { return t.client.losing })
	before := t.client.chance(func() float64 { return 0.5 })
	if loses && before {
		t.hangUp(errLost)
		return errLost
	}
	// The statement is not taken back when ctx ends: what is on its way may
	// take effect. Only the wait ends.
	if err := t.client.travel(t.ctx, t.lost); err != nil {
		t.hangUp(err)
		return errors.Join(errLost, err)
	}
	t.client.server.mu.Lock()
	err := t.ended
	if err == nil {
		for _, write := range t.writes {
			write(t.client.server)
		}
		t.end(errEnded)
	}
	t.client.server.mu.Unlock()
	if err != nil {
		return refusedError{err}
	}
	if loses {
		return errLost
	}
	if err := t.client.travel(t.ctx, t.lost); err != nil {
		return errors.Join(errLost, err)
	}
	return nil
}

// refusedError is the answer of a server that could not commit.
type refusedError struct{ error }

func (e refusedError) Unwrap() error { return e.error }

// Rollback rolls back.
func (t *Tx) Rollback() error {
	defer t.stop()
	t.hangUp(errEnded)
	return nil
}

// Next locks the row of a key and returns the place that an event of it has in
// the order of the commits, if this transaction commits.
func (t *Tx) Next(ctx context.Context, topic, key string) (seq int64, err error) {
	name := topic + "/" + key
	err = t.do(ctx, func() outcome {
		if wait := t.lock("row " + name); wait != nil {
			return outcome{waitFor: wait}
		}
		if _, ok := t.counted[name]; !ok {
			t.counted[name] = t.client.server.counters[name]
		}
		t.counted[name]++
		seq = t.counted[name]
		return outcome{}
	})
	return seq, err
}

// Record writes an event into the table that the checker reads, in this
// transaction. Its At becomes the transaction's begin.
func (t *Tx) Record(ctx context.Context, e checker.Committed) error {
	e.At = t.began
	return t.do(ctx, func() outcome {
		t.writes = append(t.writes, func(s *Server) {
			s.committed = append(s.committed, e)
			if e.Seq > 0 {
				s.counters[e.Topic+"/"+e.Key] = e.Seq
			}
		})
		return outcome{}
	})
}

// Effect writes what an exactly-once handler does.
func (t *Tx) Effect(ctx context.Context, e checker.Effect) error {
	return t.do(ctx, func() outcome {
		t.writes = append(t.writes, func(s *Server) { s.effects = append(s.effects, e) })
		return outcome{}
	})
}

// ExecContext, QueryContext and QueryRowContext are part of what a transaction
// is; there is no SQL here.

// ExecContext returns an error.
func (t *Tx) ExecContext(context.Context, string, ...any) (sql.Result, error) { return nil, errNoSQL }

// QueryContext returns an error.
func (t *Tx) QueryContext(context.Context, string, ...any) (*sql.Rows, error) { return nil, errNoSQL }

// QueryRowContext panics: an *sql.Row with an error cannot be made.
func (t *Tx) QueryRowContext(context.Context, string, ...any) *sql.Row { panic(errNoSQL) }

// ExecContext returns an error.
func (c *Client) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, errNoSQL
}

// QueryContext returns an error.
func (c *Client) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, errNoSQL
}

// QueryRowContext panics: an *sql.Row with an error cannot be made.
func (c *Client) QueryRowContext(context.Context, string, ...any) *sql.Row { panic(errNoSQL) }
