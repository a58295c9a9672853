package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
	"github.com/seed46dd6f11/events/internal/faultcampaign/memorydb"
)

// instance is a process of the service: a Library with a way of its own to the
// brokers and to the database, and what produces events in it.
type instance struct {
	world  *world
	name   string
	lib    *library
	dialer *eventembed.Dialer
	client *memorydb.Client
	db     *memorydb.Connection

	alive     context.Context // ends when it is stopped or killed
	end       context.CancelFunc
	producing sync.WaitGroup
	ready     chan struct{} // closed when it consumes, or has ended before

	mu     sync.Mutex // for moments only
	killed bool       // guarded by mu: its network is not restored
}

// startInstance starts an instance in a slot, and returns at once.
func (w *world) startInstance(slot int) *instance {
	w.started++
	i := &instance{
		world:  w,
		name:   fmt.Sprintf("%d.%d", slot, w.started),
		lib:    events.New[eventmodels.StringEventID, *memorydb.Tx, *memorydb.Connection](),
		client: w.database.NewClient(w.plan.Seed<<8 + uint64(w.started)),
		ready:  make(chan struct{}),
	}
	i.dialer = w.network.Dialer(i.name)
	i.dialer.SetLatency(w.plan.Latency)
	i.db = i.client.Connect()
	i.alive, i.end = context.WithCancel(context.Background())
	i.lib.SkipNotifierSupport()
	i.lib.SetLogger(w.logger.With(slog.String("instance", i.name)))
	i.lib.SetDialer(i.dialer.DialContext)
	i.lib.SetDeadLetterBackoff(20*time.Second, 2*time.Minute)
	i.lib.OnBroadcastGap(func(topic string) {
		w.recorder.add(i.name, checker.Gap{At: time.Now(), Instance: i.name, Topic: topic})
	})
	i.register(i.lib)
	i.lib.Configure(i.db, nil, false, nil, nil, w.broker.Addrs())
	w.recorder.note("instance " + i.name + " starts")
	w.background.Go(i.consume)
	dice := rand.New(rand.NewPCG(w.plan.Seed, uint64(w.started)))
	i.producing.Go(func() { i.produce(dice) })
	return i
}

// consume starts the relay and the handlers, and tries until it can.
func (i *instance) consume() {
	defer close(i.ready)
	until := func(start func() error) bool {
		for i.alive.Err() == nil {
			if err := start(); err == nil {
				return true
			}
			_ = sleep(i.alive, time.Second)
		}
		return false
	}
	// The contexts are not the instance's: Shutdown ends both.
	relays := until(func() error {
		_, err := i.lib.CatchUpProduce(context.Background(), time.Second, 100)
		return err
	})
	if !relays {
		return
	}
	until(func() error {
		started, stopped, err := i.lib.StartConsuming(context.Background())
		if err != nil {
			return err
		}
		select {
		case <-started:
			i.world.recorder.add(i.name, checker.Up{At: time.Now(), Instance: i.name})
		case <-stopped:
		}
		return nil
	})
}

// stop ends the instance as a deploy does.
func (i *instance) stop() {
	w := i.world
	w.recorder.add(i.name, checker.Down{At: time.Now(), Instance: i.name})
	w.recorder.note("instance " + i.name + " stops")
	i.end()
	i.producing.Wait()
	limit, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	err := i.lib.Shutdown(limit)
	<-i.ready
	w.recorder.note(fmt.Sprintf("instance %s has stopped: %v", i.name, err))
}

// kill ends the instance as SIGKILL does: from this instant on nobody hears of
// it. The server of the database notices after detect. What is left of it in
// this process is cleaned up behind.
//
// The connections go first and the record last: so a handler that has not been
// recorded has left nothing behind, either.
func (i *instance) kill(detect time.Duration) {
	w := i.world
	i.mu.Lock()
	i.killed = true
	i.dialer.Cut()
	i.mu.Unlock()
	i.client.Kill(detect)
	w.recorder.add(i.name, checker.Down{At: time.Now(), Instance: i.name})
	w.recorder.note("instance " + i.name + " is killed")
	w.recorder.kill(i.name)
	i.end()
	w.background.Go(func() {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		_ = i.lib.Shutdown(over) // what it abandons is what a kill abandons
		i.producing.Wait()
		<-i.ready
	})
}
