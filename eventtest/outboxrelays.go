package eventtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
)

// shortly is the time limit of calls that are made to run into it.
const shortly = time.Second

// leaseTime of the relays that a test runs itself: short, but longer than a
// busy machine takes for a renewal.
const leaseTime = 3 * time.Second

// actor is a relay of its own, without a Library, whose database and brokers
// can be taken away.
type actor struct {
	*eventdb.Relay
	cable *eventembed.Dialer
	store *shakyStore
}

// shakyStore is a store whose operations can be made to hang, or its deletes
// to fail.
type shakyStore struct {
	eventmodels.OutboxStore
	keepRows atomic.Bool
	rows     atomic.Int64 // that reads have brought to a reader that has come back for more
	unsent   atomic.Int64 // that the last read has brought

	mu     sync.Mutex
	frozen chan struct{} // nil unless frozen
}

var errKept = errors.New("the row is kept")

// freeze lets nothing through until thaw, as for a process that is stopped.
func (s *shakyStore) freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = make(chan struct{})
}

func (s *shakyStore) thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen != nil {
		close(s.frozen)
		s.frozen = nil
	}
}

// pass waits while the process is stopped. A stopped process does not see its
// contexts end either.
func (s *shakyStore) pass() {
	s.mu.Lock()
	frozen := s.frozen
	s.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

func (s *shakyStore) RenewLease(ctx context.Context, l eventmodels.Lease, ttl time.Duration) error {
	s.pass()
	return s.OutboxStore.RenewLease(ctx, l, ttl)
}

func (s *shakyStore) ReleaseLease(ctx context.Context, l eventmodels.Lease) error {
	s.pass()
	return s.OutboxStore.ReleaseLease(ctx, l)
}

func (s *shakyStore) ReadOutbox(ctx context.Context, read eventmodels.OutboxRead) (eventmodels.OutboxPage, error) {
	s.pass()
	s.rows.Add(s.unsent.Swap(0))
	page, err := s.OutboxStore.ReadOutbox(ctx, read)
	s.unsent.Store(int64(len(page.Rows)))
	return page, err
}

func (s *shakyStore) DeleteOutbox(ctx context.Context, scope string, keys []eventmodels.OutboxKey) error {
	s.pass()
	if s.keepRows.Load() {
		return errKept
	}
	return s.OutboxStore.DeleteOutbox(ctx, scope, keys)
}

// nobody observes nothing.
type nobody struct{}

func (nobody) Relayed(string, []*eventmodels.OutboxRow) {}
func (nobody) Parked(string)                            {}
func (nobody) Holding(bool)                             {}
func (nobody) Sampled(eventmodels.OutboxStats)          {}
func (nobody) Failed(string, error)                     {}

// actor starts a relay of the world's outbox.
func (w *world[ID, TX, DB]) actor(name string) *actor {
	w.t.Helper()
	a := &actor{cable: newCable(w.t), store: &shakyStore{}}
	log := slog.New(slog.NewTextHandler(testWriter{w.t}, &slog.HandlerOptions{Level: slog.LevelInfo})).With("relay", name)
	client, err := kafka.New(kafka.Config{Brokers: w.h.Brokers, ClientID: w.prefix + name, Dialer: a.cable.DialContext, Logger: log})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	db := w.open()
	a.Relay = eventdb.NewRelay(eventdb.RelayConfig{
		Scope: w.prefix, Owner: name,
		Open: func(ctx context.Context) (eventmodels.OutboxStore, error) {
			store, err := db.OpenOutbox(ctx)
			a.store.OutboxStore = store
			return a.store, err
		},
		ClusterID: client.ClusterID,
		NewProducerID: func(ctx context.Context) (int64, error) {
			id, err := lanes.InitProducerID(ctx, client.Kgo())
			return id.ProducerID, err
		},
		NewSender: func(id lanes.Identity, r lanes.Report) (eventdb.Sender, error) {
			return lanes.New(lanes.Config{Client: client.Kgo(), Identity: id, Report: r, Logger: log})
		},
		Observer:  nobody{},
		Logger:    log,
		LeaseTime: leaseTime,
		Poll:      50 * time.Millisecond,
		StopLimit: leaseTime,
	})
	if err := a.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(a.Stop)
	w.t.Cleanup(a.store.thaw)
	w.t.Cleanup(a.cable.Restore)
	return a
}

// lead waits until a relay has the lease.
func (a *actor) lead(t testing.TB) {
	t.Helper()
	eventually(t, "the relay to lead", a.Leading)
}

// producer makes a library that only fills the outbox, and a function that
// does.
func (w *world[ID, TX, DB]) producer() (svc *service[ID, TX, DB], produce func(n int)) {
	w.t.Helper()
	svc = w.library(func(lib *events.Library[ID, TX, DB]) { lib.SetLazyTxProduce(true) })
	if err := svc.lib.CreateTopics(context.Background(), "test", []string{"orders"}); err != nil {
		w.t.Fatal(err)
	}
	last := 0
	return svc, func(n int) {
		svc.transact(func(tx TX) error {
			for range n {
				last++
				produceIn(tx, orders.Event("k", order{N: last}))
			}
			return nil
		})
	}
}

// Of two relays one works at a time, and each event is sent once.
func (s *suite[ID, TX, DB]) outboxTwoRelays(t *testing.T) {
	const each = 100
	w := s.world(t)
	services := []*service[ID, TX, DB]{w.library(nil), w.library(nil)}
	var work sync.WaitGroup
	for i, svc := range services {
		svc.relay()
		work.Go(func() {
			for n := range each {
				err := svc.db.Transact(context.Background(), func(tx TX) error {
					produceIn(tx, orders.Event(fmt.Sprint("k", i), order{N: n + 1}))
					return nil
				})
				if err != nil {
					t.Errorf("Transact: %v", err)
				}
			}
		})
	}
	work.Wait()
	services[0].drained()
	inOrder(t, w.records("orders"), len(services)*each)
}

// After a graceful stop another process goes on, and no event is sent twice.
func (s *suite[ID, TX, DB]) outboxGracefulTakeover(t *testing.T) {
	w := s.world(t)
	svc, produce := w.producer()
	leader := w.library(nil)
	leader.relay()
	produce(10)
	svc.drained()
	w.library(nil).relay()
	produce(10)
	leader.shutdown()
	produce(10)
	svc.drained()
	inOrder(t, w.records("orders"), 30)
}

// A relay that is killed between the acknowledgement and the delete loses
// nothing: its successor takes over when the lease has ended, and sends the
// same events with the same ids.
func (s *suite[ID, TX, DB]) outboxKilledLeader(t *testing.T) {
	w := s.world(t)
	svc, produce := w.producer()
	leader := w.actor("leader")
	leader.lead(t)
	leader.store.keepRows.Store(true)
	produce(10)
	first := w.stored("orders", 10)
	standby := w.actor("standby")
	leader.store.freeze()
	leader.cable.Cut()
	produce(5)
	standby.lead(t)
	svc.drained()
	inOrder(t, first, 10)
	all := w.records("orders")
	if len(all) != 25 {
		t.Errorf("%d records are stored, want 10, the same again and 5", len(all))
	}
	inOrder(t, all[10:], 15)
	for i, r := range first {
		a, _ := header(r, "ce_id")
		if b, _ := header(all[10+i], "ce_id"); a == "" || a != b {
			t.Errorf("the event with the id %q was sent again with %q", a, b)
		}
	}
}

// A leader that is stopped for longer than its lease and wakes up with a batch
// in its hands writes nothing after its successor's first write.
func (s *suite[ID, TX, DB]) outboxStoppedLeader(t *testing.T) {
	w := s.world(t)
	svc, produce := w.producer()
	leader := w.actor("leader")
	leader.lead(t)
	produce(5)
	svc.drained()
	leader.cable.Stall()
	produce(10)
	var arrived *eventembed.Fault
	if s.h.Broker != nil {
		arrived = s.h.Broker.Observe(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, ClientID: w.prefix + "leader"})
		defer arrived.Remove()
	}
	eventually(t, "the batch to be in the leader's hands", func() bool { return leader.store.rows.Load() >= 15 })
	leader.store.freeze()
	successor := w.actor("successor")
	successor.lead(t)
	svc.drained()
	inOrder(t, w.records("orders"), 15)

	leader.cable.Restore() // what it has written arrives now
	if arrived != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := arrived.Wait(ctx, 1); err != nil {
			t.Errorf("the old leader's request has not arrived: %v", err)
		}
	}
	leader.store.thaw()
	eventually(t, "the old leader to give up", func() bool { return !leader.Leading() })
	produce(5)
	svc.drained()
	inOrder(t, w.records("orders"), 20)
}
