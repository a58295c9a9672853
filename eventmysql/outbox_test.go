package eventmysql

import (
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/eventmodels"
)

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
