package delivery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// twoPartitions starts a batch handler with a batch of two partitions, in equal
// shares. run is called with it.
func twoPartitions(t *testing.T, run func(ctx context.Context, ms []*eventmodels.Message) error) (*fixture, *batches) {
	f := newFixture(t)
	_, calls := f.handleBatch("invoice", "orders", 30, func(ctx context.Context, ms []*eventmodels.Message) error {
		if len(ms) == 1 && ms[0].Offset == 0 && ms[0].Attempt == 1 && ms[0].Partition == 2 {
			time.Sleep(time.Second)
			return nil
		}
		return run(ctx, ms)
	})
	f.produce(at("orders", 2), 1)
	f.start(at("orders", 0), at("orders", 1), at("orders", 2))
	f.settle(0)
	f.produce(at("orders", 0), 10)
	f.settle(0)
	f.produce(at("orders", 1), 10)
	return f, calls
}

// While a batch runs one of its partitions is revoked or lost: what it fails
// with then is not the fault of the other's events, which are run again, and
// what it succeeds with counts for those that are ours.
func TestOnePartitionOfARunningBatchGoes(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for _, succeeds := range []bool{false, true} {
			t.Run(fmt.Sprintf("lost=%v succeeds=%v", lost, succeeds), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					first := true
					f, calls := twoPartitions(t, func(ctx context.Context, ms []*eventmodels.Message) error {
						if !first {
							return nil
						}
						first = false
						<-ctx.Done()
						if succeeds {
							return nil
						}
						return eventmodels.SetErrorHandling(ctx.Err(), eventmodels.DoNotRetry)
					})
					f.settle(2 * time.Second)
					tp := at("orders", 1)
					began := f.began.Add(2 * time.Second)
					if lost {
						f.lose(f.engine, tp)
					} else {
						ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
						f.revoke(ctx, f.engine, tp)
						cancel()
					}
					again := fmt.Sprintf("%.4g: 0-9", 2+time.Since(began).Seconds())
					f.settle(time.Minute)
					if succeeds {
						again = ""
					}
					calls.want(`
						0: 0
						1: 0-9 0-9
						` + again)
					f.wantCommitted(at("orders", 0), 10)
					if got := f.committedAt(tp); got != 0 && (lost || !succeeds) {
						t.Errorf("committed %d of what is not ours", got)
					}
					f.wantLogged(0, "discarded")
					f.stop()
				})
			})
		}
	}
}

// grouped counts the members of batches that have failed.
func (f *fixture) grouped() (n int) {
	f.engine.mu.Lock()
	defer f.engine.mu.Unlock()
	for _, g := range f.engine.s.groups {
		for range g.parts.all {
			n++
		}
	}
	return n
}

// A partition is revoked, or read again from an earlier offset, while a batch
// with its events waits, half of it isolated: the others go on without them,
// and its own come again.
func TestSplitBatchLosesAPartition(t *testing.T) {
	for _, rewound := range []bool{false, true} {
		t.Run(fmt.Sprintf("rewound=%v", rewound), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				runs := 0
				got := map[string]int{}
				f, _ := twoPartitions(t, func(_ context.Context, ms []*eventmodels.Message) error {
					runs++
					for _, m := range ms {
						if len(ms) > 1 && m.Partition == 0 && m.Offset == 2 {
							return errTest
						}
					}
					for _, m := range ms {
						got[fmt.Sprint(m.Partition, "/", m.Offset)]++
					}
					return nil
				})
				f.settle(1500 * time.Millisecond) // it waits for its repetition
				tp := at("orders", 1)
				if rewound {
					f.seek(tp, 5)
				} else {
					f.revoke(context.Background(), f.engine, tp)
				}
				f.settle(0)
				if n, want := f.grouped(), map[bool]int{true: 15, false: 10}[rewound]; n != want {
					t.Errorf("%d events are left of the batch, want %d", n, want)
				}
				f.settle(10 * time.Second)
				if !rewound {
					f.assign(f.engine, tp)
				}
				f.settle(time.Minute)
				f.wantCommitted(at("orders", 0), 10)
				f.wantCommitted(tp, 10)
				if len(got) != 20 {
					t.Errorf("%d events: %v", len(got), slices.Sorted(maps.Keys(got)))
				}
				for key, n := range got {
					if n != 1 {
						t.Errorf("%s succeeded %d times", key, n)
					}
				}
				if n := f.grouped(); n != 0 {
					t.Errorf("%d events are still in a batch", n)
				}
				f.stop()
			})
		})
	}
}

// While a server is away that only the events of one partition need, a batch
// with events of two waits; the other partition is revoked and comes back.
func TestHeldBatchLosesAPartition(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var o outage
		f := newFixture(t)
		f.cfg.Fault, f.cfg.Healthy = faultOf, o.healthy
		_, calls := f.handleBatch("invoice", "orders", 30, func(_ context.Context, ms []*eventmodels.Message) error {
			crowd(ms)
			if o.away.Load() {
				return errAway
			}
			return nil
		})
		zero, one := at("orders", 0), at("orders", 1)
		f.produce(zero, 6)
		f.start(zero, one)
		f.settle(0)
		f.produce(one, 6)
		f.settle(500 * time.Millisecond)
		o.away.Store(true)
		f.settle(time.Minute)
		for _, tp := range []kafka.TopicPartition{zero, one} {
			f.revoke(context.Background(), f.engine, tp)
			f.settle(time.Second)
			f.assign(f.engine, tp)
			f.settle(time.Minute)
		}
		o.away.Store(false)
		f.settle(time.Minute)
		f.wantCommitted(zero, 6)
		f.wantCommitted(one, 6)
		for _, c := range calls.all {
			for i, n := range c.attempts {
				if n != 1 {
					t.Errorf("attempt %d of %d", n, c.offsets[i])
				}
			}
		}
		f.wantLogged(0, "discarded")
		f.stop()
	})
}
