package eventpg

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/storetest"
)

// waysIn are the transactions that can take events.
func waysIn(t testing.TB, d *database) map[string]storetest.Way {
	native, simple := pgxPool(t, d.DSN), pgxPool(t, withParams(d.DSN, "default_query_exec_mode=simple_protocol"))
	pgxWay := func(begin func() (pgx.Tx, error)) storetest.Way {
		return storetest.Way{Insert: func(t testing.TB, rows []eventmodels.OutboxRow) {
			t.Helper()
			tx, err := begin()
			if err != nil {
				t.Fatal(err)
			}
			storetest.LockAndInsert(t, dialect{}, tx, rows)
			if err := tx.Commit(testContext(t)); err != nil {
				t.Fatal(err)
			}
		}}
	}
	sqlWay := func(params ...string) storetest.Way {
		return storetest.Way{Insert: storetest.WayOf(dialect{}, rawPool(t, withParams(d.DSN, params...)))}
	}
	return map[string]storetest.Way{
		"eventpg.Tx": {Insert: func(t testing.TB, rows []eventmodels.OutboxRow) {
			t.Helper()
			tx := d.BeginTx(t)
			storetest.LockAndInsert(t, dialect{}, tx, rows)
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}},
		"sql.Tx":                 sqlWay("application_name=plain"),
		"sql.Tx simple protocol": sqlWay("default_query_exec_mode=simple_protocol"),
		"sql.Tx exec":            sqlWay("default_query_exec_mode=exec"),
		"pgxpool.Tx":             pgxWay(func() (pgx.Tx, error) { return native.Begin(testContext(t)) }),
		"pgx.Tx simple protocol": pgxWay(func() (pgx.Tx, error) { return simple.Begin(testContext(t)) }),
		"savepoint of pgx": {Insert: func(t testing.TB, rows []eventmodels.OutboxRow) {
			t.Helper()
			tx, err := native.Begin(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			pgxWay(func() (pgx.Tx, error) { return tx.Begin(testContext(t)) }).Insert(t, rows)
			if err := tx.Commit(testContext(t)); err != nil {
				t.Fatal(err)
			}
		}},
	}
}

// What fits into one statement.
func TestFitting(t *testing.T) {
	rows := make([]eventmodels.OutboxRow, 5)
	for i := range rows {
		rows[i].Payload = make([]byte, maxInsertBytes/5*2)
	}
	if n := fitting(rows); n != 2 {
		t.Errorf("%d rows in the first statement", n)
	}
	rows[0].Payload = make([]byte, maxInsertBytes+1)
	if n := fitting(rows); n != 1 {
		t.Errorf("%d rows in the first statement, the first of which is larger than allowed", n)
	}
}

// PostgreSQL's texts have neither NUL nor what is not UTF-8.

// A read says which transactions run, and returns nothing once one of those has
// ended that it was told to watch.
func TestReadOutboxWatchesBlockers(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	read := func(blockers ...uint64) eventmodels.OutboxPage {
		t.Helper()
		page, err := s.ReadOutbox(testContext(t), eventmodels.OutboxRead{Scope: scope, Blockers: blockers, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		return page
	}
	for _, commit := range []bool{true, false} {
		tx, err := f.Pool.BeginTx(testContext(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		var xid uint64
		mustExec(t, tx, "SAVEPOINT s")
		if err := tx.QueryRowContext(testContext(t), "SELECT pg_current_xact_id()").Scan(&xid); err != nil {
			t.Fatal(err)
		}
		f.InsertRows(t, newRow("a")) // ends above xid, so that xmax is
		page := read()
		if !slices.Contains(page.Running, xid) || page.Xmax <= xid || page.Xmin > xid || page.Drawn <= xid || len(page.Rows) == 0 {
			t.Fatalf("%d runs: %+v", xid, page)
		}
		if page = read(xid); page.Ended || len(page.Rows) == 0 {
			t.Fatalf("%d still runs: %+v", xid, page)
		}
		if commit {
			err = tx.Commit()
		} else {
			err = tx.Rollback()
		}
		if err != nil {
			t.Fatal(err)
		}
		if page = read(xid-1, xid); !page.Ended || len(page.Rows) > 0 {
			t.Fatalf("%d has ended: %+v", xid, page)
		}
		if page = read(); page.Ended || len(page.Rows) == 0 || slices.Contains(page.Running, xid) {
			t.Fatalf("nobody is watched: %+v", page)
		}
	}
}

// Above a limit rows are not counted one by one.
func TestStatsOfManyRows(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	const rows = eventmodels.StatsLimit + eventmodels.StatsLimit/2
	mustExec(t, f.Admin, "INSERT INTO events_outbox (scope, id, topic, created_at) SELECT $1, gen_random_uuid(), 'a', now() FROM generate_series(1, $2)", scope, rows)
	check := func(doneTo, want int64) {
		t.Helper()
		if stats, err := s.Stats(testContext(t), scope, doneTo); err != nil || stats.Rows != want {
			t.Errorf("above %d: %+v, %v; want %d rows", doneTo, stats, err, want)
		}
	}
	check(0, rows)
	mustExec(t, f.Admin, "DELETE FROM events_outbox WHERE seq % 2 = 0 AND seq <= 50000")
	check(50_000, rows-50_000)
	check(49_998, rows-50_000+1)
	mustExec(t, f.Admin, "DELETE FROM events_outbox WHERE seq % 2 = 0")
	check(0, rows/2)
}
