//go:build unix

package events_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// Processes that are killed and stopped, on real servers. A child is this test
// binary again, running TestChildProcess.

// patience is how long something may take that waits for a session's or a
// lease's end on a busy machine.
const patience = 2 * time.Minute

type job struct {
	N int `json:"n"`
}

// assignment tells a child what to do.
type assignment struct {
	Backend, DSN, Prefix string
	Brokers              []string
	// Consume makes it an exactly-once consumer, else it only relays.
	Consume bool
	// DieAt is the number of a job whose handler ends the process; -1: none.
	DieAt int
}

const childVariable = "EVENTS_TEST_CHILD"

func TestChildProcess(t *testing.T) {
	text := os.Getenv(childVariable)
	if text == "" {
		return // it is nobody's child
	}
	var a assignment
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with its parent
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	switch a.Backend {
	case "postgres":
		serve(t, a, postgres)
	case "sqlite":
		serve(t, a, sqlite)
	}
}

// sqlBackend is a database that processes share.
type sqlBackend[ID eventmodels.AbstractID[ID], TX producingTx, DB eventmodels.AbstractDB[ID, TX]] struct {
	name   string
	open   func(dsn string) (DB, error)
	insert string
}

// producingTx is a transaction that produces.
type producingTx interface{ eventmodels.EnhancedTX }

var (
	postgres = sqlBackend[eventmodels.StringEventID, *eventpg.Tx, *eventpg.DB]{"postgres", func(dsn string) (*eventpg.DB, error) {
		return eventpg.Open(context.Background(), dsn, eventpg.WithMigrate(), eventpg.WithMaxConnections(10))
	}, `INSERT INTO effects (n) VALUES ($1)`}
	sqlite = sqlBackend[eventmodels.StringEventID, *eventsqlite.Tx, *eventsqlite.DB]{"sqlite", func(dsn string) (*eventsqlite.DB, error) {
		return eventsqlite.Open(context.Background(), dsn, eventsqlite.WithMigrate())
	}, `INSERT INTO effects (n) VALUES (?)`}
)

// serve is the child: it consumes and relays until it is killed.
func serve[ID eventmodels.AbstractID[ID], TX producingTx, DB eventmodels.AbstractDB[ID, TX]](t *testing.T, a assignment, b sqlBackend[ID, TX, DB]) {
	db, err := b.open(a.DSN)
	if err != nil {
		t.Fatal(err)
	}
	lib := events.New[ID, TX, DB]()
	lib.SetPrefix(a.Prefix)
	lib.SetLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if a.Consume {
		lib.ConsumeExactlyOnce(events.NewConsumerGroup("g"), eventmodels.OnFailureBlock, "h",
			eventmodels.BindTopicTx[job, ID, TX, DB]("jobs").HandlerTx(func(ctx context.Context, tx TX, e eventmodels.Event[job]) error {
				if _, err := tx.ExecContext(ctx, b.insert, e.Payload.N); err != nil {
					return err
				}
				tx.Produce(eventmodels.BindTopic[job]("done").Event(e.Key, e.Payload))
				if e.Payload.N == a.DieAt {
					os.Exit(3)
				}
				return nil
			}))
	}
	lib.Configure(db, nil, false, nil, nil, a.Brokers)
	if _, err := lib.CatchUpProduce(context.Background(), 50*time.Millisecond, 500); err != nil {
		t.Fatal(err)
	}
	if a.Consume {
		lib.StartConsumingOrPanic(context.Background())
	}
	fmt.Println("ready")
	select {}
}

// child is a process that a test has started.
type child struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	end  sync.Once
}

// spawn starts a child and waits until it is ready.
func spawn(t *testing.T, a assignment) *child {
	t.Helper()
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: exec.Command(os.Args[0], "-test.run=^TestChildProcess$", "-test.timeout=10m"), done: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	if _, err = c.cmd.StdinPipe(); err != nil { // closed when this process ends
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Stderr = os.Stderr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go func() {
		defer close(c.done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if lines.Text() == "ready" {
				close(ready)
			}
		}
		_ = c.cmd.Wait()
	}()
	t.Cleanup(c.kill)
	select {
	case <-ready:
	case <-c.done: // DieAt can be sooner
	case <-time.After(patience):
		t.Fatal("the child does not get ready")
	}
	return c
}

func (c *child) signal(s syscall.Signal) {
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Errorf("signal %v: %v", s, err)
	}
}

// kill ends it at once.
func (c *child) kill() {
	c.end.Do(func() {
		_ = c.cmd.Process.Kill()
		<-c.done
	})
}

func (c *child) awaitEnd() {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.t.Fatal("the child does not end")
	}
}
