package eventpg

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Bytes that text would not hold, and what is absent against what is empty,
// on every way into the outbox.
func TestOutboxKeepsEveryByte(t *testing.T) {
	at := time.Date(2026, 2, 28, 23, 59, 59, 123456000, time.UTC)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	make1 := func(topic string, key, headers, payload []byte) eventmodels.OutboxRow {
		row := newRow(topic)
		row.Key, row.Headers, row.Payload, row.CreatedAt = key, headers, payload, at
		return row
	}
	rows := []eventmodels.OutboxRow{
		make1("all", every, every, every),
		make1("nil", nil, nil, nil),
		make1("empty", []byte{}, []byte{}, []byte{}),
		make1("nul", []byte{0}, []byte{0, 0}, []byte{0, 0, 0}),
		make1("not-utf8", []byte("\xff\xfe"), []byte("\xc3\x28"), []byte("\xed\xa0\x80")),
		make1(`quotes'"\{},NULL`, []byte(`NULL`), []byte(`{"a",'b'}`), []byte(`\x00`)),
		make1(strings.Repeat("t", 249), bytes.Repeat([]byte("i"), 300), []byte(strings.Repeat("ä", 150)), bytes.Repeat(every, 4096)),
	}
	f := newFixture(t)
	s := f.store(t)
	for name, insert := range f.waysIn(t) {
		t.Run(name, func(t *testing.T) {
			insert(t, rows)
			for i := range rows { // each of them again, alone
				insert(t, rows[i:i+1])
			}
			want := slices.Concat(rows, rows)
			got := f.outbox(t, s)
			if len(got) != len(want) {
				t.Fatalf("%d rows of %d", len(got), len(want))
			}
			var keys []eventmodels.OutboxKey
			for i := range got {
				keys = append(keys, got[i].OutboxKey())
				if i > 0 && got[i].Seq <= got[i-1].Seq {
					t.Errorf("seq %d after %d", got[i].Seq, got[i-1].Seq)
				}
				got[i].Seq, got[i].CreatedAt = 0, got[i].CreatedAt.UTC()
				if !reflect.DeepEqual(got[i], want[i]) { // nil and empty differ
					t.Errorf("%s: got %.200q, inserted %.200q", want[i].Topic, fmt.Sprintf("%#v", got[i]), fmt.Sprintf("%#v", want[i]))
				}
			}
			if err := s.DeleteOutbox(testContext(t), scope, keys); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// waysIn are the transactions that can take events.
func (f *fixture) waysIn(t *testing.T) map[string]func(*testing.T, []eventmodels.OutboxRow) {
	insert := func(t *testing.T, tx any, rows []eventmodels.OutboxRow) {
		t.Helper()
		abstract, err := dialect{}.Transaction(tx)
		if err != nil {
			t.Fatal(err)
		}
		if err := (dialect{}).LockKeys(testContext(t), abstract, scope, []int{0, 7, 255}); err != nil {
			t.Fatal(err)
		}
		if err := (dialect{}).InsertOutbox(testContext(t), abstract, scope, rows); err != nil {
			t.Fatal(err)
		}
	}
	native, err := pgxpool.New(testContext(t), f.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(native.Close)
	simple, err := pgxpool.New(testContext(t), withParams(f.dsn, "default_query_exec_mode=simple_protocol"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(simple.Close)
	pgxWay := func(begin func() (pgx.Tx, error)) func(*testing.T, []eventmodels.OutboxRow) {
		return func(t *testing.T, rows []eventmodels.OutboxRow) {
			tx, err := begin()
			if err != nil {
				t.Fatal(err)
			}
			insert(t, tx, rows)
			if err := tx.Commit(testContext(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	sqlWay := func(dsn string) func(*testing.T, []eventmodels.OutboxRow) {
		pool := rawPool(t, dsn)
		return func(t *testing.T, rows []eventmodels.OutboxRow) {
			tx, err := pool.BeginTx(testContext(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			insert(t, tx, rows)
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return map[string]func(*testing.T, []eventmodels.OutboxRow){
		"eventpg.Tx": func(t *testing.T, rows []eventmodels.OutboxRow) {
			tx, err := f.Unwrap().BeginTx(testContext(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			insert(t, tx, rows)
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		},
		"sql.Tx":                 sqlWay(f.dsn),
		"sql.Tx simple protocol": sqlWay(withParams(f.dsn, "default_query_exec_mode=simple_protocol")),
		"sql.Tx exec":            sqlWay(withParams(f.dsn, "default_query_exec_mode=exec")),
		"pgxpool.Tx":             pgxWay(func() (pgx.Tx, error) { return native.Begin(testContext(t)) }),
		"pgx.Tx simple protocol": pgxWay(func() (pgx.Tx, error) { return simple.Begin(testContext(t)) }),
		"savepoint of pgx": func(t *testing.T, rows []eventmodels.OutboxRow) {
			tx, err := native.Begin(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			pgxWay(func() (pgx.Tx, error) { return tx.Begin(testContext(t)) })(t, rows)
			if err := tx.Commit(testContext(t)); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func TestOutboxInsertOfManyBytesIsSplitInOrder(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	rows := make([]eventmodels.OutboxRow, 5)
	for i := range rows {
		rows[i] = newRow(fmt.Sprint(i))
		rows[i].Payload = make([]byte, maxInsertBytes/5*2)
	}
	if n := fitting(rows); n != 2 {
		t.Fatalf("%d rows in the first statement", n)
	}
	rows[0].Payload = make([]byte, maxInsertBytes+1)
	if n := fitting(rows); n != 1 {
		t.Fatalf("%d rows in the first statement, the first of which is larger than allowed", n)
	}
	f.insertRows(t, rows...)
	page, err := s.ReadOutbox(testContext(t), eventmodels.OutboxRead{Scope: scope, Limit: 10, Held: []string{"0", "1", "2", "3", "4"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := topicsOf(page.Rows); !slices.Equal(got, []string{"0", "1", "2", "3", "4"}) {
		t.Fatalf("order: %v", got)
	}
}

func topicsOf(rows []eventmodels.OutboxRow) (topics []string) {
	for i := range rows {
		topics = append(topics, rows[i].Topic)
	}
	return topics
}

func seqsOf(rows []eventmodels.OutboxRow) (seqs []int64) {
	for i := range rows {
		seqs = append(seqs, rows[i].Seq)
	}
	return seqs
}

func TestReadOutbox(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	var rows []eventmodels.OutboxRow
	for i := range 20 {
		row := newRow(fmt.Sprint("topic-", i%2))
		row.Key, row.Payload = []byte("k"), []byte("p")
		rows = append(rows, row)
	}
	f.insertRows(t, rows...) // their seqs are 1 to 20
	for name, c := range map[string]struct {
		read eventmodels.OutboxRead
		want []int64
	}{
		"all":                    {eventmodels.OutboxRead{Limit: 3}, []int64{1, 2, 3}},
		"above":                  {eventmodels.OutboxRead{Hint: 18, Limit: 3}, []int64{19, 20}},
		"nothing":                {eventmodels.OutboxRead{Hint: 20, Limit: 3}, nil},
		"gaps first":             {eventmodels.OutboxRead{Hint: 18, Limit: 4, Gaps: []eventmodels.SeqRange{{Lo: 2, Hi: 2}, {Lo: 5, Hi: 6}}}, []int64{2, 5, 6, 19}},
		"cut in a gap":           {eventmodels.OutboxRead{Hint: 18, Limit: 4, Gaps: []eventmodels.SeqRange{{Lo: 2, Hi: 10}, {Lo: 12, Hi: 16}}}, []int64{2, 3, 4, 5}},
		"a gap cut, then more":   {eventmodels.OutboxRead{Hint: 18, Limit: 12, Gaps: []eventmodels.SeqRange{{Lo: 2, Hi: 10}, {Lo: 12, Hi: 16}}}, []int64{2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14}},
		"a wide gap":             {eventmodels.OutboxRead{Hint: 3_000_000_000, Limit: 3, Gaps: []eventmodels.SeqRange{{Lo: 20, Hi: 2_999_999_999}}}, []int64{20}},
		"nothing in the gaps":    {eventmodels.OutboxRead{Hint: 2_000, Limit: 3, Gaps: []eventmodels.SeqRange{{Lo: 21, Hi: 30}, {Lo: 40, Hi: 50}}}, nil},
		"another scope is apart": {eventmodels.OutboxRead{Scope: "other", Limit: 3}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if c.read.Scope == "" {
				c.read.Scope = scope
			}
			page, err := s.ReadOutbox(testContext(t), c.read)
			if err != nil {
				t.Fatal(err)
			}
			if got := seqsOf(page.Rows); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if page.Proof != eventmodels.ProofXID || page.Xmin == 0 || page.Drawn < page.Xmin {
				t.Errorf("proof %v, xmin %d, drawn %d", page.Proof, page.Xmin, page.Drawn)
			}
		})
	}
}

func TestReadOutboxOfHeldTopics(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	for _, topic := range []string{"open", "held", "also held"} {
		row := newRow(topic)
		row.Key, row.Payload = []byte("k"), []byte("p")
		f.insertRows(t, row)
	}
	page, err := s.ReadOutbox(testContext(t), eventmodels.OutboxRead{Scope: scope, Limit: 10, Held: []string{"held", "also held", "none"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := topicsOf(page.Rows); !slices.Equal(got, []string{"open", "held", "also held"}) {
		t.Fatalf("rows: %v", got)
	}
	for _, row := range page.Rows {
		if held := row.Topic != "open"; held != (row.Key == nil && row.Headers == nil && row.Payload == nil) {
			t.Errorf("row of %q: %+v", row.Topic, row)
		}
	}
}

func TestDeleteOutbox(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	f.insertRows(t, newRow("a"), newRow("b"), newRow("c"))
	rows := f.outbox(t, s)
	reissued := eventmodels.OutboxKey{Seq: rows[1].Seq, ID: newRow("x").ID}
	gone := eventmodels.OutboxKey{Seq: 1000, ID: rows[1].ID}
	if err := s.DeleteOutbox(testContext(t), scope, []eventmodels.OutboxKey{gone, rows[2].OutboxKey(), reissued, rows[0].OutboxKey(), rows[0].OutboxKey()}); err != nil {
		t.Fatal(err)
	}
	if got := topicsOf(f.outbox(t, s)); !slices.Equal(got, []string{"b"}) {
		t.Fatalf("left: %v", got)
	}
	if err := s.DeleteOutbox(testContext(t), "other", []eventmodels.OutboxKey{rows[1].OutboxKey()}); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteOutbox(testContext(t), scope, nil); err != nil {
		t.Fatal(err)
	}
	if got := topicsOf(f.outbox(t, s)); !slices.Equal(got, []string{"b"}) {
		t.Fatalf("left: %v", got)
	}
}

func TestParkOutboxAndStats(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	if stats, err := s.Stats(testContext(t), scope, 0); err != nil || stats != (eventmodels.OutboxStats{}) {
		t.Fatalf("empty: %+v, %v", stats, err)
	}
	old := newRow("old")
	old.CreatedAt = time.Now().Add(-time.Hour)
	f.insertRows(t, old, newRow("new"))
	rows := f.outbox(t, s)
	stats, err := s.Stats(testContext(t), scope, 0)
	if err != nil || stats.Rows != 2 || stats.Parked != 0 || stats.OldestAge < 59*time.Minute || stats.OldestAge > 61*time.Minute {
		t.Fatalf("two rows: %+v, %v", stats, err)
	}
	reason := "too large \x00 \xff " + strings.Repeat("ä", maxReason)
	for range 2 { // the second time it is gone
		if err := s.ParkOutbox(testContext(t), scope, rows[0].OutboxKey(), reason); err != nil {
			t.Fatal(err)
		}
	}
	if stats, err := s.Stats(testContext(t), scope, 0); err != nil || stats.Rows != 1 || stats.Parked != 1 || stats.OldestAge > time.Minute {
		t.Fatalf("one row is parked: %+v, %v", stats, err)
	}
	var (
		topic, stored string
		headers       []byte
	)
	if err := f.admin.QueryRowContext(testContext(t), "SELECT topic, error, headers FROM events_outbox_parked").Scan(&topic, &stored, &headers); err != nil {
		t.Fatal(err)
	}
	if topic != "old" || !strings.HasPrefix(stored, "too large \uFFFD \uFFFD ää") || !bytes.Equal(headers, []byte{0}) {
		t.Errorf("parked: %s, %.30q, %q", topic, stored, headers)
	}
	future := newRow("future")
	future.CreatedAt = time.Now().Add(time.Hour)
	if err := s.DeleteOutbox(testContext(t), scope, []eventmodels.OutboxKey{rows[1].OutboxKey()}); err != nil {
		t.Fatal(err)
	}
	f.insertRows(t, future)
	if stats, err := s.Stats(testContext(t), scope, 0); err != nil || stats.OldestAge != 0 {
		t.Fatalf("of the future: %+v, %v", stats, err)
	}
}

// A page ends with the row with which it weighs what is asked for, and the next
// one begins there.
func TestReadOutboxByWeight(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	rows := make([]eventmodels.OutboxRow, 12)
	for i := range rows {
		rows[i] = newRow("t")
		rows[i].Payload = make([]byte, 100<<10)
	}
	f.insertRows(t, rows...)
	var hint int64
	var sizes []int
	for cut := true; cut; {
		page, err := s.ReadOutbox(testContext(t), eventmodels.OutboxRead{Scope: scope, Hint: hint, Limit: 100, MaxBytes: 450 << 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range page.Rows {
			if len(row.Payload) != 100<<10 || row.Seq <= hint {
				t.Fatalf("row %d, of %d bytes, behind %d", row.Seq, len(row.Payload), hint)
			}
			hint = row.Seq
		}
		sizes, cut = append(sizes, len(page.Rows)), page.Cut
	}
	if want := []int{5, 5, 2}; !slices.Equal(sizes, want) {
		t.Errorf("pages of %v rows, want %v", sizes, want)
	}
	if page, err := s.ReadOutbox(testContext(t), eventmodels.OutboxRead{Scope: scope, Limit: 100, MaxBytes: 1}); err != nil || len(page.Rows) != 1 || !page.Cut {
		t.Errorf("a row that is larger than the page: %d rows, %v", len(page.Rows), err)
	}
}

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
		tx, err := f.pool.BeginTx(testContext(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		var xid uint64
		mustExec(t, tx, "SAVEPOINT s")
		if err := tx.QueryRowContext(testContext(t), "SELECT pg_current_xact_id()").Scan(&xid); err != nil {
			t.Fatal(err)
		}
		f.insertRows(t, newRow("a")) // ends above xid, so that xmax is
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
	mustExec(t, f.admin, "INSERT INTO events_outbox (scope, id, topic, created_at) SELECT $1, gen_random_uuid(), 'a', now() FROM generate_series(1, $2)", scope, rows)
	check := func(doneTo, want int64) {
		t.Helper()
		if stats, err := s.Stats(testContext(t), scope, doneTo); err != nil || stats.Rows != want {
			t.Errorf("above %d: %+v, %v; want %d rows", doneTo, stats, err, want)
		}
	}
	check(0, rows)
	mustExec(t, f.admin, "DELETE FROM events_outbox WHERE seq % 2 = 0 AND seq <= 50000")
	check(50_000, rows-50_000)
	check(49_998, rows-50_000+1)
	mustExec(t, f.admin, "DELETE FROM events_outbox WHERE seq % 2 = 0")
	check(0, rows/2)
}
