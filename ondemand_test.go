package events_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// onDemand is a service that runs no relay: its commits relay by themselves.
type onDemand struct {
	*eventsqlite.DB
	lib *events.Library[eventmodels.StringEventID, *eventsqlite.Tx, *eventsqlite.DB]
}

func newOnDemand(t *testing.T, broker *eventembed.Broker, file string) *onDemand {
	t.Helper()
	db, err := eventsqlite.Open(context.Background(), file, eventsqlite.WithMigrate())
	if err != nil {
		t.Fatal(err)
	}
	lib := eventsqlite.NewLibrary()
	lib.SetPrefix("p.")
	lib.SkipNotifierSupport()
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	t.Cleanup(func() {
		if err := lib.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		db.Close()
	})
	return &onDemand{db, lib}
}

func (s *onDemand) commit(key string) error {
	return s.Transact(context.Background(), func(tx *eventsqlite.Tx) error {
		tx.Produce(eventmodels.BindTopic[string]("t").Event(key, "model"))
		return nil
	})
}

// left is the number of rows in the outbox.
func (s *onDemand) left(t *testing.T) (n int) {
	t.Helper()
	if err := s.Unwrap().QueryRow(`SELECT count(*) FROM events_outbox`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Of two services without relay, one commits while the other's pass has the
// lease, and then neither commits any more. Nothing is left behind.
func TestOnDemandPassesMeet(t *testing.T) {
	broker := embedded(t)
	file := filepath.Join(t.TempDir(), "events.db")
	a, b := newOnDemand(t, broker, file), newOnDemand(t, broker, file)
	if err := a.commit("first"); err != nil {
		t.Fatal(err)
	}
	stalled := broker.StallResponse(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, Count: 1})
	done := make(chan error, 1)
	go func() { done <- a.commit("a") }()
	if err := stalled.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := b.commit("b"); err != nil {
		t.Fatal(err)
	}
	stalled.Remove()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// Shutdown waits for what a has found behind its pass.
	if err := a.lib.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if n := a.left(t); n != 0 {
		t.Errorf("%d rows are left in the outbox, and nobody looks at it", n)
	}
}

// A pass that runs when the service is shut down comes to its end: what Kafka
// has acknowledged is deleted, and so is not sent once more. With a ctx that
// ends first it is cut short, and that is said.
func TestOnDemandShutdown(t *testing.T) {
	for _, limited := range []bool{false, true} {
		t.Run(fmt.Sprintf("limited=%v", limited), func(t *testing.T) {
			broker := embedded(t)
			s := newOnDemand(t, broker, filepath.Join(t.TempDir(), "events.db"))
			if err := s.commit("first"); err != nil {
				t.Fatal(err)
			}
			stalled := broker.StallResponse(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, Count: 1})
			committed := make(chan error, 1)
			go func() { committed <- s.commit("second") }()
			if err := stalled.Wait(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stopped := make(chan error, 1)
			go func() { stopped <- s.lib.Shutdown(ctx) }()
			if limited {
				cancel()
				var abandoned *events.AbandonedError
				if err := <-stopped; !errors.As(err, &abandoned) {
					t.Errorf("Shutdown that was cut short: %v", err)
				}
				stalled.Remove()
			} else {
				ended, end := context.WithCancel(ctx)
				end()
				for !errors.Is(s.lib.ProduceFromTable(ended, nil), events.ErrStopped) {
					runtime.Gosched() // until the shutdown has begun
				}
				stalled.Remove()
				if err := <-stopped; err != nil {
					t.Error(err)
				}
				seen := make(map[string]bool)
				records, err := broker.Records("p.t")
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range records {
					key := string(r.Key)
					if seen[key] {
						t.Errorf("%s was sent twice", key)
					}
					seen[key] = true
				}
				if n := s.left(t); n > 0 {
					t.Errorf("%d rows that Kafka has are left in the outbox", n)
				}
			}
			if err := <-committed; err != nil {
				t.Errorf("the transaction: %v", err)
			}
		})
	}
}

// slowDB opens its outbox late, and fails then.
type slowDB struct {
	*eventsqlite.DB
	opening, fail chan struct{}
	once          sync.Once
}

func (db *slowDB) OpenOutbox(ctx context.Context) (eventmodels.OutboxStore, error) {
	db.once.Do(func() { close(db.opening) })
	<-db.fail
	return nil, errors.New("no outbox")
}

// Shutdown does not wait for a relay that could not be started.
func TestShutdownWhileRelayStarts(t *testing.T) {
	broker := embedded(t)
	db := openSQLite(t)
	slow := &slowDB{DB: db, opening: make(chan struct{}), fail: make(chan struct{})}
	lib := events.New[eventmodels.StringEventID, *eventsqlite.Tx, *slowDB]()
	lib.SkipNotifierSupport()
	lib.Configure(slow, nil, false, nil, nil, broker.Addrs())
	started := make(chan error, 1)
	go func() {
		_, err := lib.CatchUpProduce(context.Background(), 0, 0)
		started <- err
	}()
	<-slow.opening
	stopped := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	go func() { stopped <- lib.Shutdown(ctx) }()
	for {
		if _, err := lib.CatchUpProduce(ctx, 0, 0); errors.Is(err, events.ErrStopped) {
			break // the shutdown has begun
		}
		runtime.Gosched()
	}
	close(slow.fail)
	if err := <-started; err == nil {
		t.Error("CatchUpProduce without an outbox succeeded")
	}
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}
