package eventmysql

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// Bytes that text would not hold, and what is absent against what is empty,
// with parameters in the text and without, and in every sql_mode.
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
	for name, change := range map[string]func(*mysql.Config){
		"text":       func(c *mysql.Config) { c.InterpolateParams = true },
		"parameters": func(c *mysql.Config) {},
		"no backslash": func(c *mysql.Config) {
			c.InterpolateParams = true
			c.Params = map[string]string{"sql_mode": "'NO_BACKSLASH_ESCAPES'"}
		},
		"ansi, not strict": func(c *mysql.Config) {
			c.InterpolateParams = true
			c.Params = map[string]string{"sql_mode": "'ANSI_QUOTES'"}
		},
		"latin1, time zone": func(c *mysql.Config) {
			c.Collation = "latin1_swedish_ci"
			c.Params = map[string]string{"time_zone": "'-05:00'"}
		},
		"parsed times": func(c *mysql.Config) { c.ParseTime = true; c.Loc = time.FixedZone("", 3600) },
	} {
		t.Run(name, func(t *testing.T) {
			pool := rawPool(t, changed(t, f.dsn, change))
			insert := func(rows []eventmodels.OutboxRow) {
				t.Helper()
				tx, err := pool.BeginTx(testContext(t), nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := (dialect{}).LockKeys(testContext(t), tx, scope, []int{0, 7, 255}); err != nil {
					t.Fatal(err)
				}
				if err := (dialect{}).InsertOutbox(testContext(t), tx, scope, rows); err != nil {
					t.Fatal(err)
				}
				if err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
			}
			insert(rows)
			for i := range rows { // each of them again, alone
				insert(rows[i : i+1])
			}
			want := slices.Concat(rows, rows)
			for reader, s := range map[string]eventmodels.OutboxStore{"own": s, "the pool's": openOf(t, Wrap(pool))} {
				page, err := s.ReadOutbox(testContext(t), eventmodels.OutboxRead{Scope: scope, Limit: 100})
				if err != nil {
					t.Fatal(err)
				}
				got := page.Rows
				if len(got) != len(want) {
					t.Fatalf("%s connection: %d rows of %d", reader, len(got), len(want))
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
				if reader == "own" {
					defer func() {
						if err := s.DeleteOutbox(testContext(t), scope, keys); err != nil || f.count(t, "events_outbox") != 0 {
							t.Fatal(err)
						}
					}()
				}
			}
		})
	}
}

// openOf opens a store that is closed at the end of the test.
func openOf(t testing.TB, db *DB) eventmodels.OutboxStore {
	t.Helper()
	s, err := db.OpenOutbox(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestOutboxInsertOfManyBytesIsSplitInOrder(t *testing.T) {
	rows := make([]eventmodels.OutboxRow, 5)
	for i := range rows {
		rows[i] = newRow(fmt.Sprint(i))
		rows[i].Payload = make([]byte, insertBytes/5*2)
	}
	if n := fitting(rows); n != 2 {
		t.Fatalf("%d rows in the first statement", n)
	}
	rows[0].Payload = bytes.Repeat([]byte("'"), insertBytes+1)
	if n := fitting(rows); n != 1 {
		t.Fatalf("%d rows in the first statement, the first of which is larger than allowed", n)
	}
	if n := fitting(make([]eventmodels.OutboxRow, 50_000)); n != insertChunk {
		t.Fatalf("%d small rows in the first statement", n)
	}
	f := newFixture(t)
	s := f.store(t)
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
	mustExec(t, f.admin, "INSERT INTO events_outbox (scope, id, topic, created_at) VALUES ('Test.', '', '', 0), ('test. ', '', '', 0)")
	gaps := func(bounds ...int64) (gaps []eventmodels.SeqRange) {
		for i := 0; i < len(bounds); i += 2 {
			gaps = append(gaps, eventmodels.SeqRange{Lo: bounds[i], Hi: bounds[i+1]})
		}
		return gaps
	}
	for name, c := range map[string]struct {
		read eventmodels.OutboxRead
		want []int64
		cut  bool
	}{
		"all":                    {eventmodels.OutboxRead{Limit: 100}, seqsFrom(1, 20), false},
		"limit":                  {eventmodels.OutboxRead{Limit: 3}, seqsFrom(1, 3), false},
		"above":                  {eventmodels.OutboxRead{Hint: 17, Limit: 100}, seqsFrom(18, 20), false},
		"nothing":                {eventmodels.OutboxRead{Hint: 20, Limit: 100}, nil, false},
		"gaps":                   {eventmodels.OutboxRead{Gaps: gaps(2, 2, 4, 6, 8, 13), Hint: 18, Limit: 100}, []int64{2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 19, 20}, false},
		"gaps and limit":         {eventmodels.OutboxRead{Gaps: gaps(2, 2, 8, 13), Hint: 18, Limit: 4}, []int64{2, 8, 9, 10}, false},
		"gaps where nothing is":  {eventmodels.OutboxRead{Gaps: gaps(21, 1000, 1003, 1003), Hint: 2000, Limit: 100}, nil, false},
		"weight":                 {eventmodels.OutboxRead{Limit: 100, MaxBytes: 7}, seqsFrom(1, 3), true},
		"weight of the last row": {eventmodels.OutboxRead{Hint: 19, Limit: 100, MaxBytes: 1}, []int64{20}, true},
	} {
		t.Run(name, func(t *testing.T) {
			c.read.Scope = scope
			page, err := s.ReadOutbox(testContext(t), c.read)
			if err != nil || !slices.Equal(seqsOf(page.Rows), c.want) || page.Cut != c.cut || page.Proof != eventmodels.ProofClock {
				t.Errorf("%v, cut %v, %v", seqsOf(page.Rows), page.Cut, err)
			}
		})
	}
	page, err := s.ReadOutbox(testContext(t), eventmodels.OutboxRead{Scope: scope, Limit: 2, Held: []string{"topic-1", "others"}})
	if err != nil {
		t.Fatal(err)
	}
	if first, second := page.Rows[0], page.Rows[1]; string(first.Payload) != "p" || second.Key != nil || second.Headers != nil || second.Payload != nil || second.Topic != "topic-1" {
		t.Errorf("a held topic: %v", page.Rows)
	}
}

func seqsFrom(lo, hi int64) (seqs []int64) {
	for seq := lo; seq <= hi; seq++ {
		seqs = append(seqs, seq)
	}
	return seqs
}

// Thousands of gaps fit into a statement, and a read of them is one range scan
// of the primary key, whatever the server believes about the table's size.
func TestReadPlan(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	read := eventmodels.OutboxRead{Scope: scope, Hint: 1_000_000, Limit: 500, Held: []string{"a"}}
	for i := range int64(3000) {
		read.Gaps = append(read.Gaps, eventmodels.SeqRange{Lo: 10 * i, Hi: 10*i + i%8})
	}
	check := func(read eventmodels.OutboxRead) {
		t.Helper()
		query, args := readQuery(read)
		for _, row := range explained(t, f, query, args...) {
			if row["type"] != "range" || row["key"] != "PRIMARY" || strings.Contains(row["Extra"], "filesort") || strings.Contains(row["Extra"], "temporary") {
				t.Errorf("plan: %v", row)
			}
		}
	}
	few := read
	few.Gaps = few.Gaps[:5]
	check(few)
	var rows []eventmodels.OutboxRow
	for range 5000 {
		rows = append(rows, newRow("t"))
	}
	f.insertRows(t, rows...) // the statistics are those of an empty table
	check(few)
	mustExec(t, f.admin, "ANALYZE TABLE events_outbox")
	check(few)
	check(read)
	if page, err := s.ReadOutbox(testContext(t), read); err != nil || len(page.Rows) == 0 {
		t.Errorf("%d rows, %v", len(page.Rows), err)
	}
	for _, row := range explained(t, f, deleteOutbox, keyList([]eventmodels.OutboxKey{{Seq: 1}, {Seq: 2}}), []byte(scope)) {
		if row["table"] == "o" && (row["type"] != "eq_ref" || row["key"] != "PRIMARY") {
			t.Errorf("plan of the delete: %v", row)
		}
	}
}

// explained returns the rows of EXPLAIN, by column.
func explained(t *testing.T, f *fixture, query string, args ...any) (plan []map[string]string) {
	t.Helper()
	pool := rawPool(t, changed(t, f.dsn, func(c *mysql.Config) { c.InterpolateParams = true }))
	rows, err := pool.QueryContext(testContext(t), "EXPLAIN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values := make([]*string, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		row := make(map[string]string)
		for i, name := range names {
			if values[i] != nil {
				row[name] = *values[i]
			}
		}
		plan = append(plan, row)
	}
	if rows.Err() != nil || len(plan) == 0 {
		t.Fatalf("%d rows of a plan, %v", len(plan), rows.Err())
	}
	return plan
}

// A row goes when seq and id are its own, and nobody's open transaction is
// waited for.
func TestDeleteOutbox(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	f.insertRows(t, newRow("a"), newRow("b"), newRow("c"))
	open := f.begin(t)
	if err := (dialect{}).InsertOutbox(testContext(t), open, scope, []eventmodels.OutboxRow{newRow("d"), newRow("e")}); err != nil {
		t.Fatal(err)
	}
	rows := f.outbox(t, s)
	wrong := []eventmodels.OutboxKey{
		{Seq: rows[0].Seq, ID: newRow("").ID},
		{Seq: rows[0].Seq, ID: rows[1].ID},
		{Seq: 4711, ID: rows[0].ID},
	}
	if err := s.DeleteOutbox(testContext(t), scope, wrong); err != nil || f.count(t, "events_outbox") != 3 {
		t.Errorf("keys of no row: %v", err)
	}
	if err := s.DeleteOutbox(testContext(t), "other.", []eventmodels.OutboxKey{rows[0].OutboxKey()}); err != nil || f.count(t, "events_outbox") != 3 {
		t.Errorf("another scope: %v", err)
	}
	keys := []eventmodels.OutboxKey{rows[2].OutboxKey(), rows[0].OutboxKey(), wrong[0], {Seq: rows[2].Seq + 1}, {Seq: rows[2].Seq + 2}}
	if err := s.DeleteOutbox(testContext(t), scope, keys[:3]); err != nil {
		t.Errorf("delete: %v", err)
	}
	if got := seqsOf(f.outbox(t, s)); !slices.Equal(got, []int64{rows[1].Seq}) {
		t.Errorf("left: %v", got)
	}
	if err := s.DeleteOutbox(testContext(t), scope, keys[:3]); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := s.DeleteOutbox(testContext(t), scope, nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
	if err := open.Commit(); err != nil {
		t.Error(err)
	}
}

func TestParkOutboxAndStats(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	if stats, err := s.Stats(testContext(t), scope, 0); err != nil || stats != (eventmodels.OutboxStats{}) {
		t.Errorf("an empty outbox: %+v, %v", stats, err)
	}
	old := newRow("a")
	old.CreatedAt = time.Now().Add(-time.Hour)
	old.Key, old.Payload = []byte{0}, []byte("\xff")
	f.insertRows(t, old, newRow("b"))
	key := f.outbox(t, s)[0].OutboxKey()
	if stats, err := s.Stats(testContext(t), scope, 0); err != nil || stats.Rows != 2 || stats.Parked != 0 || stats.OldestAge < 59*time.Minute || stats.OldestAge > 61*time.Minute {
		t.Errorf("stats: %+v, %v", stats, err)
	}
	reason := strings.Repeat("ä", mysqldb.MaxReason) + "\xff\x00"
	for range 2 { // the second time there is nothing to park
		if err := s.ParkOutbox(testContext(t), scope, key, reason); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.ParkOutbox(testContext(t), scope, eventmodels.OutboxKey{Seq: key.Seq + 1, ID: key.ID}, "not its id"); err != nil {
		t.Fatal(err)
	}
	if stats, err := s.Stats(testContext(t), scope, 0); err != nil || stats.Rows != 1 || stats.Parked != 1 || stats.OldestAge > time.Minute {
		t.Errorf("stats: %+v, %v", stats, err)
	}
	if stats, err := s.Stats(testContext(t), "other.", 0); err != nil || stats != (eventmodels.OutboxStats{}) {
		t.Errorf("another scope: %+v, %v", stats, err)
	}
}
