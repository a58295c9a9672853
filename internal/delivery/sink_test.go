package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// letterbox is a scripted sink.
type letterbox struct {
	mu sync.Mutex
	// answer, if not nil, is asked before something is written.
	answer func(ctx context.Context, out *Outgoing) error
	got    []Outgoing // written
	calls  int
}

func (b *letterbox) sink(ctx context.Context, out []*Outgoing) []error {
	b.mu.Lock()
	b.calls++
	answer := b.answer
	b.mu.Unlock()
	errs := make([]error, len(out))
	for i, o := range out {
		if answer != nil {
			errs[i] = answer(ctx, o)
		}
		if errs[i] == nil {
			b.mu.Lock()
			b.got = append(b.got, *o)
			b.mu.Unlock()
		}
	}
	return errs
}

func (b *letterbox) set(answer func(ctx context.Context, out *Outgoing) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = answer
}

func (b *letterbox) written() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, o := range b.got {
		all = append(all, fmt.Sprint(o.Record.Offset))
	}
	return strings.Join(all, " ")
}

func (f *fixture) letterbox() *letterbox {
	b := &letterbox{}
	f.cfg.Sink = b.sink
	return b
}

var errAtOnce = eventmodels.SetErrorHandling(errTest, eventmodels.DoNotRetry)

func failOn(offsets ...int64) func(context.Context, *eventmodels.Message) error {
	return func(_ context.Context, m *eventmodels.Message) error {
		for _, o := range offsets {
			if m.Offset == o {
				return errAtOnce
			}
		}
		return nil
	}
}

// An event that has failed for good is done when its letter is written, and the
// sink learns all of it.
func TestLetter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		box := f.letterbox()
		h := f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
			if m.Offset == 1 {
				return errTest
			}
			return nil
		})
		h.OnFailure, h.Timeout = eventmodels.OnFailureSave, 4*time.Second
		f.start(at("orders", 0))
		defer f.stop()
		f.produce(at("orders", 0), 3)
		f.settle(30 * time.Second)
		f.wantTimes("invoice", "0 0 0 1 3")
		f.wantCommitted(at("orders", 0), 3)
		if box.written() != "1" {
			t.Fatalf("letters of %s", box.written())
		}
		o := box.got[0]
		if !errors.Is(o.Err, errTest) || o.Attempts != 3 || o.First.Sub(f.began) != 0 || o.Last.Sub(f.began) != 3*time.Second ||
			o.Message == nil || o.Message.ID != "orders/0/1" || o.Handler.Name != "invoice" || o.Note != nil {
			t.Errorf("the sink got %+v", o)
		}
		f.wantLogged(1, "a letter of the event is in the dead-letter topic")
	})
}

// While a letter cannot be written the commit stays in front of its event, the
// partition holds, and other partitions go on; then nothing is lost.
func TestLetterThatCannotBeWritten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		box := f.letterbox()
		box.set(func(context.Context, *Outgoing) error { return errAway })
		h := f.handle("invoice", "orders", failOn(1))
		h.OnFailure, h.QueueDepth = eventmodels.OnFailureRetryLater, 1
		e := f.start(at("orders", 0), at("orders", 1))
		defer f.stop()
		f.produce(at("orders", 0), 3)
		f.settle(time.Second)
		f.produce(at("orders", 0), 5)
		f.produce(at("orders", 1), 1)
		f.settle(time.Minute)
		f.wantCommitted(at("orders", 0), 1)
		f.wantCommitted(at("orders", 1), 1)
		f.wantCount("invoice", 4)
		blocked := e.Blocked()
		if len(blocked) != 1 || blocked[0].Reason != BlockUnsent || blocked[0].Offset != 1 {
			t.Errorf("blocked: %+v", blocked)
		}
		if st := e.Stats()[0]; st.Retrying != 1 {
			t.Errorf("stats: %+v", st)
		}
		box.set(nil)
		f.settle(10 * time.Second)
		f.wantCommitted(at("orders", 0), 8)
		f.wantCount("invoice", 9)
		if box.written() != "1" || len(e.Blocked()) != 0 {
			t.Errorf("letters of %s; blocked: %+v", box.written(), e.Blocked())
		}
		if box.calls > 40 {
			t.Errorf("%d calls in a minute", box.calls)
		}
	})
}

// One that cannot be written does not keep the others back, and the sink gets
// several at once.
func TestLettersAreWrittenTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		box := f.letterbox()
		box.set(func(_ context.Context, o *Outgoing) error {
			time.Sleep(time.Millisecond)
			if o.Record.Offset == 3 {
				return errTest
			}
			return nil
		})
		h := f.handle("invoice", "orders", func(context.Context, *eventmodels.Message) error { return errAtOnce })
		h.OnFailure = eventmodels.OnFailureSave
		f.start(at("orders", 0))
		defer f.stop()
		f.produce(at("orders", 0), 10)
		f.settle(time.Second)
		f.wantCommitted(at("orders", 0), 3)
		if got := strings.Fields(box.written()); len(got) != 9 {
			t.Errorf("letters of %v", got)
		}
		if box.calls > 8 {
			t.Errorf("%d calls", box.calls)
		}
		box.set(nil)
		f.settle(10 * time.Second)
		f.wantCommitted(at("orders", 0), 10)
	})
}

// A database that is away costs an event no letter.
func TestNoLetterWhileAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		box := f.letterbox()
		var away atomic.Bool
		away.Store(true)
		f.cfg.Healthy = func(context.Context) error {
			if away.Load() {
				return errAway
			}
			return nil
		}
		h := f.handle("invoice", "orders", func(context.Context, *eventmodels.Message) error {
			if away.Load() {
				return errAtOnce
			}
			return nil
		})
		h.OnFailure = eventmodels.OnFailureSave
		f.start(at("orders", 0))
		defer f.stop()
		f.produce(at("orders", 0), 3)
		f.settle(10 * time.Minute)
		away.Store(false)
		f.settle(time.Minute)
		f.wantCommitted(at("orders", 0), 3)
		if box.written() != "" {
			t.Errorf("letters of %s", box.written())
		}
	})
}

// A revocation, and a shutdown, wait for letters that are on their way, the
// prober's question included, as they wait for handlers.
func TestEndsWaitForLetters(t *testing.T) {
	for name, end := range map[string]func(*fixture){
		"revoked":  func(f *fixture) { f.revoke(context.Background(), f.engine, at("orders", 0)) },
		"shutdown": func(f *fixture) { f.engine.Drain(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				box := f.letterbox()
				box.set(func(context.Context, *Outgoing) error { time.Sleep(2 * time.Second); return nil })
				f.cfg.Healthy = func(context.Context) error { time.Sleep(time.Second); return nil }
				h := f.handle("invoice", "orders", func(context.Context, *eventmodels.Message) error {
					time.Sleep(time.Second) // the end comes while the handler runs
					return errAtOnce
				})
				h.OnFailure = eventmodels.OnFailureSave
				f.start(at("orders", 0))
				f.produce(at("orders", 0), 1)
				f.settle(500 * time.Millisecond)
				end(f)
				if took := time.Since(f.began); took != 4*time.Second {
					t.Errorf("the end came after %v", took)
				}
				f.wantCommitted(at("orders", 0), 1)
				if box.written() != "0" || f.engine.s.underway != 0 {
					t.Errorf("letters of %q, %d underway", box.written(), f.engine.s.underway)
				}
				f.stop()
			})
		})
	}
}

// A letter that is written when its epoch has ended acknowledges nothing; the
// next assignment begins anew.
func TestLetterAfterTheEpoch(t *testing.T) {
	for name, end := range map[string]func(*fixture){
		"lost": func(f *fixture) { f.lose(f.engine, at("orders", 0)) },
		"revoked": func(f *fixture) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			f.revoke(ctx, f.engine, at("orders", 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t)
				box := f.letterbox()
				release := make(chan struct{})
				box.set(func(context.Context, *Outgoing) error { <-release; return nil })
				h := f.handle("invoice", "orders", failOn(1))
				h.OnFailure = eventmodels.OnFailureSave
				f.start(at("orders", 0))
				defer f.stop()
				f.produce(at("orders", 0), 3)
				f.settle(time.Second)
				end(f)
				f.assign(f.engine, at("orders", 0))
				f.settle(time.Second)
				f.wantCommitted(at("orders", 0), 1)
				box.set(nil)
				close(release)
				f.settle(10 * time.Second)
				f.wantCommitted(at("orders", 0), 3)
				if box.written() != "1 1" || f.engine.s.underway != 0 {
					t.Errorf("letters of %q, %d underway", box.written(), f.engine.s.underway)
				}
			})
		})
	}
}

// A letter of a record that was replaced by another one acknowledges nothing.
func TestLetterOfReplacedRecord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		box := f.letterbox()
		release := make(chan struct{})
		box.set(func(context.Context, *Outgoing) error { <-release; return nil })
		var bad atomic.Bool
		bad.Store(true)
		h := f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error {
			if bad.Load() && m.Offset == 1 {
				return errAtOnce
			}
			return nil
		})
		h.OnFailure = eventmodels.OnFailureSave
		f.start(at("orders", 0))
		defer f.stop()
		f.produce(at("orders", 0), 3)
		f.settle(time.Second)
		bad.Store(false)
		f.seek(at("orders", 0), 1)
		f.settle(time.Second)
		f.wantCommitted(at("orders", 0), 3) // by the record that has replaced it
		close(release)
		f.settle(time.Second)
		if f.engine.s.underway != 0 || f.count("invoice") != 5 {
			t.Errorf("%d underway, %d calls", f.engine.s.underway, f.count("invoice"))
		}
	})
}

// What Run hands over is written before the event is done, and Run is not
// called again for it.
func TestToSink(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t)
		box := f.letterbox()
		var tries atomic.Int32
		box.set(func(context.Context, *Outgoing) error {
			if tries.Add(1) < 4 {
				return errAway
			}
			return nil
		})
		f.cfg.Observer.Succeeded = func(*Handler) { f.mu.Lock(); f.logs.WriteString("SUCCESS "); f.mu.Unlock() }
		f.handle("invoice", "orders", func(_ context.Context, m *eventmodels.Message) error { return ToSink(fmt.Sprint("note ", m.Offset)) })
		f.start(at("orders", 0))
		defer f.stop()
		f.produce(at("orders", 0), 2)
		f.settle(time.Minute)
		f.wantCommitted(at("orders", 0), 2)
		f.wantCount("invoice", 2)
		if box.written() != "1 0" && box.written() != "0 1" || box.got[0].Err != nil || box.got[0].Note != "note "+fmt.Sprint(box.got[0].Record.Offset) {
			t.Errorf("the sink got %+v", box.got)
		}
		f.wantLogged(2, "SUCCESS")
		f.wantLogged(0, "dead-letter")
	})
}
