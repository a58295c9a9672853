package events_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// imported is a row of the marks' table of an earlier implementation.
type imported struct{ group, handler, topic, source, id string }

var importedRows = []imported{
	{"billing", "invoice", "orders.placed", "/shop", "1"},
	{"billing", "invoice", "orders.placed", "", "1"},
	{"billing", strings.Repeat("h", 127), "orders.placed", "/shop", "1"},
	{"billing", strings.Repeat("h", 128), "orders.placed", "/shop", "1"},
	{"billing", "invoice", "orders.placed", "/shop", strings.Repeat("ü", 150)},
	{"billing", "invoice", "orders.placed", "/shop", "0190163d-8694-739b-aea5-966c26f8ad91"}, // version 7
	{"billing", "invoice", "orders.placed", "/shop", "0190163D-8694-739B-AEA5-966C26F8AD91"},
	{"billing", "invoice", "orders.placed", "/shop", "0190163d-8694-439b-aea5-966c26f8ad91"},
	{"billing", "invoice", "orders.placed", "/shop", "0190163d8694739baea5966c26f8ad91"},
	{"billing", "invoice", "orders.placed", "/shop", strings.Repeat("i", 9000)},
}

// The statement of docs/migration.md makes the marks that the library makes.
func TestMigrationStatement(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("docs", "migration.md"))
	if err != nil {
		t.Fatal(err)
	}
	statement := regexp.MustCompile("(?s)```sql[^\n]*\n(.*?)```").FindSubmatch(text)
	if statement == nil {
		t.Fatal("docs/migration.md has no statement")
	}
	ctx := t.Context()
	dsn := newPostgresDatabase(t, backend(t, "postgres", "EVENTS_POSTGRES_DSN"))
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := eventpg.Migrate(ctx, db); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(ctx, query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE old_marks (consumer_group text, handler text, topic text, source text, event_id text, done_at timestamptz)`)
	const insert = `INSERT INTO old_marks VALUES ($1, $2, $3, $4, $5, now() - $6::interval)`
	for _, r := range importedRows {
		exec(insert, r.group, r.handler, r.topic, r.source, r.id, "1 day")
	}
	exec(insert, "billing", "invoice", "orders.placed", "/shop", "old", "31 days")
	exec(insert, "billing", "invoice", "orders.placed", "/shop", "", "1 day")
	run := func() error {
		again := strings.Replace(string(statement[1]), "CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)
		_, err := conn.PgConn().Exec(ctx, again).ReadAll()
		return err
	}
	for range 2 {
		if err := run(); err != nil {
			t.Fatal(err)
		}
	}
	// A part that the statement cannot do makes it fail, not wrong marks.
	exec(insert, "billing", "invoice", "orders.placed", "/shop", strings.Repeat("i", 16384), "1 day")
	if run() == nil {
		t.Error("an id of 16384 bytes has got a mark")
	}
	lib := eventpg.NewLibrary()
	for _, r := range importedRows {
		m := lib.Mark(events.NewConsumerGroup(r.group), r.handler, r.topic, r.source, r.id)
		var n int
		if err := conn.QueryRow(ctx, `SELECT count(*) FROM events_marks WHERE k = $1 AND done_at < now() - interval '23 hours'`, m[:]).Scan(&n); err != nil || n != 1 {
			t.Errorf("%.60v: %d marks, %v", r, n, err)
		}
	}
	var n int
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM events_marks`).Scan(&n); err != nil || n != len(importedRows) {
		t.Errorf("%d marks, %v; want %d", n, err, len(importedRows))
	}
}

// An event whose mark was imported is not handled again.
func ExampleLibraryNoDB_Mark() {
	ctx := context.Background()
	broker, db, stop := exampleServers()
	defer stop()
	placed := eventsqlite.BindTopic[string]("orders.placed")
	billing := events.NewConsumerGroup("billing")
	invoiced := make(chan string)

	lib := eventsqlite.NewLibrary()
	lib.ConsumeExactlyOnce(billing, eventmodels.OnFailureBlock, "invoice", placed.HandlerTx(
		func(_ context.Context, _ *eventsqlite.Tx, e eventmodels.Event[string]) error {
			invoiced <- e.ID
			return nil
		}))
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	defer lib.Shutdown(ctx)

	// What the table of the earlier implementation says is done.
	marks := []eventmodels.Mark{lib.Mark(billing, "invoice", "orders.placed", "/shop", "1")}
	must(db.TransactOnce(ctx, marks, func(*eventsqlite.Tx, []bool) error { return nil }))

	lib.StartConsumingOrPanic(ctx)
	event := placed.Event("order", "an order").Source("/shop")
	must(lib.Produce(ctx, eventmodels.ProduceImmediate, event.ID("1"), event.ID("2")))
	fmt.Println("invoiced:", <-invoiced)
	// Output: invoiced: 2
}
