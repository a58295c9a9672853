//go:build unix

package events_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

func TestProcesses(t *testing.T) {
	t.Run("KafkaPostgres", func(t *testing.T) {
		kafkaBrokers(t)
		dsn := backend(t, "postgres", "EVENTS_POSTGRES_DSN")
		processes(t, postgres, func(t *testing.T) string { return newPostgresDatabase(t, dsn) })
	})
	t.Run("KafkaSQLite", func(t *testing.T) {
		kafkaBrokers(t)
		processes(t, sqlite, func(t *testing.T) string { return filepath.Join(t.TempDir(), "events.db") })
	})
}

func processes[ID eventmodels.AbstractID[ID], TX producingTx, DB eventmodels.AbstractDB[ID, TX]](t *testing.T, b sqlBackend[ID, TX, DB], newDSN func(*testing.T) string) {
	t.Parallel()
	t.Run("ConsumersKilled", func(t *testing.T) {
		t.Parallel()
		consumersKilled(t, newScene(t, b, newDSN(t)))
	})
	t.Run("RelaysKilled", func(t *testing.T) {
		t.Parallel()
		relaysKilled(t, newScene(t, b, newDSN(t)))
	})
}

// A consumer that an event kills, and one that is killed in the middle of the
// work: effects once, derived events all.
func consumersKilled[ID eventmodels.AbstractID[ID], TX producingTx, DB eventmodels.AbstractDB[ID, TX]](t *testing.T, s *scene[ID, TX, DB]) {
	const all = 600
	produced := make(chan struct{})
	go func() {
		defer close(produced)
		for n := range all {
			e := eventmodels.BindTopic[job]("jobs").Event(fmt.Sprint(n%20), job{n})
			if err := s.lib.Produce(context.Background(), eventmodels.ProduceImmediate, e); err != nil {
				t.Errorf("Produce: %v", err)
				return
			}
		}
	}()
	defer func() { <-produced }()
	to := s.to
	to.Consume = true
	effects := func() int64 { return s.number(`SELECT count(*) FROM effects`) }

	dies := to
	dies.DieAt = 50 + rand.IntN(100)
	spawn(t, dies).awaitEnd()

	second := spawn(t, to)
	enough := effects() + 1 + rand.Int64N(200)
	until(t, "the second consumer to work", func() bool { return effects() >= enough })
	second.kill()

	spawn(t, to)
	until(t, "all effects", func() bool { return effects() >= all })
	until(t, "an empty outbox", func() bool { return s.waiting() == 0 })
	if n := s.number(`SELECT count(DISTINCT n) FROM effects`); n != all || effects() != all {
		t.Errorf("%d effects of %d events, of %d", effects(), n, all)
	}
	ids := make(map[int]string)
	for _, r := range s.read("done") {
		var j job
		if err := json.Unmarshal(r.Value, &j); err != nil {
			t.Fatal(err)
		}
		id := ""
		for _, h := range r.Headers {
			if strings.EqualFold(h.Key, "ce_id") {
				id = string(h.Value)
			}
		}
		if before, ok := ids[j.N]; ok && before != id {
			t.Errorf("two events were derived from job %d: %s and %s", j.N, before, id)
		}
		ids[j.N] = id
	}
	if len(ids) != all {
		t.Errorf("there are events derived from %d of %d jobs", len(ids), all)
	}
}

// The leading relay is stopped for longer than its lease and then goes on, and
// its successor is killed, under load: nothing is lost, and what is sent again
// is sent by the new leader alone, in its order.
func relaysKilled[ID eventmodels.AbstractID[ID], TX producingTx, DB eventmodels.AbstractDB[ID, TX]](t *testing.T, s *scene[ID, TX, DB]) {
	const keys = 4
	var (
		load sync.WaitGroup
		next [keys]int // written by one goroutine each; read when they have ended
	)
	stop := make(chan struct{})
	quit := sync.OnceFunc(func() { close(stop); load.Wait() })
	defer quit()
	for k := range keys {
		load.Go(func() {
			for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
				select {
				case <-stop:
					tick.Stop()
					return
				default:
				}
				s.transact(func(tx TX) error {
					for i := range 5 {
						tx.Produce(eventmodels.BindTopic[job]("done").Event(fmt.Sprint(k), job{next[k] + i}))
					}
					return nil
				})
				next[k] += 5
			}
		})
	}
	flows := func() {
		t.Helper()
		before := s.stored("done")
		until(t, "events to flow", func() bool { return s.stored("done") > before+200 })
	}
	takeover := func(epoch int64) {
		t.Helper()
		until(t, "the standby to take over", func() bool { return s.lease() > epoch })
		flows()
	}
	takeovers := 1
	one := spawn(t, s.to)
	flows()
	two := spawn(t, s.to)
	if s.to.Backend != "sqlite" { // a stopped process may hold SQLite's lock
		takeovers++
		epoch := s.lease()
		one.signal(syscall.SIGSTOP)
		takeover(epoch)
		one.signal(syscall.SIGCONT)
		flows()
		one, two = two, one
	}
	epoch := s.lease()
	one.kill()
	takeover(epoch)
	quit()
	until(t, "an empty outbox", func() bool { return s.waiting() == 0 })
	two.kill()

	last, descents := make(map[string]int), make(map[string]int)
	for _, r := range s.read("done") {
		var j job
		if err := json.Unmarshal(r.Value, &j); err != nil {
			t.Fatal(err)
		}
		key := string(r.Key)
		prev, ok := last[key]
		switch {
		case !ok && j.N == 0, ok && j.N == prev+1:
		case ok && j.N <= prev:
			descents[key]++
		default:
			t.Errorf("key %s: %d stands behind %d", key, j.N, prev)
		}
		last[key] = j.N
	}
	for k := range keys {
		key := fmt.Sprint(k)
		if last[key] != next[k]-1 {
			t.Errorf("key %s ends with %d, not %d", key, last[key], next[k]-1)
		}
		if descents[key] > takeovers {
			t.Errorf("key %s begins again %d times, with %d takeovers", key, descents[key], takeovers)
		}
	}
	t.Logf("relayed %v, begun again %v", next, descents)
}
