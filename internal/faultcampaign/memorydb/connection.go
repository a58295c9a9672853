package memorydb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

// Connection is the database as a Library uses it. All of it but Ping is what
// every backend has.
type Connection struct {
	*eventdb.Connection[eventmodels.StringEventID, *Tx, *Client]
}

var _ eventmodels.AbstractDB[eventmodels.StringEventID, *Tx] = (*Connection)(nil)

// Connect makes the connection of one Library.
func (c *Client) Connect() *Connection {
	return &Connection{eventdb.NewConnection[eventmodels.StringEventID, *Tx](c, dialect{c}, eventdb.Settings{})}
}

// Ping implements [eventmodels.AbstractDB].
func (c *Connection) Ping(ctx context.Context) error {
	_, err := ask(ctx, c.Unwrap(), func(*Server) (struct{}, error) { return struct{}{}, nil })
	return err
}

// dialect is the seam of [eventdb.Dialect].
type dialect struct{ client *Client }

var _ eventdb.Dialect = dialect{}

// InsertOutbox implements [eventdb.Dialect]. The seqs are drawn now, and the
// rows appear with the commit.
func (d dialect) InsertOutbox(ctx context.Context, tx eventmodels.AbstractTX, scope string, rows []eventmodels.OutboxRow) error {
	t := tx.(*Tx)
	return t.do(ctx, func() outcome {
		s := t.client.server
		if t.xid == 0 {
			t.xid = s.nextXID
			s.nextXID++
		}
		for _, r := range rows {
			s.nextSeq++
			r.Seq = s.nextSeq
			t.writes = append(t.writes, func(s *Server) { s.store(outboxRow{scope, r}) })
		}
		return outcome{}
	})
}

// InsertMarks implements [eventdb.Dialect]. A mark that another transaction has
// inserted is waited for.
func (d dialect) InsertMarks(ctx context.Context, tx eventmodels.AbstractTX, marks []eventmodels.Mark) (fresh []eventmodels.Mark, err error) {
	t := tx.(*Tx)
	err = t.do(ctx, func() outcome {
		s := t.client.server
		for _, m := range marks {
			if wait := t.lock(fmt.Sprintf("mark %x", m)); wait != nil {
				return outcome{waitFor: wait}
			}
		}
		now := s.now()
		for _, m := range marks {
			if _, ok := s.marks[m]; !ok {
				fresh = append(fresh, m)
				t.writes = append(t.writes, func(s *Server) {
					if !s.forgetful {
						s.marks[m] = now
					}
				})
			}
		}
		return outcome{}
	})
	return fresh, err
}

// LockKeys implements [eventdb.Dialect].
func (d dialect) LockKeys(ctx context.Context, tx eventmodels.AbstractTX, scope string, buckets []int) error {
	t := tx.(*Tx)
	return t.do(ctx, func() outcome {
		for _, b := range buckets {
			if wait := t.lock(fmt.Sprintf("bucket %s %d", scope, b)); wait != nil {
				return outcome{waitFor: wait}
			}
		}
		return outcome{}
	})
}

// OnceOptions implements [eventdb.Dialect].
func (d dialect) OnceOptions() *sql.TxOptions { return nil }

// Fault implements [eventdb.Dialect].
func (d dialect) Fault(err error) eventmodels.Fault { return fault(err) }

// CommitRefused implements [eventdb.Dialect].
func (d dialect) CommitRefused(err error) bool {
	var refused refusedError
	return errors.As(err, &refused)
}

// Transaction implements [eventdb.Dialect].
func (d dialect) Transaction(tx any) (eventmodels.AbstractTX, error) {
	if t, ok := tx.(*Tx); ok && t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("memorydb: %T is not a *memorydb.Tx", tx)
}

// OpenOutbox implements [eventdb.Dialect].
func (d dialect) OpenOutbox(ctx context.Context) (eventmodels.OutboxStore, error) {
	if _, err := d.client.connect(ctx); err != nil {
		return nil, err
	}
	return store(d), nil
}

// MaxConnections implements [eventdb.Dialect].
func (d dialect) MaxConnections() int { return 10 }
