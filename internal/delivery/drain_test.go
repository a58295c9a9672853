package delivery

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// Drain: nothing new starts, what runs ends, what is done is committed.
func TestDrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		h := f.handle("invoice", "orders", sleepy(10*time.Second))
		h.Concurrency = 5
		f.handle("fails", "audit", func(context.Context, *eventmodels.Message) error { return errTest })
		tp := at("orders", 0)
		f.produce(tp, 1000)
		f.produce(at("audit", 0), 10)
		f.start(tp, at("audit", 0))
		f.settle(time.Second)
		fails := f.count("fails")
		began := time.Now()
		if abandoned := f.engine.Drain(context.Background()); len(abandoned) != 0 {
			t.Errorf("abandoned %v", abandoned)
		}
		if took := time.Since(began); took != 9*time.Second {
			t.Errorf("took %v", took)
		}
		f.wantCount("invoice", 5)
		f.wantCount("fails", fails)
		f.wantCommitted(tp, 5)
		f.wantCommitted(at("audit", 0), 0)
		polls := f.pollCount()
		f.revoke(context.Background(), f.engine, tp) // the group is left
		f.engine.Stop()
		f.engine.Stop()
		if f.pollCount() != polls {
			t.Error("polled after Drain")
		}
	})
}

// A hung handler does not hold Drain beyond its limit; its work is not
// acknowledged.
func TestDrainLimit(t *testing.T) {
	for _, c := range []struct {
		name string
		ctx  func() (context.Context, context.CancelFunc)
		took time.Duration
	}{
		{"the library's", func() (context.Context, context.CancelFunc) { return context.Background(), func() {} }, 30 * time.Second},
		{"deadline", func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 10*time.Second)
		}, 9 * time.Second},
		{"cancelled", func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return ctx, cancel
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				release := make(chan struct{})
				var cause error
				f.handle("invoice", "orders", func(ctx context.Context, m *eventmodels.Message) error {
					if m.Offset == 3 {
						<-ctx.Done()
						cause = context.Cause(ctx)
						<-release
					}
					return nil
				})
				tp := at("orders", 0)
				f.produce(tp, 100)
				f.start(tp)
				f.settle(time.Millisecond)
				ctx, cancel := c.ctx()
				defer cancel()
				began := time.Now()
				abandoned := f.engine.Drain(ctx)
				if took := time.Since(began); took != c.took {
					t.Errorf("took %v", took)
				}
				if len(abandoned) != 1 || abandoned[0].Offset != 3 || abandoned[0].Handler.Name != "invoice" {
					t.Errorf("abandoned %+v", abandoned)
				}
				f.wantCommitted(tp, 3)
				f.engine.Stop()
				close(release)
				synctest.Wait()
				if !errors.Is(cause, errDrained) {
					t.Errorf("cause %v", cause)
				}
				f.wantCommitted(tp, 3)
			})
		})
	}
}

func TestDrainWhileCommitsHang(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.onCommit = func(ctx context.Context, _ map[kafka.TopicPartition]kafka.Offset) error {
			<-ctx.Done()
			return ctx.Err()
		}
		f.handle("invoice", "orders", nil)
		f.produce(at("orders", 0), 10)
		f.start(at("orders", 0))
		f.settle(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		f.engine.Drain(ctx)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		f.engine.Stop()
		f.wantLogged(1, "last offsets")
	})
}

func TestStopWithoutDrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.handle("invoice", "orders", func(ctx context.Context, _ *eventmodels.Message) error {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), errStopped) {
				t.Errorf("cause %v", context.Cause(ctx))
			}
			return nil
		})
		f.produce(at("orders", 0), 10)
		f.start(at("orders", 0))
		f.settle(time.Second)
		f.engine.Stop()
		f.engine.Drain(context.Background())
		f.engine.Start(f.broker, f.broker)
		synctest.Wait()
		f.wantCommitted(at("orders", 0), 0)
	})
}

func TestStoppedBeforeStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.handle("invoice", "orders", nil)
		e, err := New(f.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if e.Drain(context.Background()) != nil {
			t.Error("abandoned")
		}
		e.Drain(context.Background())
		e.Start(f.broker, f.broker)
		e.Assigned(context.Background(), []kafka.TopicPartition{at("orders", 0)})
		e.Stop()
		if f.pollCount() > 0 {
			t.Error("polled")
		}
	})
}

func TestTwoDrains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.handle("invoice", "orders", sleepy(5*time.Second))
		f.produce(at("orders", 0), 1)
		f.start(at("orders", 0))
		f.settle(time.Second)
		go f.engine.Drain(context.Background())
		synctest.Wait()
		began := time.Now()
		f.engine.Drain(context.Background())
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("took %v", took)
		}
		f.wantCommitted(at("orders", 0), 1)
		f.engine.Stop()
	})
}

// Brokers that do not answer the last commit do not hold Drain either when its
// ctx is cancelled long before its deadline.
func TestDrainCommitLimit(t *testing.T) {
	for _, c := range []struct {
		name            string
		cancelAfter, in time.Duration
	}{
		{"before", 0, minCommitGrace},
		{"meanwhile", 5 * time.Second, 5*time.Second + minCommitGrace},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				f.onCommit = func(ctx context.Context, _ map[kafka.TopicPartition]kafka.Offset) error {
					<-ctx.Done()
					return ctx.Err()
				}
				f.handle("invoice", "orders", nil)
				tp := at("orders", 0)
				f.produce(tp, 10)
				f.start(tp)
				f.settle(10 * time.Millisecond)
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				time.AfterFunc(c.cancelAfter, cancel)
				began := time.Now()
				f.engine.Drain(ctx)
				if took := time.Since(began); took > c.in {
					t.Errorf("took %v", took)
				}
				f.engine.Stop()
			})
		})
	}
}
