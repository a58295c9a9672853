package eventtest_test

// Notifiers reach every Library that the process configures after their
// registration, so their tests have a test binary of their own.

import (
	"context"
	"testing"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
)

type job struct {
	ID    int
	State string
}

var (
	jobs     = eventmodels.BindTopic[job]("jobs")
	filtered = events.RegisterFiltered("jobs-by-id", jobs, func(e eventmodels.Event[job]) int { return e.Payload.ID })
	all      = events.RegisterUnfiltered("jobs-all", jobs, events.Async(-1))
	bounded  = events.RegisterUnfiltered("jobs-bounded", jobs, events.Async(1), events.WrapHandlerOpt(events.WithConcurrency(1)))
)

func started(t *testing.T) *eventnodb.Library {
	t.Helper()
	broker, err := eventembed.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	lib := eventnodb.New()
	lib.ConfigureNoDB(nil, false, nil, nil, broker.Addrs())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := lib.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	ready, _, err := lib.StartConsuming(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	<-ready
	return lib
}

func produce(t *testing.T, lib *eventnodb.Library, js ...job) {
	t.Helper()
	for _, j := range js {
		if err := lib.Produce(t.Context(), eventmodels.ProduceImmediate, jobs.Event("k", j)); err != nil {
			t.Fatal(err)
		}
	}
}

func next(t *testing.T, r interface {
	WaitChan() <-chan struct{}
	Consume() eventmodels.Event[job]
}) job {
	t.Helper()
	select {
	case <-r.WaitChan():
		return r.Consume().Payload
	case <-time.After(time.Minute):
		t.Fatal("no event came")
		return job{}
	}
}

func TestFilteredReadersGetTheirKey(t *testing.T) {
	lib := started(t)
	one, two := filtered.Subscribe(lib, 1), filtered.Subscribe(lib, 2)
	defer one.Unsubscribe()
	defer two.Unsubscribe()
	drain, drained := bounded.Subscribe(lib), make(chan struct{})
	go func() { // the bounded one waits for its reader
		defer close(drained)
		for range 2 {
			<-drain.WaitChan()
			drain.Consume()
		}
		drain.Unsubscribe()
	}()
	produce(t, lib, job{2, "running"}, job{1, "done"})
	if got := next(t, one); got != (job{1, "done"}) {
		t.Errorf("reader of 1 got %v", got)
	}
	if got := next(t, two); got != (job{2, "running"}) {
		t.Errorf("reader of 2 got %v", got)
	}
	<-drained
}

// A reader that is slow gets every event, and those of another notifier do not
// wait for it. (What Async bounds is tested in package events.)
func TestSlowReaderGetsEverything(t *testing.T) {
	lib := started(t)
	slow, quick := bounded.Subscribe(lib), all.Subscribe(lib)
	defer quick.Unsubscribe()
	produce(t, lib, job{1, "a"}, job{2, "b"})
	first, second := next(t, &quick), next(t, &quick)
	if first == second {
		t.Errorf("the unbounded reader got %v twice", first)
	}
	got := []job{next(t, &slow)}
	got = append(got, next(t, &slow))
	slow.Unsubscribe()
	if got[0] == got[1] {
		t.Errorf("the bounded reader got %v twice", got[0])
	}
}

func TestSubscribeWithoutRegistrationSaysWhy(t *testing.T) {
	lib := eventnodb.New()
	lib.SkipNotifierSupport()
	lib.ConfigureNoDB(nil, false, nil, nil, []string{"127.0.0.1:1"})
	defer func() {
		if recover() == nil {
			t.Error("Subscribe did not panic")
		}
	}()
	filtered.Subscribe(lib, 1)
}
