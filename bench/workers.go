package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// task does one unit of work: the nth of all goroutines together, from 0. worker
// counts the goroutines.
type task func(ctx context.Context, worker, n int) error

// hammer calls do from several goroutines until d is over, and returns how often:
// once at least, however long the goroutines have waited for a CPU.
func hammer(ctx context.Context, goroutines int, d time.Duration, do task) (int, error) {
	until := time.Now().Add(d)
	return work(ctx, goroutines, func(n int) bool { return n == 0 || time.Now().Before(until) }, do)
}

// divide calls do total times from several goroutines.
func divide(ctx context.Context, goroutines, total int, do task) error {
	_, err := work(ctx, goroutines, func(n int) bool { return n < total }, do)
	return err
}

// work calls do from several goroutines as long as more says so, and returns how
// often. The first error ends all of them.
func work(ctx context.Context, goroutines int, more func(n int) bool, do task) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg         sync.WaitGroup
		next, done atomic.Int64
	)
	for worker := range goroutines {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if !more(n) {
					return
				}
				if err := do(ctx, worker, n); err != nil {
					cancel(err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	return int(done.Load()), context.Cause(ctx)
}

// patience bounds waits for what should have happened by then.
const patience = 2 * time.Minute

var errPatience = errors.New("it takes too long")

// patiently bounds ctx.
func patiently(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, patience, errPatience)
}

// await waits for done.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// poll asks every 2 ms until the answer is yes.
func poll(ctx context.Context, yes func(context.Context) (bool, error)) error {
	for {
		done, err := yes(ctx)
		if done || err != nil {
			return err
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
