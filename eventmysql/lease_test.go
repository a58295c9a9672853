package eventmysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

const (
	maxEpochNumber = 32_000

	cluster = "cluster-1"
	ttl     = time.Minute
)

func (f *fixture) expire(t *testing.T) {
	t.Helper()
	mustExec(t, f.admin, "UPDATE events_lease SET expires_at = "+now+" - 1000000")
}

func mustAcquire(t *testing.T, s *store, owner string) eventmodels.Lease {
	t.Helper()
	l, held, err := s.AcquireLease(testContext(t), scope, owner, cluster, ttl)
	if err != nil || !held {
		t.Fatalf("%s does not get the lease: %+v, %v", owner, l, err)
	}
	return l
}

func TestLeaseHasOneWinner(t *testing.T) {
	f := newFixture(t)
	const owners = 16
	stores := []*store{f.store(t), f.store(t), f.store(t), f.store(t)}
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
				l, held, err := s.AcquireLease(testContext(t), scope, owner, cluster, ttl)
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
		f.expire(t)
	}
}

func TestLeaseEpochs(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	ctx := testContext(t)

	if state, err := s.LookLease(ctx, scope); err != nil || state != (eventmodels.LeaseState{}) {
		t.Fatalf("no row: %+v, %v", state, err)
	}
	first := mustAcquire(t, s, "a")
	if first.ProducerID != -1 || first.ClusterID != cluster || first.Scope != scope || first.Owner != "a" {
		t.Fatalf("first lease: %+v", first)
	}
	again := mustAcquire(t, s, "a")
	if again.Epoch != first.Epoch+1 {
		t.Fatalf("its owner takes it again: epoch %d after %d", again.Epoch, first.Epoch)
	}
	if err := s.RenewLease(ctx, first, ttl); !errors.Is(err, eventmodels.ErrLeaseLost) {
		t.Fatalf("renewing an old epoch: %v", err)
	}
	produced, err := s.SetProducer(ctx, again, 4711, 7)
	if err != nil || produced.ProducerID != 4711 || produced.Epoch != 7 {
		t.Fatalf("producer: %+v, %v", produced, err)
	}
	if _, err := s.SetProducer(ctx, again, 4712, 7); !errors.Is(err, eventmodels.ErrLeaseLost) {
		t.Fatalf("with an old epoch: %v", err)
	}

	f.expire(t)
	if state, err := s.LookLease(ctx, scope); err != nil || state != (eventmodels.LeaseState{Owner: "a"}) {
		t.Fatalf("expired: %+v, %v", state, err)
	}
	if err := s.RenewLease(ctx, produced, ttl); err != nil {
		t.Fatalf("renewing what nobody has taken: %v", err)
	}
	if state, err := s.LookLease(ctx, scope); err != nil || state != (eventmodels.LeaseState{Owner: "a", Live: true}) {
		t.Fatalf("renewed: %+v, %v", state, err)
	}
	if l, held, err := s.AcquireLease(ctx, scope, "b", cluster, ttl); err != nil || held || l != (eventmodels.Lease{Owner: "a"}) {
		t.Fatalf("b takes a live lease: %+v, %v, %v", l, held, err)
	}

	f.expire(t)
	taken := mustAcquire(t, s, "b")
	if taken.Epoch != 8 || taken.ProducerID != 4711 {
		t.Fatalf("b's lease: %+v", taken)
	}
	for name, err := range map[string]error{
		"renew":       s.RenewLease(ctx, produced, ttl),
		"setProducer": second(s.SetProducer(ctx, produced, 1, 1)),
	} {
		if !errors.Is(err, eventmodels.ErrLeaseLost) {
			t.Errorf("%s after the loss: %v", name, err)
		}
	}
	if err := s.ReleaseLease(ctx, produced); err != nil {
		t.Fatalf("releasing what another has: %v", err)
	}
	if state, _ := s.LookLease(ctx, scope); !state.Live {
		t.Fatal("a's release has ended b's lease")
	}

	if err := s.ReleaseLease(ctx, taken); err != nil {
		t.Fatal(err)
	}
	if l := mustAcquire(t, s, "c"); l.Epoch != 9 {
		t.Fatalf("c's lease, after a release: %+v", l)
	}
}

func second[A, B any](_ A, b B) B { return b }

// What a holder says of how far it has got is what the next one is told.
func TestLeaseDoneTo(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	ctx := testContext(t)
	first := mustAcquire(t, s, "a")
	if first.DoneTo != 0 {
		t.Fatalf("a new scope: %+v", first)
	}
	old := first
	first.DoneTo = 1 << 40
	if err := s.RenewLease(ctx, first, ttl); err != nil {
		t.Fatal(err)
	}
	if state, err := s.LookLease(ctx, scope); err != nil || state.DoneTo != 1<<40 {
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
	if next := mustAcquire(t, s, "b"); next.DoneTo != 1<<40+1 {
		t.Fatalf("the next one: %+v", next)
	}
}

func TestLeaseScopesAreApart(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	mustAcquire(t, s, "a")
	if _, held, err := s.AcquireLease(testContext(t), "other.", "b", "cluster-2", ttl); err != nil || !held {
		t.Fatalf("another scope: %v, %v", held, err)
	}
	if _, held, err := s.AcquireLease(testContext(t), "", "b", cluster, ttl); err != nil || !held {
		t.Fatalf("the empty scope: %v, %v", held, err)
	}
}

func TestLeaseOfAnotherCluster(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	l := mustAcquire(t, s, "a")
	for _, owner := range []string{"b", "a"} {
		for _, state := range []string{"live", "expired"} {
			_, held, err := s.AcquireLease(testContext(t), scope, owner, "cluster-2", ttl)
			var mismatch *eventmodels.ClusterMismatchError
			if held || !errors.As(err, &mismatch) || *mismatch != (eventmodels.ClusterMismatchError{Scope: scope, Recorded: cluster, Connected: "cluster-2"}) {
				t.Errorf("%s takes the %s lease: %v, %v", owner, state, held, err)
			}
			f.expire(t)
		}
	}
	mustExec(t, f.admin, "DELETE FROM events_lease")
	if err := s.RenewLease(testContext(t), l, ttl); !errors.Is(err, eventmodels.ErrLeaseLost) {
		t.Errorf("renewing a row that was deleted: %v", err)
	}
	if _, held, err := s.AcquireLease(testContext(t), scope, "b", "cluster-2", ttl); err != nil || !held {
		t.Errorf("after the row was deleted: %v, %v", held, err)
	}
}

func TestLeaseEpochNeverOverflows(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	l, err := s.SetProducer(testContext(t), mustAcquire(t, s, "a"), 4711, maxEpochNumber-1)
	if err != nil {
		t.Fatal(err)
	}
	if l = mustAcquire(t, s, "a"); l.Epoch != maxEpochNumber || l.ProducerID != 4711 {
		t.Fatalf("at the end: %+v", l)
	}
	if l = mustAcquire(t, s, "a"); l.Epoch != 0 || l.ProducerID != -1 {
		t.Fatalf("beyond the end: %+v", l)
	}
	if l, err = s.SetProducer(testContext(t), l, 4712, 32767); err != nil {
		t.Fatal(err)
	}
	if l = mustAcquire(t, s, "a"); l.Epoch != 0 || l.ProducerID != -1 {
		t.Fatalf("beyond the largest epoch: %+v", l)
	}
}

// A relay that waits for a long read must not lose its lease for it.
func TestLeaseWaitsForNoOtherWork(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	l := mustAcquire(t, s, "a")
	var working, blocked sync.WaitGroup
	release := make(chan struct{})
	for range mysqldb.StoreConnections - 1 {
		blocked.Add(1)
		working.Go(func() {
			err := s.connections.Work(testContext(t), func(context.Context, *sql.Conn) error {
				blocked.Done()
				<-release
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	defer working.Wait()
	defer close(release)
	blocked.Wait()
	if err := s.RenewLease(testContext(t), l, ttl); err != nil {
		t.Fatal(err)
	}
}
