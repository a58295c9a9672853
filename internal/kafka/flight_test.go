package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

var errFlight = errors.New("flight failed")

// pilot is a fly function that a test leads.
type pilot struct {
	started chan []WireTopic
	orders  chan func(f *flight[int])
	ended   chan error // the cause of the end of a flight's ctx
}

func newPilot() (*pilot, *flights[int]) {
	p := &pilot{started: make(chan []WireTopic, 10), orders: make(chan func(*flight[int])), ended: make(chan error, 10)}
	return p, newFlights(func(ctx context.Context, topics []WireTopic, f *flight[int]) {
		p.started <- topics
		for {
			select {
			case <-ctx.Done():
				p.ended <- context.Cause(ctx)
				return
			case order := <-p.orders:
				if order == nil {
					return
				}
				order(f)
			}
		}
	})
}

type answer struct {
	values map[WireTopic]int
	failed map[WireTopic]error
}

func ask(ctx context.Context, f *flights[int], topics ...WireTopic) <-chan answer {
	ch := make(chan answer, 1)
	go func() {
		values, failed := f.get(ctx, topics)
		ch <- answer{values, failed}
	}()
	return ch
}

func TestFlightsShare(t *testing.T) {
	p, f := newPilot()
	defer f.stop()
	first := ask(timeout(t), f, "a", "b", "a")
	if got := receive(t, "the flight", p.started); fmt.Sprint(got) != "[a b]" {
		t.Errorf("the flight is about %v", got)
	}
	second := ask(timeout(t), f, "b", "c") // b is under way, c is not
	if got := receive(t, "the second flight", p.started); fmt.Sprint(got) != "[c]" {
		t.Errorf("the second flight is about %v", got)
	}
	eventually(t, "both wait for b", func() bool { return waiters(f, "b") == 2 })
	byTopic := func(fl *flight[int]) {
		fl.report("a", 1, nil)
		fl.report("b", 0, errFlight)
		fl.report("b", 2, nil) // too late
		fl.report("c", 3, nil)
	}
	p.orders <- byTopic
	p.orders <- byTopic // one of them went to each flight, or twice to one
	eventually(t, "all are reported", func() bool {
		select {
		case p.orders <- byTopic:
		default:
		}
		return waiters(f, "a")+waiters(f, "b")+waiters(f, "c") == 0
	})
	if got := receive(t, "the first answer", first); got.values["a"] != 1 || got.failed["b"] != errFlight || len(got.values) != 1 || len(got.failed) != 1 {
		t.Errorf("first: %+v", got)
	}
	if got := receive(t, "the second answer", second); got.values["c"] != 3 || got.failed["b"] != errFlight {
		t.Errorf("second: %+v", got)
	}
	if v, ok := f.cached("a"); !ok || v != 1 {
		t.Errorf("a is kept as %d, %v", v, ok)
	}
	if _, ok := f.cached("b"); ok {
		t.Error("a failure was kept")
	}
}

func TestFlightsEndWithTheLastWaiter(t *testing.T) {
	p, f := newPilot()
	defer f.stop()
	ctx, cancel := context.WithCancel(context.Background())
	one, two := ask(ctx, f, "a"), ask(ctx, f, "a")
	receive(t, "the flight", p.started)
	eventually(t, "both wait", func() bool { return waiters(f, "a") == 2 })
	tried := make(chan struct{})
	p.orders <- func(fl *flight[int]) { fl.trying("a", errFlight); close(tried) }
	<-tried
	cancel()
	for _, ch := range []<-chan answer{one, two} {
		got := receive(t, "an answer", ch)
		if err := got.failed["a"]; !errors.Is(err, context.Canceled) || !errors.Is(err, errFlight) {
			t.Errorf("it gave up with %v", err)
		}
	}
	receive(t, "the end of the flight", p.ended)

	again := ask(timeout(t), f, "a")
	receive(t, "a new flight", p.started)
	p.orders <- func(fl *flight[int]) { fl.report("a", 7, nil) }
	if got := receive(t, "an answer", again); got.values["a"] != 7 {
		t.Errorf("%+v", got)
	}
}

// What is forgotten while it is found out is not kept, but still answers those
// who wait for it.
func TestFlightsForget(t *testing.T) {
	p, f := newPilot()
	defer f.stop()
	old := ask(timeout(t), f, "a")
	receive(t, "the flight", p.started)
	f.forget("a")
	p.orders <- func(fl *flight[int]) { fl.report("a", 1, nil) }
	if got := receive(t, "an answer", old); got.values["a"] != 1 {
		t.Errorf("%+v", got)
	}
	if _, ok := f.cached("a"); ok {
		t.Error("what was forgotten is kept")
	}
}

// A flight that ends without a result for a topic does not leave anybody
// waiting.
func TestFlightsWithoutResult(t *testing.T) {
	p, f := newPilot()
	defer f.stop()
	asked := ask(timeout(t), f, "a")
	receive(t, "the flight", p.started)
	p.orders <- nil
	if got := receive(t, "an answer", asked); got.failed["a"] == nil {
		t.Errorf("%+v", got)
	}
}

func TestFlightsStop(t *testing.T) {
	p, f := newPilot()
	asked := ask(timeout(t), f, "a")
	receive(t, "the flight", p.started)
	f.stop()
	f.stop()
	if got := receive(t, "an answer", asked); !errors.Is(got.failed["a"], ErrClosed) {
		t.Errorf("%+v", got)
	}
	if err := receive(t, "the end of the flight", p.ended); !errors.Is(err, ErrClosed) {
		t.Errorf("it ended with %v", err)
	}
	if got := receive(t, "an answer", ask(timeout(t), f, "b")); !errors.Is(got.failed["b"], ErrClosed) {
		t.Errorf("%+v", got)
	}
}

// A flight whose topic was forgotten meanwhile ends with stop, too.
func TestFlightsStopForgotten(t *testing.T) {
	p, f := newPilot()
	first := ask(timeout(t), f, "a")
	receive(t, "the flight", p.started)
	f.forget("a")
	second := ask(timeout(t), f, "a")
	receive(t, "the second flight", p.started)
	stopped := make(chan struct{})
	go func() { f.stop(); close(stopped) }()
	for range 2 {
		if err := receive(t, "the end of a flight", p.ended); err != ErrClosed {
			t.Errorf("a flight ends with %v", err)
		}
	}
	receive(t, "the stop", stopped)
	for _, answers := range []<-chan answer{first, second} {
		if got := receive(t, "an answer", answers); got.failed["a"] != ErrClosed {
			t.Errorf("a caller is told %+v", got)
		}
	}
}
