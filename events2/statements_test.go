package events2

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"flag"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

var update = flag.Bool("update", false, "write testdata/statements.sql anew")

// Every statement that the package sends is in testdata/statements.sql, so that
// those who know SingleStore can read them, and a change of one is seen. What
// defines the tables comes first. Lists have as many parameters as the calls of
// this test make them have.
func TestStatements(t *testing.T) {
	dsn, _ := database(t)
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal("the DSN cannot be read")
	}
	config.InterpolateParams = true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	recorded := &recorder{Connector: connector, seen: make(map[string]bool)}
	pool := sql.OpenDB(recorded)
	defer pool.Close()
	exerciseAll(t, pool)

	var golden strings.Builder
	golden.WriteString("-- Made by go test ./events2 -run TestStatements -update\n\n" + strings.TrimSpace(migration.VersionTable) + ";\n\n")
	names, err := fs.Glob(Schema, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(Schema, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range mysqldb.Statements(string(text)) {
			golden.WriteString(statement + ";\n\n")
		}
	}
	for _, statement := range recorded.statements() {
		golden.WriteString(statement + ";\n\n")
	}
	const file = "testdata/statements.sql"
	if *update {
		if err := os.WriteFile(file, []byte(golden.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if golden.String() != string(want) {
		t.Errorf("the statements are not those of %s; if that is meant, run this test with -update and read the difference", file)
	}
}

// exerciseAll calls everything that sends a statement.
func exerciseAll(t *testing.T, pool *sql.DB) {
	ctx := testContext(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db := Wrap(pool)
	defer db.Close()
	db.AugmentWithProducer(newProducer())
	must(db.Ping(ctx))
	must(db.Transact(ctx, func(tx *Tx) error { tx.Produce(event("a", "k"), event("b", "")); return nil }))
	must(db.Transact(ctx, func(tx *Tx) error { tx.Produce(event("c", "k")); return nil }))
	one, two := eventmodels.Mark{1}, eventmodels.Mark{2}
	must(db.TransactOnce(ctx, []eventmodels.Mark{one}, func(*Tx, []bool) error { return nil }))
	must(db.TransactOnce(ctx, []eventmodels.Mark{one, two}, func(*Tx, []bool) error { return nil }))

	s, err := db.OpenOutbox(ctx)
	must(err)
	defer s.Close()
	l, _, err := s.AcquireLease(ctx, scope, "owner", "cluster", time.Minute)
	must(err)
	l, err = s.SetProducer(ctx, l, 1, 1)
	must(err)
	must(s.RenewLease(ctx, l, time.Minute))
	must(s.ReleaseLease(ctx, l))
	_, err = s.LookLease(ctx, scope)
	must(err)
	page, err := s.ReadOutbox(ctx, eventmodels.OutboxRead{Scope: scope, Limit: 500})
	must(err)
	_, err = s.ReadOutbox(ctx, eventmodels.OutboxRead{
		Scope: scope, Limit: 500, Hint: 4711, Held: []string{"topic"},
		Gaps: []eventmodels.SeqRange{{Lo: 1, Hi: 2}, {Lo: 17, Hi: 99}},
	})
	must(err)
	if len(page.Rows) != 3 {
		t.Fatalf("%d rows", len(page.Rows))
	}
	must(s.ParkOutbox(ctx, scope, page.Rows[0].OutboxKey(), "reason"))
	must(s.ParkOutbox(ctx, scope, page.Rows[1].OutboxKey(), "reason"))
	parked, err := s.ListParked(ctx, scope, eventmodels.ParkedKey{}, 10)
	must(err)
	_, err = s.ListParked(ctx, scope, parked[0].ParkedKey(), 10)
	must(err)
	n, err := s.RequeueParked(ctx, scope, []uuid.UUID{page.Rows[0].ID})
	if err != nil || n != 1 {
		t.Fatalf("%d requeued, %v", n, err)
	}
	n, err = s.DiscardParked(ctx, scope, []uuid.UUID{page.Rows[1].ID})
	if err != nil || n != 1 {
		t.Fatalf("%d discarded, %v", n, err)
	}
	must(s.DeleteOutbox(ctx, scope, []eventmodels.OutboxKey{page.Rows[2].OutboxKey()}))
	stats, err := s.Stats(ctx, scope, 0)
	if err != nil || stats.Rows != 1 || stats.Parked != 0 {
		t.Fatalf("%+v, %v", stats, err)
	}
	n, err = s.DeleteMarks(ctx, -time.Minute, 1)
	if err != nil || n != 1 {
		t.Fatalf("%d marks deleted, %v", n, err)
	}
}

// recorder notes the texts of statements.
type recorder struct {
	driver.Connector

	mu   sync.Mutex
	seen map[string]bool // guarded by mu
}

// statements are sorted, each once: which of two calls was first does not
// matter.
func (r *recorder) statements() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for statement := range r.seen {
		all = append(all, statement)
	}
	slices.Sort(all)
	return all
}

func (r *recorder) note(statement string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[strings.TrimSpace(statement)] = true
}

func (r *recorder) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := r.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &recordedConn{Conn: conn, recorder: r}, nil
}

// recordedConn has of a connection what this driver's connections have.
type recordedConn struct {
	driver.Conn
	recorder *recorder
}

func (c *recordedConn) Raw() driver.Conn { return c.Conn }

func (c *recordedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.recorder.note(query)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c *recordedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.recorder.note(query)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c *recordedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.recorder.note("START TRANSACTION")
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	return recordedTx{tx, c.recorder}, err
}

type recordedTx struct {
	driver.Tx
	recorder *recorder
}

func (tx recordedTx) Commit() error {
	tx.recorder.note("COMMIT")
	return tx.Tx.Commit()
}

func (tx recordedTx) Rollback() error {
	tx.recorder.note("ROLLBACK")
	return tx.Tx.Rollback()
}

func (c *recordedConn) CheckNamedValue(v *driver.NamedValue) error {
	return c.Conn.(driver.NamedValueChecker).CheckNamedValue(v)
}
