package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
)

const latencyBytes = 250

// latency measures the way from a commit to a handler, at a rate that is far
// from what the machine can do.
func (b bench) latency(rate int) compare.Measurement {
	return compare.Measurement{
		Name:  fmt.Sprintf("latency/%d", rate),
		Title: fmt.Sprintf("from Transact's return to the idempotent handler's start, at %d transactions/s of one row and one event", rate),
		Unit:  "events",
		Notes: []string{
			"The schedule is fixed: transactions begin when it says, however long the others take. One process commits, relays and consumes.",
		},
		Open: func(ctx context.Context, c *compare.Cleanup) ([]compare.Contender, error) {
			dsn, err := b.servers.Database(ctx, c, "latency")
			if err != nil {
				return nil, err
			}
			return []compare.Contender{{Name: ours, Run: func(ctx context.Context, t *compare.Trial) error {
				return b.latencyTrial(ctx, t, rate, dsn)
			}}}, nil
		},
	}
}

// journey is when an event was where, as nanoseconds since the schedule began.
type journey struct {
	begun     int64 // Transact was called
	committed int64 // Transact has returned
	handled   atomic.Int64
}

// journeys are those of all events, by the orders' ids.
type journeys struct {
	start   time.Time
	of      []journey
	missing atomic.Int64  // events that no handler has got
	done    chan struct{} // closed when none is missing
}

func newJourneys(n int) *journeys {
	j := &journeys{of: make([]journey, n), done: make(chan struct{})}
	j.missing.Store(int64(n))
	return j
}

func (j *journeys) now() int64 { return int64(time.Since(j.start)) }

// handle is the handler.
func (j *journeys) handle(_ context.Context, e eventmodels.Event[order]) error {
	if j.of[e.Payload.ID].handled.CompareAndSwap(0, j.now()) && j.missing.Add(-1) == 0 {
		close(j.done)
	}
	return nil
}

func (b bench) latencyTrial(ctx context.Context, t *compare.Trial, rate int, dsn string) error {
	topic, err := b.servers.Topic(ctx, &t.Cleanup, "latency", partitions)
	if err != nil {
		return err
	}
	db, err := openDB(ctx, &t.Cleanup, dsn)
	if err != nil {
		return err
	}
	if _, err := db.Unwrap().ExecContext(ctx, `CREATE TABLE IF NOT EXISTS orders (id bigint, note text)`); err != nil {
		return err
	}
	every := time.Second / time.Duration(rate)
	counted := int(b.size.latency / every)
	warm := counted / 10
	j := newJourneys(warm + counted)

	bound := eventpg.BindTopic[order](topic)
	lib := b.newLibrary(&t.Cleanup, db)
	group := b.servers.Group(&t.Cleanup, "latency")
	lib.ConsumeIdempotent(events.NewConsumerGroup(group), eventmodels.OnFailureDiscard, "bench", bound.Handler(j.handle))
	ctx, cancel := context.WithTimeoutCause(ctx, patience+2*b.size.latency, errPatience)
	defer cancel()
	if err := startRelay(ctx, &t.Cleanup, lib, 500); err != nil {
		return err
	}
	if err := consume(ctx, &t.Cleanup, lib); err != nil {
		return err
	}
	template := newOrder(0, latencyBytes)
	commit := func(i int) error {
		return db.Transact(ctx, func(tx *eventpg.Tx) error {
			placed := template
			placed.ID = int64(i)
			tx.Produce(bound.Event(fmt.Sprint("order-", i%variety), placed))
			_, err := tx.ExecContext(ctx, `INSERT INTO orders (id, note) VALUES ($1, $2)`, i, placed.Note)
			return err
		})
	}
	if err := j.schedule(ctx, t, every, warm, commit); err != nil {
		return err
	}
	if err := await(ctx, j.done); err != nil {
		return fmt.Errorf("%w: %d events were not handled", err, j.missing.Load())
	}
	t.End(counted)
	j.report(t, every, warm)
	return nil
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
	if err := poll(ctx, func(context.Context) (bool, error) { return j.of[0].handled.Load() != 0, nil }); err != nil {
		return err
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
	latencies := make([]time.Duration, 0, len(j.of)-warm)
	var (
		late    int
		latest  time.Duration
		longest time.Duration // commit
	)
	for i := warm; i < len(j.of); i++ {
		e := &j.of[i]
		latencies = append(latencies, time.Duration(e.handled.Load()-e.committed))
		behind := time.Duration(e.begun) - time.Duration(i)*every
		if behind > every {
			late++
		}
		latest = max(latest, behind)
		longest = max(longest, time.Duration(e.committed-e.begun))
	}
	t.Latencies(latencies)
	t.Note("%d of %d transactions began more than %v behind the schedule, at most %v; the longest Transact took %v",
		late, len(latencies), every, latest.Round(10*time.Microsecond), longest.Round(10*time.Microsecond))
}
