package eventmysql

import (
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/storetest"
)

// ways have parameters in the text and without, and every sql_mode. What they
// have stored is read by connections of the same kind, too.
func ways(t testing.TB, d *database) map[string]storetest.Way {
	all := make(map[string]storetest.Way)
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
		pool := rawPool(t, changed(t, d.DSN, change))
		all[name] = storetest.Way{Insert: storetest.WayOf(dialect{}, pool), Store: storetest.OpenStore(t, Wrap(pool))}
	}
	return all
}

// What fits into one statement.
func TestFitting(t *testing.T) {
	rows := make([]eventmodels.OutboxRow, 5)
	for i := range rows {
		rows[i].Payload = make([]byte, insertBytes/5*2)
	}
	if n := fitting(rows); n != 2 {
		t.Errorf("%d rows in the first statement", n)
	}
	rows[0].Payload = make([]byte, insertBytes+1)
	if n := fitting(rows); n != 1 {
		t.Errorf("%d rows in the first statement, the first of which is larger than allowed", n)
	}
	if n := fitting(make([]eventmodels.OutboxRow, 50_000)); n != insertChunk {
		t.Errorf("%d small rows in the first statement", n)
	}
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
	f.InsertRows(t, rows...) // the statistics are those of an empty table
	check(few)
	mustExec(t, f.Admin, "ANALYZE TABLE events_outbox")
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
	pool := rawPool(t, changed(t, f.DSN, func(c *mysql.Config) { c.InterpolateParams = true }))
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
