package eventpg

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/gapset"
)

// reader reads as the relay does.
type reader struct {
	set   gapset.Set
	store *store
	limit int
}

// next returns the rows of one read.
func (r *reader) next(ctx context.Context) ([]eventmodels.OutboxRow, error) {
	q := r.set.Ask()
	read := eventmodels.OutboxRead{Scope: scope, Hint: q.Above, Limit: r.limit}
	for _, g := range q.Gaps {
		read.Gaps = append(read.Gaps, eventmodels.SeqRange{Lo: g.Lo, Hi: g.Hi})
	}
	page, err := r.store.ReadOutbox(ctx, read)
	if err != nil {
		return nil, err
	}
	_, err = r.set.Observe(q, gapset.Page{Seqs: seqsOf(page.Rows), Complete: len(page.Rows) < r.limit, Proof: gapset.XID(page.Xmin, page.Drawn)})
	return page.Rows, err
}

// The transaction's xid comes before its first seq, also when storing the
// event is the first thing that it writes: while nextval is made to wait, the
// xid is there. The same statement without its condition shows that the test
// can tell.
func TestXIDComesBeforeSeq(t *testing.T) {
	const condition = "WHERE pg_current_xact_id() IS NOT NULL"
	one, many := []eventmodels.OutboxRow{newRow("a")}, []eventmodels.OutboxRow{newRow("a"), newRow("b")}
	for name, c := range map[string]struct {
		rows []eventmodels.OutboxRow
		cut  string
		want bool
	}{
		"one": {one, "", true}, "one, without the condition": {one, condition, false},
		"many": {many, "", true}, "many, without the condition": {many, condition, false},
	} {
		query, args := insertStatement(scope, c.rows)
		if !strings.Contains(query, condition) {
			t.Fatal("the statement has changed")
		}
		query = strings.Replace(query, c.cut, "", 1)
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			holder := f.beginAdmin(t)
			mustExec(t, holder, "ALTER SEQUENCE events_outbox_seq_seq MAXVALUE 1000000") // locks the sequence, but not the table

			tx := f.begin(t)
			pid := pidOf(t, tx)
			inserted := make(chan error, 1)
			go func() {
				_, err := tx.ExecContext(testContext(t), query, args...)
				inserted <- err
			}()
			looker := rawPool(t, serverDSN(t))
			eventually(t, looker, `SELECT count(*) = 1 FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
				WHERE l.pid = $1 AND NOT l.granted AND c.relkind = 'S'`, pid)
			var has bool
			if err := looker.QueryRowContext(testContext(t), "SELECT backend_xid IS NOT NULL FROM pg_stat_activity WHERE pid = $1", pid).Scan(&has); err != nil {
				t.Fatal(err)
			}
			if has != c.want {
				t.Errorf("the transaction that waits for nextval has an xid: %v, want %v", has, c.want)
			}
			if err := holder.Rollback(); err != nil {
				t.Fatal(err)
			}
			if err := <-inserted; err != nil {
				t.Fatal(err)
			}
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// The transaction with the gap has a higher xid than all that have ended, so
// that the snapshot's xmax does not cover it.
func TestDrawnIsAboveEveryXIDInUse(t *testing.T) {
	f := newFixture(t)
	r := reader{store: f.store(t), limit: 10}
	ctx := testContext(t)
	begin := func() (tx *Tx, xid uint64) {
		tx = f.begin(t)
		if err := tx.QueryRowContext(ctx, "SELECT pg_current_xact_id()::text::bigint").Scan(&xid); err != nil {
			t.Fatal(err)
		}
		return tx, xid
	}
	insert := func(tx *Tx, topic string) {
		if err := (dialect{}).InsertOutbox(ctx, tx, scope, []eventmodels.OutboxRow{newRow(topic)}); err != nil {
			t.Fatal(err)
		}
	}
	first, _ := begin()
	late, lateXID := begin()
	insert(late, "late")
	insert(first, "first")
	if err := first.Commit(); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		page, err := r.store.ReadOutbox(ctx, eventmodels.OutboxRead{Scope: scope, Limit: 1, Hint: 1_000_000})
		if err != nil {
			t.Fatal(err)
		}
		if page.Drawn <= lateXID || page.Xmin > lateXID {
			t.Fatalf("xid %d is in use, and xmin is %d, drawn %d", lateXID, page.Xmin, page.Drawn)
		}
		rows, err := r.next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 && (len(rows) != 1 || rows[0].Topic != "first") || i > 0 && len(rows) != 0 {
			t.Fatalf("read %d: %v", i, topicsOf(rows))
		}
		if r.set.Len() != 1 {
			t.Fatalf("read %d: %d gaps", i, r.set.Len())
		}
	}
	if err := late.Commit(); err != nil {
		t.Fatal(err)
	}
	rows, err := r.next(ctx)
	if err != nil || len(rows) != 1 || rows[0].Topic != "late" {
		t.Fatalf("after the commit: %v, %v", topicsOf(rows), err)
	}
}

// A gap of a transaction that has rolled back closes although nobody draws an
// xid, in a database where nothing else happens.
func TestGapsCloseInAQuietDatabase(t *testing.T) {
	f := newFixture(t)
	r := reader{store: f.store(t), limit: 10}
	tx := f.begin(t)
	if err := (dialect{}).InsertOutbox(testContext(t), tx, scope, []eventmodels.OutboxRow{newRow("a"), newRow("a")}); err != nil {
		t.Fatal(err)
	}
	f.insertRows(t, newRow("b"))
	if _, err := r.next(testContext(t)); err != nil || r.set.Size() != 2 {
		t.Fatalf("%d seqs in gaps, %v", r.set.Size(), err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	for r.set.Len() > 0 { // transactions of other tests, in any database of the server, hold xmin back for a while
		if _, err := r.next(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// Many transactions, which overlap, are rolled back, wait and store their
// events at different moments. Those that update the same row have an order,
// and the reader must see it; and it must see every committed event once.
func TestReadingKeepsCommitOrder(t *testing.T) {
	const (
		workers  = 24
		perRound = 120
		accounts = 6
	)
	f := newFixture(t)
	mustExec(t, f.admin, "CREATE TABLE accounts (id integer PRIMARY KEY, version bigint NOT NULL)")
	mustExec(t, f.admin, "INSERT INTO accounts SELECT i, 0 FROM generate_series(0, $1 - 1) AS i", accounts)
	errRollback := errors.New("rolled back by the test")

	var (
		mu        sync.Mutex
		committed = map[string]bool{}
	)
	work := func(worker, n int, random *rand.Rand) error {
		account := random.IntN(accounts)
		name := fmt.Sprintf("%d/%d", worker, n)
		err := f.Transact(testContext(t), func(tx *Tx) error {
			if random.IntN(4) == 0 { // at once, and without an order
				if err := f.ProduceTx(testContext(t), tx.Tx, event{"unordered", "", []byte(name)}); err != nil {
					return err
				}
			} else {
				var version int64
				if err := tx.QueryRowContext(testContext(t), "UPDATE accounts SET version = version + 1 WHERE id = $1 RETURNING version", account).Scan(&version); err != nil {
					return err
				}
				payload := binary.BigEndian.AppendUint64(nil, uint64(version))
				tx.Produce(event{"ordered", fmt.Sprint(account), append(payload, name...)})
			}
			if random.IntN(5) == 0 {
				mustExec(t, tx, "SELECT pg_sleep($1)", random.Float64()*0.02)
			}
			if random.IntN(5) == 0 {
				return errRollback
			}
			return nil
		})
		switch {
		case err == nil:
			mu.Lock()
			committed[name] = true
			mu.Unlock()
		case !errors.Is(err, errRollback):
			return err
		}
		return nil
	}

	// One that stays open all the time, with events of its own.
	long := f.begin(t)
	if err := f.ProduceTx(testContext(t), long, event{"unordered", "", []byte("long")}); err != nil {
		t.Fatal(err)
	}

	seen := map[string]bool{}
	latest := map[string]uint64{}
	r := reader{store: f.store(t), limit: 7}
	check := func(rows []eventmodels.OutboxRow) {
		var keys []eventmodels.OutboxKey
		for _, row := range rows {
			keys = append(keys, row.OutboxKey())
			name := string(row.Payload)
			if row.Topic == scope+"ordered" {
				version := binary.BigEndian.Uint64(row.Payload)
				name = name[8:]
				if version <= latest[string(row.Key)] {
					t.Errorf("account %s: version %d after %d", row.Key, version, latest[string(row.Key)])
				}
				latest[string(row.Key)] = version
			}
			if seen[name] {
				t.Errorf("%s is seen twice", name)
			}
			seen[name] = true
		}
		if err := r.store.DeleteOutbox(testContext(t), scope, keys); err != nil {
			t.Error(err)
		}
	}

	var working sync.WaitGroup
	for worker := range workers {
		working.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for n := range perRound {
				if err := work(worker, n, random); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { working.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		rows, err := r.next(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		check(rows)
	}
	if err := long.Commit(); err != nil {
		t.Fatal(err)
	}
	committed["long"] = true
	for {
		rows, err := r.next(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		check(rows)
		if len(rows) == 0 {
			break
		}
	}
	for name := range committed {
		if !seen[name] {
			t.Errorf("%s is lost", name)
		}
	}
	if len(seen) != len(committed) {
		t.Errorf("%d events are seen, %d committed", len(seen), len(committed))
	}
	if n := f.count(t, "events_outbox"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	t.Logf("%d events committed, %d seqs drawn", len(committed), r.set.Hint())
}
