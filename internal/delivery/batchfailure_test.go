package delivery

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// What is nobody's fault splits no batch and counts nothing: ten minutes
// without a server, and conflicts.
func TestNobodysFaultSplitsNoBatch(t *testing.T) {
	for _, err := range []error{errAway, errTest, errConflict} {
		t.Run(err.Error(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				var o outage
				f.cfg.Fault, f.cfg.Healthy = faultOf, o.healthy
				conflicts := 0
				_, calls := f.handleBatch("invoice", "orders", 30, func(_ context.Context, ms []*eventmodels.Message) error {
					crowd(ms)
					switch {
					case len(ms) == 1 && ms[0].Offset == 0:
					case err == errConflict:
						if conflicts++; conflicts <= maxConflicts {
							return err
						}
					case o.away.Load():
						return err
					}
					return nil
				})
				tp := at("orders", 0)
				f.produce(tp, 31)
				f.start(tp)
				f.settle(500 * time.Millisecond)
				o.away.Store(err != errConflict)
				f.settle(10 * time.Minute)
				o.away.Store(false)
				f.settle(10 * time.Minute)
				f.wantCommitted(tp, 31)
				f.wantLogged(0, "discarded")
				if err == errTest {
					// It looks like the events' fault, so they are isolated; they
					// are not given up.
					f.stop()
					return
				}
				for i, c := range calls.all {
					if i > 0 && (len(c.offsets) != 30 || c.attempts[7] != 1) {
						t.Errorf("call %d: %+v", i, c)
					}
				}
				f.stop()
			})
		})
	}
}

// The eleventh conflict in a row counts: batches that deadlock with each other
// become smaller.
func TestConflictsSplitABatchInTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.cfg.Fault = faultOf
		h, _ := f.handleBatch("invoice", "orders", 30, func(_ context.Context, ms []*eventmodels.Message) error {
			crowd(ms)
			if len(ms) > 4 {
				return errConflict
			}
			return nil
		})
		h.Timeout = 3 * time.Second
		tp := at("orders", 0)
		f.produce(tp, 31)
		f.start(tp)
		f.settle(time.Minute)
		f.wantCommitted(tp, 31)
		f.wantLogged(0, "discarded")
		f.stop()
	})
}

// The deadline of a batch is the latest of its events'. An event that has used
// up its time in a batch has it again alone.
func TestDeadlineOfABatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		h, calls := f.handleBatch("invoice", "orders", 30, func(ctx context.Context, ms []*eventmodels.Message) error {
			crowd(ms)
			switch i := has(ms, 2); {
			case i >= 0 && ms[i].Attempt == 1 && len(ms) == 3:
				return &eventmodels.BatchError{Errors: map[int]error{i: eventmodels.RetryAfter(errTest, time.Second)}}
			case i >= 0:
				<-ctx.Done() // hangs
				return ctx.Err()
			case has(ms, 4) == 0:
				time.Sleep(1500 * time.Millisecond) // the retry comes to a batch
			}
			return nil
		})
		h.Timeout = 10 * time.Second
		tp := at("orders", 0)
		f.produce(tp, 4)
		f.start(tp)
		f.settle(1500 * time.Millisecond)
		f.produce(tp, 1)
		f.settle(0)
		f.produce(tp, 2)
		f.settle(time.Hour)
		calls.want(`
			0: 0
			1: 1-3
			1.5: 4
			3: 2#2 5-6
			15: 2#2 5-6
			25: 2#2
			34: 5-6`)
		var deadlines []float64
		for _, c := range calls.all[3:] {
			deadlines = append(deadlines, c.deadline.Seconds())
		}
		// Alone it has the 9 s again that it had at 3 s, when it had waited for
		// a slot since 2 s.
		if fmt.Sprint(deadlines) != "[13 25 34 44]" {
			t.Errorf("deadlines %v", deadlines)
		}
		f.wantCommitted(tp, 7)
		f.wantLogged(1, "discarded")
		f.stop()
	})
}

// A record that cannot be decoded does not fail its batch.
func TestUndecodableInABatch(t *testing.T) {
	for _, atomic := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			f := newFixture(t)
			f.cfg.Decode = func(r *kafka.Record, into *eventmodels.Message) error {
				if r.Offset%10 == 5 {
					return errTest
				}
				return decode(r, into)
			}
			h, calls := f.handleBatch("invoice", "orders", 10, func(_ context.Context, ms []*eventmodels.Message) error {
				crowd(ms)
				if i := has(ms, 7); i >= 0 {
					return &eventmodels.BatchError{Errors: map[int]error{i: eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry)}}
				}
				return nil
			})
			h.Atomic = atomic
			tp := at("orders", 0)
			f.produce(tp, 31)
			f.start(tp)
			f.settle(time.Minute)
			again := ""
			if atomic {
				again = "1: 1-4 6 8-10"
			}
			calls.want(`
				0: 0
				1: 1-4 6-10
				` + again + `
				1: 11-14 16-20
				1: 21-24 26-30`)
			f.wantCommitted(tp, 31)
			f.wantLogged(4, "discarded")
			f.stop()
		})
	}
}

// An error that is to be ignored, or that says that it was done before, takes
// the whole batch for done.
func TestBatchIsIgnored(t *testing.T) {
	for _, err := range []error{eventmodels.SetErrorHandling(errTest, eventmodels.IgnoreError), fmt.Errorf("marks: %w", eventmodels.ErrAlreadyProcessed)} {
		bubble(t, func(t *testing.T) {
			f := newFixture(t)
			failed := 0
			f.cfg.Observer.Failed = func(*Handler, error) { failed++ }
			_, calls := f.handleBatch("invoice", "orders", 30, func(_ context.Context, ms []*eventmodels.Message) error {
				crowd(ms)
				if len(ms) > 1 {
					return err
				}
				return nil
			})
			tp := at("orders", 0)
			f.produce(tp, 31)
			f.start(tp)
			f.settle(time.Minute)
			calls.want(`
				0: 0
				1: 1-30`)
			f.wantCommitted(tp, 31)
			f.stop()
			if failed > 1 {
				t.Errorf("%d failures of one call", failed)
			}
		})
	}
}

// Other events go on while a batch is isolated, also where one run is allowed:
// they have every other turn.
func TestOthersGoOnBesideAnIsolation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		h, calls := f.handleBatch("invoice", "orders", 4, func(_ context.Context, ms []*eventmodels.Message) error {
			time.Sleep(time.Second)
			if i := has(ms, 1); i >= 0 && ms[i].Attempt < 2 {
				return errTest
			}
			return nil
		})
		h.Backoff.Min = 500 * time.Millisecond
		tp := at("orders", 0)
		f.produce(tp, 17)
		f.start(tp)
		f.settle(time.Minute)
		calls.want(`
			0: 0
			1: 1-4
			2: 5-8
			3: 1-4
			4: 9-12
			5: 1-2
			6: 13-16
			7: 1
			8: 2
			9: 1#2
			10: 3-4`)
		f.wantCommitted(tp, 17)
		f.stop()
	})
}

// A run that was to do all or nothing and returns an error that names no event
// has done nothing: it is a plain error.
func TestAtomicErrorThatNamesNone(t *testing.T) {
	for _, batch := range []int{1, 30} {
		bubble(t, func(t *testing.T) {
			f := newFixture(t)
			n := 0
			h, _ := f.handleBatch("invoice", "orders", batch, func(context.Context, []*eventmodels.Message) error {
				if n++; n < 5 {
					return &eventmodels.BatchError{}
				}
				return nil
			})
			h.Atomic = true
			tp := at("orders", 0)
			f.produce(tp, 1)
			f.start(tp)
			f.settle(time.Second / 2)
			f.wantCommitted(tp, 0)
			f.settle(time.Minute)
			f.wantCommitted(tp, 1)
			f.stop()
		})
	}
}

// The final verdicts of several events of a batch wait for the prober, and one
// of their partitions goes meanwhile; then the servers turn out to be away.
func TestMembersOfABatchAreAsked(t *testing.T) {
	for _, away := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			answer := make(chan error)
			bad := true
			dropped := 0
			f := newFixture(t)
			f.cfg.Healthy = func(ctx context.Context) error {
				select {
				case err := <-answer:
					return err
				case <-ctx.Done():
					return nil
				}
			}
			f.cfg.Observer.Dropped = func(*Handler) { dropped++ }
			f.handleBatch("invoice", "orders", 30, func(_ context.Context, ms []*eventmodels.Message) error {
				crowd(ms)
				var failed eventmodels.BatchError
				for i, m := range ms {
					if bad && m.Offset%2 == 1 {
						failed.Fail(i, eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry))
					}
				}
				return failed.Err()
			})
			zero, one := at("orders", 0), at("orders", 1)
			f.produce(zero, 11)
			f.start(zero, one)
			f.settle(0)
			f.produce(one, 10)
			f.settle(1500 * time.Millisecond)
			f.revoke(context.Background(), f.engine, one)
			f.settle(time.Second)
			bad = false
			if away {
				answer <- errAway
			} else {
				answer <- nil
			}
			f.settle(time.Second)
			if away {
				answer <- nil
			}
			f.settle(time.Second)
			f.wantCommitted(zero, 11)
			if want := map[bool]int{true: 0, false: 5}[away]; dropped != want {
				t.Errorf("away %v: %d dropped, want %d", away, dropped, want)
			}
			f.assign(f.engine, one)
			f.settle(time.Minute)
			f.wantCommitted(one, 10)
			f.wantLogged(dropped, "discarded")
			f.stop()
		})
	}
}
