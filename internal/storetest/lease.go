package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

const (
	// Cluster is the id of the Kafka cluster that leases are for.
	Cluster = "cluster-1"
	// TTL is for how long they are taken.
	TTL = time.Minute

	// maxEpoch is the last one with which a lease is taken.
	maxEpoch = 32_000
)

// MustAcquire takes the lease.
func MustAcquire(t testing.TB, s eventmodels.OutboxStore, owner string) eventmodels.Lease {
	t.Helper()
	l, held, err := s.AcquireLease(Context(t), Scope, owner, Cluster, TTL)
	if err != nil || !held {
		t.Fatalf("%s does not get the lease: %+v, %v", owner, l, err)
	}
	return l
}

// expire lets all leases end.
func (d *Database[ID, T, D, O]) expire(t testing.TB) {
	t.Helper()
	MustExec(t, d.Admin, "UPDATE events_lease SET expires_at = "+d.backend.Ago(time.Second))
}

func (b *Backend[ID, T, D, O]) leaseHasOneWinner(t *testing.T) {
	d := b.NewDatabase(t)
	const owners = 16
	stores := []eventmodels.OutboxStore{d.OpenStore(t), d.OpenStore(t), d.OpenStore(t), d.OpenStore(t)}
	for round := range 5 {
		var (
			wait    sync.WaitGroup
			mu      sync.Mutex
			winners []string
			losers  []string // whom they say has it
		)
		for i := range owners {
			s := stores[i%len(stores)]
			wait.Go(func() {
				owner := fmt.Sprintf("owner %d of round %d", i, round)
				l, held, err := s.AcquireLease(Context(t), Scope, owner, Cluster, TTL)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					t.Error(err)
				case held:
					winners = append(winners, l.Owner)
				default:
					losers = append(losers, l.Owner)
				}
			})
		}
		wait.Wait()
		if len(winners) != 1 {
			t.Fatalf("round %d: winners %q", round, winners)
		}
		for _, l := range losers {
			if l != winners[0] {
				t.Errorf("round %d: a loser says that %q holds the lease of %q", round, l, winners[0])
			}
		}
		d.expire(t)
	}
}

func (b *Backend[ID, T, D, O]) leaseEpochs(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	ctx := Context(t)

	if state, err := s.LookLease(ctx, Scope); err != nil || state != (eventmodels.LeaseState{}) {
		t.Fatalf("no row: %+v, %v", state, err)
	}
	first := MustAcquire(t, s, "a")
	if first.ProducerID != -1 || first.ClusterID != Cluster || first.Scope != Scope || first.Owner != "a" {
		t.Fatalf("first lease: %+v", first)
	}
	again := MustAcquire(t, s, "a")
	if again.Epoch != first.Epoch+1 {
		t.Fatalf("its owner takes it again: epoch %d after %d", again.Epoch, first.Epoch)
	}
	if err := s.RenewLease(ctx, first, TTL); !errors.Is(err, eventmodels.ErrLeaseLost) {
		t.Fatalf("renewing an old epoch: %v", err)
	}
	produced, err := s.SetProducer(ctx, again, 4711, 7)
	if err != nil || produced.ProducerID != 4711 || produced.Epoch != 7 {
		t.Fatalf("producer: %+v, %v", produced, err)
	}
	if _, err := s.SetProducer(ctx, again, 4712, 7); !errors.Is(err, eventmodels.ErrLeaseLost) {
		t.Fatalf("with an old epoch: %v", err)
	}

	d.expire(t)
	if state, err := s.LookLease(ctx, Scope); err != nil || state != (eventmodels.LeaseState{Owner: "a"}) {
		t.Fatalf("expired: %+v, %v", state, err)
	}
	if err := s.RenewLease(ctx, produced, TTL); err != nil {
		t.Fatalf("renewing what nobody has taken: %v", err)
	}
	if state, err := s.LookLease(ctx, Scope); err != nil || state != (eventmodels.LeaseState{Owner: "a", Live: true}) {
		t.Fatalf("renewed: %+v, %v", state, err)
	}
	if l, held, err := s.AcquireLease(ctx, Scope, "b", Cluster, TTL); err != nil || held || l != (eventmodels.Lease{Owner: "a"}) {
		t.Fatalf("b takes a live lease: %+v, %v, %v", l, held, err)
	}

	d.expire(t)
	taken := MustAcquire(t, s, "b")
	if taken.Epoch != 8 || taken.ProducerID != 4711 {
		t.Fatalf("b's lease: %+v", taken)
	}
	for name, err := range map[string]error{
		"renew":       s.RenewLease(ctx, produced, TTL),
		"setProducer": second(s.SetProducer(ctx, produced, 1, 1)),
	} {
		if !errors.Is(err, eventmodels.ErrLeaseLost) {
			t.Errorf("%s after the loss: %v", name, err)
		}
	}
	if err := s.ReleaseLease(ctx, produced); err != nil {
		t.Fatalf("releasing what another has: %v", err)
	}
	if state, _ := s.LookLease(ctx, Scope); !state.Live {
		t.Fatal("a's release has ended b's lease")
	}

	if err := s.ReleaseLease(ctx, taken); err != nil {
		t.Fatal(err)
	}
	if l := MustAcquire(t, s, "c"); l.Epoch != 9 {
		t.Fatalf("c's lease, after a release: %+v", l)
	}
}

func second[A, B any](_ A, b B) B { return b }

// What a holder says of how far it has got is what the next one is told.
func (b *Backend[ID, T, D, O]) leaseDoneTo(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	ctx := Context(t)
	first := MustAcquire(t, s, "a")
	if first.DoneTo != 0 {
		t.Fatalf("a new scope: %+v", first)
	}
	old := first
	first.DoneTo = 1 << 40
	if err := s.RenewLease(ctx, first, TTL); err != nil {
		t.Fatal(err)
	}
	if state, err := s.LookLease(ctx, Scope); err != nil || state.DoneTo != 1<<40 {
		t.Fatalf("renewed: %+v, %v", state, err)
	}
	produced, err := s.SetProducer(ctx, first, 1, first.Epoch+1)
	if err != nil || produced.DoneTo != 1<<40 {
		t.Fatalf("%+v, %v", produced, err)
	}
	if err := s.ReleaseLease(ctx, old); err != nil { // which is not its any more
		t.Fatal(err)
	}
	produced.DoneTo++
	if err := s.ReleaseLease(ctx, produced); err != nil {
		t.Fatal(err)
	}
	if next := MustAcquire(t, s, "b"); next.DoneTo != 1<<40+1 {
		t.Fatalf("the next one: %+v", next)
	}
}

func (b *Backend[ID, T, D, O]) leaseScopesAreApart(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	MustAcquire(t, s, "a")
	if _, held, err := s.AcquireLease(Context(t), "other.", "b", "Cluster-2", TTL); err != nil || !held {
		t.Fatalf("another scope: %v, %v", held, err)
	}
	if _, held, err := s.AcquireLease(Context(t), "", "b", Cluster, TTL); err != nil || !held {
		t.Fatalf("the empty scope: %v, %v", held, err)
	}
}

func (b *Backend[ID, T, D, O]) leaseOfAnotherCluster(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	l := MustAcquire(t, s, "a")
	for _, owner := range []string{"b", "a"} {
		for _, state := range []string{"live", "expired"} {
			_, held, err := s.AcquireLease(Context(t), Scope, owner, "Cluster-2", TTL)
			var mismatch *eventmodels.ClusterMismatchError
			if held || !errors.As(err, &mismatch) || *mismatch != (eventmodels.ClusterMismatchError{Scope: Scope, Recorded: Cluster, Connected: "Cluster-2"}) {
				t.Errorf("%s takes the %s lease: %v, %v", owner, state, held, err)
			}
			d.expire(t)
		}
	}
	MustExec(t, d.Admin, "DELETE FROM events_lease")
	if err := s.RenewLease(Context(t), l, TTL); !errors.Is(err, eventmodels.ErrLeaseLost) {
		t.Errorf("renewing a row that was deleted: %v", err)
	}
	if _, held, err := s.AcquireLease(Context(t), Scope, "b", "Cluster-2", TTL); err != nil || !held {
		t.Errorf("after the row was deleted: %v, %v", held, err)
	}
}

func (b *Backend[ID, T, D, O]) leaseEpochNeverOverflows(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	l, err := s.SetProducer(Context(t), MustAcquire(t, s, "a"), 4711, maxEpoch-1)
	if err != nil {
		t.Fatal(err)
	}
	if l = MustAcquire(t, s, "a"); l.Epoch != maxEpoch || l.ProducerID != 4711 {
		t.Fatalf("at the end: %+v", l)
	}
	if l = MustAcquire(t, s, "a"); l.Epoch != 0 || l.ProducerID != -1 {
		t.Fatalf("beyond the end: %+v", l)
	}
	if l, err = s.SetProducer(Context(t), l, 4712, 32767); err != nil {
		t.Fatal(err)
	}
	if l = MustAcquire(t, s, "a"); l.Epoch != 0 || l.ProducerID != -1 {
		t.Fatalf("beyond the largest epoch: %+v", l)
	}
}

// A relay that waits for a long read must not lose its lease for it.
func (b *Backend[ID, T, D, O]) leaseWaitsForNoOtherWork(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	l := MustAcquire(t, s, "a")
	defer b.blockWork(t, s)()
	if err := s.RenewLease(Context(t), l, TTL); err != nil {
		t.Fatal(err)
	}
}

// blockWork keeps all the connections for work busy until release.
func (b *Backend[ID, T, D, O]) blockWork(t *testing.T, s eventmodels.OutboxStore) (release func()) {
	t.Helper()
	var working, busy sync.WaitGroup
	released := make(chan struct{})
	for range b.WorkConnections {
		busy.Add(1)
		working.Go(func() {
			err := b.Work(Context(t), s, func(context.Context) error {
				busy.Done()
				<-released
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	busy.Wait()
	return func() {
		close(released)
		working.Wait()
	}
}
