//go:build synctests

package eventtest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
	"github.com/seed46dd6f11/events/internal/letters"
)

const letterTopic = "orders.g.dead-letter"

var errGivenUp = eventmodels.SetErrorHandling(errors.New("the handler does not like this event"), eventmodels.DoNotRetry)

// postbox is a cluster and a service with dead letters, in virtual time.
type postbox struct {
	t      *testing.T
	broker *eventembed.Broker
	db     *switchable
	lib    *library
	sent   int
}

func withPostbox(t *testing.T, register func(*postbox), run func(t *testing.T, p *postbox)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := new(eventembed.Network)
		broker, err := eventembed.Start(eventembed.Brokers(3), eventembed.OnNetwork(network), eventembed.Topics(1, "orders"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { broker.Close() })
		db, err := eventsqlite.Open(context.Background(), filepath.Join(t.TempDir(), "events.db"), eventsqlite.WithMigrate())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		p := &postbox{t: t, broker: broker, db: &switchable{DB: db}, lib: events.New[eventmodels.StringEventID, *eventsqlite.Tx, *switchable]()}
		p.lib.SkipNotifierSupport()
		p.lib.SetLogger(slog.New(slog.DiscardHandler))
		p.lib.SetDialer(network.DialContext)
		p.lib.SetTopicConfig(kafka.TopicConfig{Topic: letterTopic, NumPartitions: 1})
		register(p)
		p.lib.Configure(p.db, nil, false, nil, nil, broker.Addrs())
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := p.lib.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
		started, _, err := p.lib.StartConsuming(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		<-started
		run(t, p)
	})
}

func (p *postbox) produce(n int) {
	p.t.Helper()
	evs := make([]eventmodels.ProducingEvent, n)
	for i := range evs {
		evs[i] = orders.Event(fmt.Sprint("key", p.sent), ordered{N: p.sent})
		p.sent++
	}
	if err := p.lib.Produce(context.Background(), eventmodels.ProduceImmediate, evs...); err != nil {
		p.t.Fatal(err)
	}
}

// headers are those of all records of the dead-letter topic.
func (p *postbox) headers() (all []letters.Header) {
	p.t.Helper()
	records, err := p.broker.Records(letterTopic)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, r := range records {
		h, _, err := letters.Parse(r.Headers)
		if err != nil {
			p.t.Fatal(err)
		}
		all = append(all, h)
	}
	return all
}

func (p *postbox) wantCommitted(topic string) {
	p.t.Helper()
	ends, err := p.broker.EndOffsets(topic)
	if err != nil {
		p.t.Fatal(err)
	}
	if at := p.broker.Committed("g", topic, 0); at != ends[0] {
		p.t.Errorf("%s: committed up to %d of %d", topic, at, ends[0])
	}
}

// A letter is tried again after a minute, and then with pauses that double up to
// half an hour, through a restart of all brokers, until it succeeds. Jitter takes
// up to a tenth of each pause, also of the one that the next doubles.
func TestLettersBackOff(t *testing.T) {
	var well atomic.Bool
	var mu sync.Mutex
	var runs []time.Time
	withPostbox(t, func(p *postbox) {
		p.lib.ConsumeIdempotent(group, eventmodels.OnFailureRetryLater, "h", orders.Handler(func(context.Context, eventmodels.Event[ordered]) error {
			mu.Lock()
			defer mu.Unlock()
			runs = append(runs, time.Now())
			if well.Load() {
				return nil
			}
			return errGivenUp
		}))
	}, func(t *testing.T, p *postbox) {
		p.produce(1)
		time.Sleep(8 * time.Minute) // the fourth pause, 5.4 to 7 minutes after the start, ends after 10.6 minutes at the earliest
		if err := p.broker.Cut(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if err := p.broker.Restore(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(86*time.Minute + 30*time.Second)
		well.Store(true)
		time.Sleep(35 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(runs) < 8 {
			t.Fatalf("%d runs", len(runs))
		}
		want := time.Minute
		for i := range runs[1:] {
			wait := runs[i+1].Sub(runs[i])
			if wait > want+time.Second || wait < want*9/10-time.Second {
				t.Errorf("pause %d is %v, not %v less a tenth", i+1, wait, want)
			}
			want = min(2*wait, 30*time.Minute)
		}
		all := p.headers()
		if len(all) != len(runs) || all[len(all)-1].Kind != letters.Done || all[len(all)-1].Attempts != len(runs) {
			t.Errorf("%d runs, %d records, at last %+v", len(runs), len(all), all[len(all)-1])
		}
		p.wantCommitted(letterTopic)
		p.wantCommitted("orders")
	})
}

// Ten minutes without database, and ten without brokers, cost no event a letter
// and no letter an attempt, however short the handlers' time is.
func TestLettersThroughOutages(t *testing.T) {
	var bad atomic.Bool
	bad.Store(true)
	var got counts
	withPostbox(t, func(p *postbox) {
		handle := func(ctx context.Context, e eventmodels.Event[ordered]) error {
			if err := p.db.check(); err != nil {
				return fmt.Errorf("a handler that says nothing of the cause: %v", err)
			}
			if bad.Load() && e.Payload.N == 0 {
				return errGivenUp
			}
			return got.handle(ctx, e)
		}
		p.lib.ConsumeIdempotent(group, eventmodels.OnFailureRetryLater, "h", orders.Handler(handle), events.WithTimeout(10*time.Second))
		p.lib.ConsumeExactlyOnce(group, eventmodels.OnFailureSave, "once", orders.HandlerTx(func(context.Context, *eventsqlite.Tx, eventmodels.Event[ordered]) error {
			return nil
		}), events.WithTimeout(10*time.Second))
	}, func(t *testing.T, p *postbox) {
		p.produce(5)
		time.Sleep(30 * time.Second) // order 0 has a letter, which waits
		bad.Store(false)
		p.db.away.Store(true)
		for range 10 * 60 {
			p.produce(1)
			time.Sleep(time.Second)
		}
		p.db.away.Store(false)
		time.Sleep(2 * time.Minute)
		p.produce(20)
		if err := p.broker.Cut(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if err := p.broker.Restore(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		got.want(t, "the handler", p.sent, false)
		all := p.headers()
		if len(all) != 2 || all[0].Handler != "h" || all[0].Attempts != 1 || all[1].Kind != letters.Done || all[1].Attempts != 2 {
			t.Errorf("the letters are %+v", all)
		}
		p.wantCommitted(letterTopic)
		p.wantCommitted("orders")
	})
}

// Letters whose acknowledgements are lost for an hour are not sent anew with each
// try: that would be hundreds of records. (The producer itself may write a
// record a second time; that is the same letter.)
func TestLettersWithoutAnswer(t *testing.T) {
	withPostbox(t, func(p *postbox) {
		p.lib.ConsumeIdempotent(group, eventmodels.OnFailureSave, "h", orders.Handler(func(context.Context, eventmodels.Event[ordered]) error {
			return errGivenUp
		}))
	}, func(t *testing.T, p *postbox) {
		p.produce(1)
		time.Sleep(time.Minute)
		fault := p.broker.StallResponse(eventembed.Match{Topic: letterTopic, When: isProduce})
		p.produce(3)
		time.Sleep(time.Hour)
		fault.Remove()
		time.Sleep(5 * time.Minute)
		all := p.headers()
		ids := make(map[eventmodels.Mark]bool)
		for _, h := range all {
			ids[h.ID] = true
		}
		if len(ids) != 4 || len(all) > 8 {
			t.Errorf("of 4 events there are %d letters in %d records", len(ids), len(all))
		}
		p.wantCommitted("orders")
	})
}

func isProduce(r kmsg.Request) bool { return r.Key() == int16(kmsg.Produce) }
