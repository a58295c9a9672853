package eventsqlite

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A lease lasts for as long as was asked for, by the process's clock.
func TestLeaseTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		db := openTest(t)
		// two processes, more or less
		a, b := openTestStore(t, db), openTestStore(t, db)
		const ttl = 10 * time.Second
		live := func(want bool) {
			t.Helper()
			if got, err := b.LookLease(ctx, testScope); err != nil || got.Owner != "a" || got.Live != want {
				t.Errorf("%+v, %v; live: %v", got, err, want)
			}
			if l, held, err := b.AcquireLease(ctx, testScope, "b", "cluster", ttl); want && (err != nil || held || l.Owner != "a") {
				t.Errorf("%+v, %v, %v", l, held, err)
			}
		}
		l, held, err := a.AcquireLease(ctx, testScope, "a", "cluster", ttl)
		if err != nil || !held {
			t.Fatalf("%v, %v", held, err)
		}
		time.Sleep(ttl - time.Second)
		live(true)
		if err := a.RenewLease(ctx, l, ttl); err != nil {
			t.Error(err)
		}
		time.Sleep(ttl - time.Millisecond)
		live(true)
		time.Sleep(time.Millisecond)
		live(false)
		if _, held, err := a.AcquireLease(ctx, testScope, "a", "cluster", ttl); err != nil || held {
			t.Errorf("a lease that another one has taken: %v, %v", held, err)
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
