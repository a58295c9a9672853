package eventsqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		db := openTest(t)
		// two processes, more or less
		a, b := openTestStore(t, db), openTestStore(t, db)
		const ttl = 10 * time.Second
		acquire := func(s eventmodels.OutboxStore, owner string) (eventmodels.Lease, bool) {
			t.Helper()
			l, held, err := s.AcquireLease(ctx, testScope, owner, "cluster", ttl)
			if err != nil {
				t.Fatal(err)
			}
			return l, held
		}
		look := func(want eventmodels.LeaseState) {
			t.Helper()
			if got, err := b.LookLease(ctx, testScope); err != nil || got != want {
				t.Errorf("%+v, %v; want %+v", got, err, want)
			}
		}
		look(eventmodels.LeaseState{})
		first, held := acquire(a, "a")
		if !held || first != (eventmodels.Lease{Scope: testScope, Owner: "a", Epoch: 1, ProducerID: -1, ClusterID: "cluster"}) {
			t.Fatalf("%+v, %v", first, held)
		}
		look(eventmodels.LeaseState{Owner: "a", Live: true})
		if l, held := acquire(b, "b"); held || l != (eventmodels.Lease{Owner: "a"}) {
			t.Errorf("%+v, %v", l, held)
		}
		// another scope is another lease
		if _, held, err := b.AcquireLease(ctx, "other", "b", "elsewhere", ttl); !held || err != nil {
			t.Errorf("%v, %v", held, err)
		}

		first, err := a.SetProducer(ctx, first, 4711, 0)
		if err != nil || first.ProducerID != 4711 || first.Epoch != 0 {
			t.Fatalf("%+v, %v", first, err)
		}
		// renewed, it lives longer, and says how far its holder has got
		first.DoneTo = 77
		time.Sleep(ttl - time.Second)
		if err := a.RenewLease(ctx, first, ttl); err != nil {
			t.Error(err)
		}
		time.Sleep(ttl - time.Millisecond)
		look(eventmodels.LeaseState{Owner: "a", Live: true, DoneTo: 77})
		if _, held := acquire(b, "b"); held {
			t.Error("a live lease was taken")
		}
		time.Sleep(time.Millisecond)
		look(eventmodels.LeaseState{Owner: "a", Live: false, DoneTo: 77})
		// expired and not taken, it can be renewed
		if err := a.RenewLease(ctx, first, ttl); err != nil {
			t.Error(err)
		}
		time.Sleep(ttl)
		second, held := acquire(b, "b")
		if !held || second.Epoch != 1 || second.ProducerID != 4711 || second.DoneTo != 77 {
			t.Errorf("%+v, %v", second, held)
		}
		for name, err := range map[string]error{
			"renew": a.RenewLease(ctx, first, ttl),
			"set":   func() error { _, err := a.SetProducer(ctx, first, 1, 1); return err }(),
		} {
			if !errors.Is(err, eventmodels.ErrLeaseLost) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := a.ReleaseLease(ctx, first); err != nil {
			t.Error(err)
		}
		look(eventmodels.LeaseState{Owner: "b", Live: true, DoneTo: 77})

		// the owner's own, again, has a new epoch
		third, held := acquire(b, "b")
		if !held || third.Epoch != 2 {
			t.Errorf("%+v, %v", third, held)
		}
		if err := b.RenewLease(ctx, second, ttl); !errors.Is(err, eventmodels.ErrLeaseLost) {
			t.Errorf("the old epoch was renewed: %v", err)
		}
		third.DoneTo++
		if err := b.ReleaseLease(ctx, third); err != nil {
			t.Error(err)
		}
		look(eventmodels.LeaseState{Owner: "b", Live: false, DoneTo: 78})
		if l, held := acquire(a, "a"); !held || l.Epoch != 3 {
			t.Errorf("%+v, %v", l, held)
		}

		// the end of the epochs is the end of the producer id
		mustExec(t, db.Unwrap(), `UPDATE events_lease SET epoch = 32000`)
		if l, held := acquire(a, "a"); !held || l.Epoch != 0 || l.ProducerID != -1 {
			t.Errorf("%+v, %v", l, held)
		}

		var mismatch *eventmodels.ClusterMismatchError
		_, held, err = b.AcquireLease(ctx, testScope, "b", "staging", ttl)
		if held || !errors.As(err, &mismatch) || mismatch.Recorded != "cluster" || mismatch.Connected != "staging" || mismatch.Scope != testScope {
			t.Errorf("%v, %v", held, err)
		}
	})
}

// Of many that try at once, one has it, at every moment.
func TestLeaseContention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		db := openTest(t)
		const (
			owners = 12
			ttl    = time.Second
		)
		var holders, terms atomic.Int32
		var epochs atomic.Int64
		done := make(chan struct{})
		for i := range owners {
			s := openTestStore(t, db)
			go func() {
				defer func() { done <- struct{}{} }()
				for range 20 {
					l, held, err := s.AcquireLease(ctx, testScope, strings.Repeat("o", 290)+fmt.Sprint(i), "cluster", ttl)
					if err != nil {
						t.Error(err)
						return
					}
					if !held {
						time.Sleep(300 * time.Millisecond)
						continue
					}
					if n := holders.Add(1); n != 1 {
						t.Errorf("%d holders", n)
					}
					if last := epochs.Swap(int64(l.Epoch)); int64(l.Epoch) <= last {
						t.Errorf("epoch %d after %d", l.Epoch, last)
					}
					terms.Add(1)
					time.Sleep(ttl / 2)
					if i%2 == 0 {
						if err := s.RenewLease(ctx, l, ttl); err != nil {
							t.Error(err)
						}
						time.Sleep(ttl / 2)
					}
					holders.Add(-1)
					if err := s.ReleaseLease(ctx, l); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		for range owners {
			<-done
		}
		if terms.Load() < 5 {
			t.Errorf("%d terms", terms.Load())
		}
	})
}
