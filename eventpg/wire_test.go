package eventpg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed46dd6f11/events/eventmodels"
)

// wire counts what a connection sends, and cuts it.
type wire struct {
	net.Conn
	sent    atomic.Int32 // writes, which are round trips here
	cut     atomic.Int32 // the write, counted by sent, with which it is cut; 0: none
	after   atomic.Int32 // how many bytes of it reach the server; -1: all, and the answer comes as far as here
	dropped atomic.Bool  // the connection was cut
}

func (w *wire) Write(b []byte) (int, error) {
	if w.sent.Add(1) != w.cut.Load() {
		return w.Conn.Write(b)
	}
	w.dropped.Store(true)
	if n := int(w.after.Load()); n >= 0 {
		n, _ = w.Conn.Write(b[:min(n, len(b))])
		_ = w.Conn.Close()
		return n, net.ErrClosed
	}
	return w.Conn.Write(b)
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if w.dropped.Load() {
		_ = w.Conn.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// wired returns a database with one connection, on a wire.
func (f *fixture) wired(t *testing.T) *DB {
	t.Helper()
	config, err := parse(f.DSN)
	if err != nil {
		t.Fatal(err)
	}
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &wire{Conn: conn}, err
	}
	pool := sql.OpenDB(Connector(stdlib.GetConnector(*config)))
	pool.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = pool.Close() })
	db := Wrap(pool)
	db.AugmentWithProducer(f.Producer)
	return db
}

// wireOf returns the wire of the pool's connection.
func wireOf(t *testing.T, pool *sql.DB) *wire {
	t.Helper()
	conn, err := pool.Conn(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	native, err := nativeConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	return native.PgConn().Conn().(*wire)
}

// Whatever byte of BEGIN and the mark, or of the events and COMMIT, is the last
// one that the server gets, and whether or not the answer comes back: the event
// is delivered again, and has had one effect.
func TestConnectionCutInARoundTrip(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.Admin, "CREATE TABLE effects (id integer)")
	db := f.wired(t)
	const begin, commit = 1, 3
	id := 0
	warm := func() *wire {
		for range 2 {
			id++
			if err := once(t, db, id); err != nil {
				t.Fatal(err)
			}
		}
		return wireOf(t, db.Unwrap().DB)
	}
	refused, done := 0, 0
	for _, trip := range []int32{begin, commit} {
		for after := int32(-1); after < 900; after += 23 { // -1: the answer is lost; beyond the last byte: all of them arrive
			w := warm()
			w.after.Store(after)
			w.cut.Store(w.sent.Load() + trip)
			id++
			err := once(t, db, id)
			if err == nil || !w.dropped.Load() {
				t.Fatalf("cut after %d bytes of round trip %d: %v", after, trip, err)
			}
			if trip == begin && errors.Is(err, eventmodels.ErrCommitUnknown) {
				t.Errorf("cut in BEGIN, after %d bytes: %v", after, err)
			}
			if trip == commit && !errors.Is(err, eventmodels.ErrCommitUnknown) {
				t.Errorf("cut in COMMIT, after %d bytes: known: %v", after, err)
			}
			if f.Fault(err) != eventmodels.FaultAway {
				t.Errorf("cut after %d bytes of round trip %d: fault %v of %v", after, trip, f.Fault(err), err)
			}
			// The mark waits for the other transaction if the server still works on it.
			again := false
			err = db.TransactOnce(testContext(t), []eventmodels.Mark{markOf(fmt.Sprint(id))}, func(tx *Tx, fresh []bool) error {
				again = true
				return effect(t, id)(tx, fresh)
			})
			if err != nil {
				t.Fatalf("delivered again: %v", err)
			}
			if again {
				refused++
			} else {
				done++
			}
		}
	}
	if refused == 0 || done == 0 {
		t.Errorf("%d were rolled back, and %d committed: not both were tried", refused, done)
	}
	for _, table := range []string{"effects", "events_marks", "events_outbox"} {
		if n := f.Count(t, table); n != id {
			t.Errorf("%d rows in %s of %d events", n, table, id)
		}
	}
	if n := f.Count(t, "(SELECT DISTINCT id FROM effects) AS e"); n != id {
		t.Errorf("effects of %d events, want %d", n, id)
	}
}

// Without events COMMIT is a round trip of its own. When its answer is lost,
// pgx says what it says when nothing was sent.
func TestConnectionCutInCommit(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.Admin, "CREATE TABLE effects (id integer)")
	db := f.wired(t)
	for id, c := range []struct {
		after   int32
		unknown bool
	}{{-1, true}, {3, true}} {
		if err := db.Transact(testContext(t), func(*Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		err := db.Transact(testContext(t), func(tx *Tx) error {
			_, err := tx.ExecContext(testContext(t), "INSERT INTO effects VALUES ($1)", id)
			w := tx.Native().PgConn().Conn().(*wire)
			w.after.Store(c.after)
			w.cut.Store(w.sent.Load() + 1)
			return err
		})
		if errors.Is(err, eventmodels.ErrCommitUnknown) != c.unknown || f.Fault(err) != eventmodels.FaultAway {
			t.Errorf("cut after %d bytes: %v, fault %v", c.after, err, f.Fault(err))
		}
	}
	eventually(t, f.Admin, "SELECT count(*) = 1 FROM effects")
}
