package eventpg

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/gapset"
	"github.com/seed46dd6f11/events/internal/storetest"
)

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
			holder := f.BeginAdmin(t)
			mustExec(t, holder, "ALTER SEQUENCE events_outbox_seq_seq MAXVALUE 1000000") // locks the sequence, but not the table

			tx := f.BeginTx(t)
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
	r := storetest.Reader{Store: f.store(t), Limit: 10}
	ctx := testContext(t)
	begin := func() (tx *Tx, xid uint64) {
		tx = f.BeginTx(t)
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
		page, err := r.Store.ReadOutbox(ctx, eventmodels.OutboxRead{Scope: scope, Limit: 1, Hint: 1_000_000})
		if err != nil {
			t.Fatal(err)
		}
		if page.Drawn <= lateXID || page.Xmin > lateXID {
			t.Fatalf("xid %d is in use, and xmin is %d, drawn %d", lateXID, page.Xmin, page.Drawn)
		}
		rows, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 && (len(rows) != 1 || rows[0].Topic != "first") || i > 0 && len(rows) != 0 {
			t.Fatalf("read %d: %v", i, topicsOf(rows))
		}
		if n := len(r.Gaps.Ask().Gaps); n != 1 {
			t.Fatalf("read %d: %d gaps", i, n)
		}
	}
	if err := late.Commit(); err != nil {
		t.Fatal(err)
	}
	rows, err := r.Next(ctx)
	if err != nil || len(rows) != 1 || rows[0].Topic != "late" {
		t.Fatalf("after the commit: %v, %v", topicsOf(rows), err)
	}
}

// A gap of a transaction that has rolled back closes although nobody draws an
// xid, in a database where nothing else happens.
func TestGapsCloseInAQuietDatabase(t *testing.T) {
	f := newFixture(t)
	r := storetest.Reader{Store: f.store(t), Limit: 10}
	tx := f.BeginTx(t)
	if err := (dialect{}).InsertOutbox(testContext(t), tx, scope, []eventmodels.OutboxRow{newRow("a"), newRow("a")}); err != nil {
		t.Fatal(err)
	}
	f.InsertRows(t, newRow("b"))
	if _, err := r.Next(testContext(t)); err != nil || !slices.Equal(r.Gaps.Ask().Gaps, []gapset.Range{{Lo: 1, Hi: 2}}) {
		t.Fatalf("gaps: %v, %v", r.Gaps.Ask().Gaps, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	for len(r.Gaps.Ask().Gaps) > 0 { // transactions of other tests, in any database of the server, hold xmin back for a while
		if _, err := r.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
