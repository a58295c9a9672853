package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events/bench/internal/compare"
)

// What the latencies of a journey are called.
const (
	toKafka   = "commit to Kafka"
	toHandler = "commit to handler"
)

// journey is when an event was where, as nanoseconds since the schedule began.
type journey struct {
	begun     int64 // the transaction
	committed int64 // the call that commits has returned
	arrived   atomic.Int64
	handled   atomic.Int64
}

// journeys are those of all events, by the orders' ids.
type journeys struct {
	start   time.Time
	of      []journey
	missing atomic.Int64  // times that are not known yet: two of each event
	done    chan struct{} // closed when none is missing
}

func newJourneys(n int) *journeys {
	j := &journeys{start: time.Now(), of: make([]journey, n), done: make(chan struct{})}
	j.missing.Store(2 * int64(n))
	return j
}

func (j *journeys) now() int64 { return int64(time.Since(j.start)) }

// mark is told that something has happened to an event.
func (j *journeys) mark(at *atomic.Int64) {
	if at.CompareAndSwap(0, j.now()) && j.missing.Add(-1) == 0 {
		close(j.done)
	}
}

// handle is what a handler does.
func (j *journeys) handle(id int64) { j.mark(&j.of[id].handled) }

// observe reads the topic beside everything else, and notes when each event was
// there. It ends in the cleanup.
func (j *journeys) observe(ctx context.Context, c *compare.Cleanup, brokers []string, topic string) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return err
	}
	var reading sync.WaitGroup
	c.Defer(func(context.Context) error {
		client.Close()
		reading.Wait()
		return nil
	})
	reading.Go(func() {
		for {
			fetches := client.PollFetches(ctx)
			if fetches.IsClientClosed() || ctx.Err() != nil {
				return
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if id, ok := orderID(r.Value); ok && id < int64(len(j.of)) {
					j.mark(&j.of[id].arrived)
				}
			})
		}
	})
	return nil
}

// orderID reads the id of an order's JSON without decoding the rest.
func orderID(payload []byte) (int64, bool) {
	rest, ok := bytes.CutPrefix(payload, []byte(`{"id":`))
	digits, _, _ := bytes.Cut(rest, []byte(","))
	id, err := strconv.ParseInt(string(digits), 10, 64)
	return id, ok && err == nil
}

// schedule calls commit for each event when its time has come, each in a
// goroutine of its own, and begins the trial after the first warm ones.
func (j *journeys) schedule(ctx context.Context, t *compare.Trial, every time.Duration, warm int, commit func(int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	// The first commits open connections and find the group's coordinator.
	if err := commit(0); err != nil {
		return err
	}
	err := poll(ctx, func(context.Context) (bool, error) {
		return j.of[0].handled.Load() != 0 && j.of[0].arrived.Load() != 0, nil
	})
	if err != nil {
		return fmt.Errorf("the first event: %w", err)
	}
	j.start = time.Now()
	for i := 1; i < len(j.of); i++ {
		select {
		case <-time.After(time.Until(j.start.Add(time.Duration(i) * every))):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if i == warm {
			t.Begin()
		}
		wg.Go(func() {
			j.of[i].begun = j.now()
			if err := commit(i); err != nil {
				cancel(err)
				return
			}
			j.of[i].committed = j.now()
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// report computes the latencies of the events that count, and how well the
// schedule was kept.
func (j *journeys) report(t *compare.Trial, every time.Duration, warm int) {
	counted := len(j.of) - warm
	kafka, handler := make([]time.Duration, counted), make([]time.Duration, counted)
	var (
		late    int
		latest  time.Duration
		longest time.Duration // commit
	)
	for i := range counted {
		e := &j.of[warm+i]
		kafka[i] = time.Duration(e.arrived.Load() - e.committed)
		handler[i] = time.Duration(e.handled.Load() - e.committed)
		behind := time.Duration(e.begun) - time.Duration(warm+i)*every
		if behind > every {
			late++
		}
		latest = max(latest, behind)
		longest = max(longest, time.Duration(e.committed-e.begun))
	}
	t.Latencies(toHandler, handler)
	t.Latencies(toKafka, kafka)
	t.Note("%d of %d transactions began more than %v behind the schedule, at most %v; the longest took %v",
		late, counted, every, latest.Round(10*time.Microsecond), longest.Round(10*time.Microsecond))
}
