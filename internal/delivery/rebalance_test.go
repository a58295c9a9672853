package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// sleepy is a handler that takes a while, whatever its context says.
func sleepy(d time.Duration) func(context.Context, *eventmodels.Message) error {
	return func(context.Context, *eventmodels.Message) error { time.Sleep(d); return nil }
}

// A revocation waits for running handlers and commits what they have done;
// nothing new starts; the partition that stays goes on.
func TestRevocationWaitsForHandlers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		h := f.handle("invoice", "orders", sleepy(10*time.Second))
		h.Concurrency = 4
		f.handle("audit", "audit", nil)
		goes, stays := at("orders", 0), at("audit", 0)
		f.produce(goes, 100)
		f.start(goes, stays)
		f.settle(time.Second)
		go func() {
			for range 20 {
				f.produce(stays, 1)
				time.Sleep(time.Second)
			}
		}()
		began := time.Now()
		f.revoke(t.Context(), f.engine, goes)
		if took := time.Since(began); took != 9*time.Second {
			t.Errorf("the revocation took %v", took)
		}
		f.wantCommitted(goes, 4)
		f.wantCount("invoice", 4)
		if n := f.count("audit"); n < 9 {
			t.Errorf("the partition that stays had %d events meanwhile", n)
		}
		f.settle(time.Minute)
		f.wantCount("invoice", 4)
		f.stop()
	})
}

// After the limit the contexts are cancelled, and a result that comes later
// changes nothing.
func TestRevocationLimit(t *testing.T) {
	for _, c := range []struct {
		name  string
		ctx   time.Duration // of Revoked; 0: none
		limit time.Duration
		took  time.Duration
	}{
		{"its own limit", 0, 5 * time.Second, 5 * time.Second},
		{"the group's", 8 * time.Second, time.Minute, 6 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				f.cfg.Limits.Revocation = c.limit
				var counted atomic.Int32
				f.cfg.Observer.Acked = func(*Handler, time.Duration) { counted.Add(1) }
				f.cfg.Observer.Succeeded = func(*Handler) { counted.Add(1) }
				var cause error
				release := make(chan struct{})
				f.handle("invoice", "orders", func(ctx context.Context, m *eventmodels.Message) error {
					if m.Offset == 0 {
						<-ctx.Done()
						f.mu.Lock()
						cause = cmp.Or(cause, context.Cause(ctx))
						f.mu.Unlock()
						<-release
					}
					return nil
				})
				tp := at("orders", 0)
				f.produce(tp, 3)
				f.start(tp)
				f.settle(time.Millisecond)
				ctx := context.Background()
				if c.ctx > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.ctx)
					defer cancel()
				}
				began := time.Now()
				f.revoke(ctx, f.engine, tp)
				if took := time.Since(began); took != c.took {
					t.Errorf("took %v", took)
				}
				synctest.Wait()
				if !errors.Is(cause, errRevoked) {
					t.Errorf("cause %v", cause)
				}
				f.wantCommitted(tp, 0)
				before := counted.Load()
				f.assign(f.engine, tp) // a new epoch: redelivery of the same offsets
				f.settle(time.Second)
				f.wantCount("invoice", 6)
				if n := counted.Load() - before; n != 4 {
					t.Errorf("%d counts in the new epoch", n)
				}
				close(release) // the result of the old epoch and that of the new one, in any order
				f.settle(time.Second)
				if n := counted.Load() - before; n != 4 && n != 6 {
					t.Errorf("%d counts", n)
				}
				f.stop()
			})
		})
	}
}

// The result of an epoch that has ended neither acknowledges the same offset of
// the next epoch nor drops it.
func TestResultOfAnEndedEpochChangesNothing(t *testing.T) {
	for _, result := range []error{nil, errTest} {
		for _, end := range []string{"revoked", "lost"} {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				f.cfg.Limits.Revocation = time.Second
				var first, second chan struct{} = make(chan struct{}), make(chan struct{})
				calls := 0
				f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
					if calls++; calls == 1 {
						<-first
						return result
					}
					<-second
					return nil
				}).NoRetry = true
				f.cfg.Observer.Failed = func(*Handler, error) { t.Error("counted") }
				tp := at("orders", 0)
				f.produce(tp, 1)
				f.start(tp)
				f.settle(time.Second)
				if end == "lost" {
					f.lose(f.engine, tp)
				} else {
					f.revoke(context.Background(), f.engine, tp)
				}
				f.settle(time.Second)
				f.assign(f.engine, tp)
				f.settle(time.Second)
				f.wantCount("invoice", 2)
				close(first)
				f.settle(time.Minute)
				f.wantCommitted(tp, 0)
				close(second)
				f.settle(time.Second)
				f.wantCommitted(tp, 1)
				f.wantLogged(0, "discarded")
				f.stop()
			})
		}
	}
}

func TestLostCommitsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.handle("invoice", "orders", func(ctx context.Context, m *eventmodels.Message) error {
			if m.Offset == 10 {
				<-ctx.Done()
				if !errors.Is(context.Cause(ctx), errLost) {
					t.Errorf("cause %v", context.Cause(ctx))
				}
				return ctx.Err()
			}
			return nil
		})
		tp := at("orders", 0)
		f.produce(tp, 20)
		f.start(tp)
		f.settle(time.Millisecond)
		f.lose(f.engine, tp)
		f.settle(time.Minute)
		f.wantCommitted(tp, 0)
		f.stop()
		f.wantCommitted(tp, 0)
		if f.commitCount() != 0 {
			t.Error("committed")
		}
	})
}

// A commit that is on its way when its partition is revoked has returned before
// Revoked does; when Revoked may not wait, it is cancelled.
func TestRevocationWaitsForTheCommit(t *testing.T) {
	for _, c := range []struct {
		name      string
		slow, ctx time.Duration
		took      time.Duration
		committed int64
	}{
		{"in time", 3 * time.Second, time.Minute, 3 * time.Second, 5},
		{"too slow", time.Hour, 2 * time.Second, 2 * time.Second, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				f.cfg.Limits.CommitTimeout = time.Minute
				var flying atomic.Int32
				f.onCommit = func(ctx context.Context, _ map[kafka.TopicPartition]kafka.Offset) error {
					flying.Add(1)
					defer flying.Add(-1)
					select {
					case <-time.After(c.slow):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				f.handle("invoice", "orders", nil)
				tp := at("orders", 0)
				f.produce(tp, 5)
				f.start(tp)
				f.settle(200 * time.Millisecond)
				if flying.Load() != 1 {
					t.Fatal("no commit is on its way")
				}
				ctx, cancel := context.WithTimeout(t.Context(), c.ctx)
				defer cancel()
				began := time.Now()
				f.revoke(ctx, f.engine, tp)
				if took := time.Since(began); took != c.took || flying.Load() != 0 {
					t.Errorf("took %v, %d commits on their way", took, flying.Load())
				}
				f.wantCommitted(tp, c.committed)
				f.stop()
			})
		})
	}
}

// Commits that fail are tried again, at a revocation a few times.
func TestCommitsThatFail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		var failing atomic.Bool
		failing.Store(true)
		f.onCommit = func(context.Context, map[kafka.TopicPartition]kafka.Offset) error {
			if failing.Load() {
				return errTest
			}
			return nil
		}
		f.handle("invoice", "orders", nil)
		tp := at("orders", 0)
		f.produce(tp, 5)
		f.start(tp)
		f.settle(time.Minute)
		if n := f.commitCount(); n < 5 || n > 60 {
			t.Errorf("%d commits in a minute of failures", n)
		}
		failing.Store(false)
		f.settle(10 * time.Second)
		f.wantCommitted(tp, 5)
		failing.Store(true)
		f.produce(tp, 5)
		f.settle(time.Millisecond)
		n := f.commitCount()
		f.revoke(context.Background(), f.engine, tp)
		if got := f.commitCount() - n; got != 3 {
			t.Errorf("%d commits at the revocation", got)
		}
		f.wantCommitted(tp, 5)
		f.stop()
	})
}

// A commit that some partitions were refused has committed the others: these are
// not committed again, and nobody is told that they could not be.
func TestCommitThatSomePartitionsAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		good, bad := at("orders", 0), at("orders", 1)
		tried := map[kafka.TopicPartition][]int64{} // guarded by f.mu
		f.onCommit = func(_ context.Context, offsets map[kafka.TopicPartition]kafka.Offset) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			for tp, o := range offsets {
				tried[tp] = append(tried[tp], o.At)
			}
			if _, ok := offsets[bad]; ok {
				return fmt.Errorf("the group: %w", &kafka.CommitError{Group: "billing", Failed: map[kafka.TopicPartition]error{bad: errTest}})
			}
			return nil
		}
		f.handle("invoice", "orders", nil)
		f.produce(good, 5)
		f.produce(bad, 5)
		f.start(good, bad)
		f.settle(time.Minute)
		f.produce(good, 1)
		f.settle(time.Minute)
		f.revoke(context.Background(), f.engine, good)
		f.wantLogged(0, "the last offsets")
		f.revoke(context.Background(), f.engine, bad)
		f.wantLogged(1, "the last offsets")
		if got := tried[good]; !slices.Equal(got, []int64{5, 6}) || len(tried[bad]) < 20 {
			t.Errorf("what was committed is committed again: %v, beside %v", got, tried[bad])
		}
		f.stop()
	})
}

// Retries that wait, and what is queued, are left to the next owner at once.
func TestRevocationDropsWhatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.handle("invoice", "orders", func(context.Context, *eventmodels.Message) error { return errTest })
		tp := at("orders", 0)
		f.produce(tp, 2000)
		f.start(tp)
		f.settle(500 * time.Millisecond)
		n := f.count("invoice")
		began := time.Now()
		f.revoke(context.Background(), f.engine, tp)
		if time.Since(began) != 0 {
			t.Error("waited")
		}
		f.settle(time.Hour)
		f.wantCount("invoice", n)
		f.wantCommitted(tp, 0)
		for _, s := range f.engine.Stats() {
			if s.Queued+s.Running+s.Retrying+s.Backlog > 0 {
				t.Errorf("left: %+v", s)
			}
		}
		f.stop()
	})
}

// A fetched offset that goes back (a truncation) begins anew there, and what
// the replaced records' handlers say changes nothing.
func TestFetchedOffsetGoesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		release := make(chan struct{})
		seen := map[int64]int{}
		var succeeded atomic.Int32
		f.cfg.Observer.Succeeded = func(*Handler) { succeeded.Add(1) }
		f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
			f.mu.Lock()
			seen[m.Offset]++
			n := seen[m.Offset]
			f.mu.Unlock()
			if m.Offset == 50 && n == 1 {
				<-release
			}
			if m.Offset == 60 && n == 1 {
				return errTest
			}
			return nil
		})
		tp := at("orders", 0)
		f.produce(tp, 100)
		f.start(tp)
		f.settle(500 * time.Millisecond)
		f.wantCommitted(tp, 50)
		f.seek(tp, 40)
		f.settle(500 * time.Millisecond)
		f.wantCommitted(tp, 100)
		close(release)
		f.settle(time.Minute)
		f.wantCommitted(tp, 100)
		if n := succeeded.Load(); n != 98+60 { // all but 50 and 60; then those from 40 on
			t.Errorf("%d successes", n)
		}
		if seen[50] != 2 || seen[60] != 2 || seen[39] != 1 || seen[40] != 2 {
			t.Errorf("deliveries: 39 %d, 40 %d, 50 %d, 60 %d", seen[39], seen[40], seen[50], seen[60])
		}
		f.stop()
	})
}

func TestTopicWithoutHandlersIsNotConsumed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.handle("invoice", "orders", nil)
		f.produce(at("other", 0), 5)
		f.start(at("other", 0))
		f.settle(time.Minute)
		f.wantCommitted(at("other", 0), 0)
		f.wantLogged(1, "topics without handlers")
		f.stop()
	})
}

func TestBroadcastNeedsNoAssignment(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.cfg.Group = ""
		f.handle("cache", "prices", func(_ context.Context, m *eventmodels.Message) error {
			if m.Offset == 3 {
				return errTest
			}
			return nil
		})
		tp := at("prices", 0)
		f.seek(tp, 0)
		f.produce(tp, 20_000)
		f.start()
		f.settle(time.Minute)
		if n := f.count("cache"); n != 20_000+7 {
			t.Errorf("%d calls", n)
		}
		f.wantLogged(1, "discarded")
		if f.commitCount() != 0 {
			t.Error("committed")
		}
		f.stop()
	})
}
