package events

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A StartConsuming that meets a Shutdown does not go on after it.
func TestShutdownClosesTheDoor(t *testing.T) {
	var s consumerState
	if err := s.stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.begin(new(consumption)); !errors.Is(err, ErrStopped) {
		t.Errorf("consuming that begins after Shutdown: %v", err)
	}
}

// A relay whose context ends with that of the consumers, but a moment before
// it, outlives them all the same. (Contexts with a common parent end one after
// the other.) One that ends alone does not wait for them.
func TestRelayWaitsForConsumersThatStopWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := &consumption{stopped: make(chan struct{})}
		run.ctx, run.cancel = context.WithCancel(context.Background())
		s := consumerState{run: run}
		began := time.Now()
		s.waitIfDraining()
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("waited %v for consumers that go on", waited)
		}
		time.AfterFunc(time.Millisecond, run.cancel)
		time.AfterFunc(time.Minute, func() { close(run.stopped) })
		began = time.Now()
		s.waitIfDraining()
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("waited %v for consumers that drain for a minute", waited)
		}
		s.waitIfDraining()
	})
}
