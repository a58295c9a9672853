package eventsqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
)

// children are what this binary can be as another process. Each opens its
// database, says that it is ready, and begins when its input ends.
var children = map[string]func(args []string) error{
	"migrate":   childMigrate,
	"increment": childIncrement,
	"effects":   childEffects,
}

func runChild(name string, args []string) error {
	child, ok := children[name]
	if !ok {
		return fmt.Errorf("there is no child %q", name)
	}
	return child(args)
}

// ready waits for the parent.
func ready() error {
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// A child is a process under test.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	input io.Closer
}

func startChild(t *testing.T, name string, args ...string) *child {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd, bufio.NewScanner(output), input}
	if line := c.line(); line != "ready" {
		t.Fatalf("the child says %q", line)
	}
	return c
}

// line returns the next line of the child, "" at its end.
func (c *child) line() string {
	if !c.lines.Scan() {
		return ""
	}
	return c.lines.Text()
}

func (c *child) begin(t *testing.T) {
	t.Helper()
	if err := c.input.Close(); err != nil {
		t.Error(err)
	}
}

func (c *child) wait(t *testing.T) {
	t.Helper()
	for c.line() != "" {
	}
	if err := c.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func childMigrate(args []string) error {
	if err := ready(); err != nil {
		return err
	}
	db, err := Open(context.Background(), args[0], WithMigrate())
	if err != nil {
		return err
	}
	return errors.Join(CheckSchema(context.Background(), db.Unwrap().DB), db.Close())
}

func TestMigrateFromTwoProcesses(t *testing.T) {
	for range 5 {
		path := filepath.Join(t.TempDir(), "test.db")
		children := []*child{startChild(t, "migrate", path), startChild(t, "migrate", path)}
		for _, c := range children {
			c.begin(t)
		}
		for _, c := range children {
			c.wait(t)
		}
		if n := value[int](t, openRaw(t, path), `SELECT count(*) FROM events_schema`); n != 2 {
			t.Errorf("%d migrations were recorded", n)
		}
	}
}

func childIncrement(args []string) error {
	times, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx := context.Background()
	db, err := Open(ctx, args[0])
	if err != nil {
		return err
	}
	db.AugmentWithProducer(&fakeProducer{})
	if err := ready(); err != nil {
		return err
	}
	for range times {
		err = errors.Join(err, db.Transact(ctx, func(tx *Tx) error {
			tx.Produce(event("a", args[2]))
			return addOne(tx)
		}))
	}
	return errors.Join(err, db.Close())
}

// Three processes write to one file, and the relay of one of them deletes.
func TestProcessesWriteAtOnce(t *testing.T) {
	const each = 150
	path := filepath.Join(t.TempDir(), "test.db")
	db := openAt(t, path)
	db.AugmentWithProducer(&fakeProducer{})
	mustExec(t, db.Unwrap(), `CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER NOT NULL); INSERT INTO t VALUES (1, 0)`)
	s := openTestStore(t, db)
	children := []*child{startChild(t, "increment", path, strconv.Itoa(each), "b"), startChild(t, "increment", path, strconv.Itoa(each), "c")}
	for _, c := range children {
		c.begin(t)
	}
	relayed := 0
	relay := func() {
		rows := readAll(t, s, testScope)
		keys := make([]eventmodels.OutboxKey, len(rows))
		for i := range rows {
			keys[i] = rows[i].OutboxKey()
		}
		if err := s.DeleteOutbox(context.Background(), testScope, keys); err != nil {
			t.Error(err)
		}
		relayed += len(rows)
	}
	for range each {
		transact(t, db, func(tx *Tx) error {
			tx.Produce(event("a", "a"))
			return addOne(tx)
		})
		relay()
	}
	for _, c := range children {
		c.wait(t)
	}
	relay()
	if n := value[int](t, db.Unwrap(), `SELECT v FROM t`); n != 3*each || relayed != n {
		t.Errorf("%d transactions, %d events, of %d", n, relayed, 3*each)
	}
}

// childEffects handles events until it is killed, and says which it has
// committed.
func childEffects(args []string) error {
	first, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx := context.Background()
	db, err := Open(ctx, args[0])
	if err != nil {
		return err
	}
	db.AugmentWithProducer(&fakeProducer{})
	if err := ready(); err != nil {
		return err
	}
	for i := first; ; i++ {
		err := db.TransactOnce(ctx, []eventmodels.Mark{effectMark(i)}, func(tx *Tx, _ []bool) error {
			for part := range 3 {
				if _, err := tx.Exec(`INSERT INTO effects (event, part, filler) VALUES (?, ?, randomblob(20000))`, i, part); err != nil {
					return err
				}
				tx.Produce(event("derived", fmt.Sprint(i)))
			}
			return nil
		})
		if err != nil {
			return err
		}
		fmt.Println(i)
	}
}

func effectMark(i int) eventmodels.Mark { return markOf(fmt.Sprint("event ", i)) }

// A process that is killed leaves whole transactions.
func TestKilledProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := openAt(t, path)
	mustExec(t, db.Unwrap(), `CREATE TABLE effects (event INTEGER, part INTEGER, filler BLOB, PRIMARY KEY (event, part))`)
	s := openTestStore(t, db)
	next := 1
	for round := range 8 {
		c := startChild(t, "effects", path, strconv.Itoa(next))
		c.begin(t)
		for range 1 + 3*round {
			if c.line() == "" {
				t.Fatal("the child has ended")
			}
		}
		if err := c.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for line := c.line(); line != ""; line = c.line() {
			// what it said before it was dead
		}
		_ = c.cmd.Wait() // says that it was killed

		effects := value[int](t, db.Unwrap(), `SELECT count(DISTINCT event) FROM effects`)
		if last := value[int](t, db.Unwrap(), `SELECT max(event) FROM effects`); last != effects || last < next+3*round {
			t.Errorf("round %d: %d events, the last is %d", round, effects, last)
		}
		if broken := value[int](t, db.Unwrap(), `SELECT count(*) FROM (SELECT event FROM effects GROUP BY event HAVING count(*) <> 3)`); broken != 0 {
			t.Errorf("round %d: %d events are done in part", round, broken)
		}
		derived := make(map[string]int)
		for _, row := range readAll(t, s, testScope) {
			derived[string(row.Payload)]++
		}
		for i := 1; i <= effects; i++ {
			if derived[fmt.Sprint(i)] != 3 {
				t.Errorf("round %d: event %d has %d derived events", round, i, derived[fmt.Sprint(i)])
			}
			mark := effectMark(i)
			if n := value[int](t, db.Unwrap(), `SELECT count(*) FROM events_marks WHERE k = ?`, mark[:]); n != 1 {
				t.Errorf("round %d: event %d has %d marks", round, i, n)
			}
		}
		if len(derived) != effects || value[int](t, db.Unwrap(), `SELECT count(*) FROM events_marks`) != effects {
			t.Errorf("round %d: %d effects, %d derived", round, effects, len(derived))
		}
		if check := value[string](t, db.Unwrap(), `PRAGMA integrity_check`); check != "ok" {
			t.Error(check)
		}
		next = effects + 1
	}
}
