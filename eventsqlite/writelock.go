package eventsqlite

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"
	"weak"

	"golang.org/x/sync/semaphore"

	"github.com/seed46dd6f11/events/internal/backoff"
)

// A writeLock is the turn to write to a database file. SQLite lets one
// transaction write at a time. The transactions of this process wait for each
// other here, in the order in which they have come, so that handlers and the
// relay do not starve each other; against other processes only trying again
// helps ([whileBusy]). SQLite's own way of waiting is not used: it keeps a
// thread, knows no context, and no order.
//
// Waiting blocks on a channel that the waiter has made, and no mutex is held
// meanwhile, so that time goes on in a testing/synctest bubble.
type writeLock struct{ turn *semaphore.Weighted }

// acquire returns ctx's error if it ends first.
func (l *writeLock) acquire(ctx context.Context) error { return l.turn.Acquire(ctx, 1) }

func (l *writeLock) release() { l.turn.Release(1) }

// writeLocks are the locks of the files that this process has open, however
// often: a file that was opened twice still has one writer. An entry goes when
// nobody has its lock any more.
var writeLocks struct {
	mu     sync.Mutex
	byPath map[string]weak.Pointer[writeLock] // guarded by mu
}

// writeLockOf returns the lock of the database with this path, which is what
// SQLite calls it: absolute and without symbolic links.
func writeLockOf(path string) *writeLock {
	writeLocks.mu.Lock()
	defer writeLocks.mu.Unlock()
	if l := writeLocks.byPath[path].Value(); l != nil {
		return l
	}
	l := &writeLock{turn: semaphore.NewWeighted(1)}
	if writeLocks.byPath == nil {
		writeLocks.byPath = make(map[string]weak.Pointer[writeLock])
	}
	writeLocks.byPath[path] = weak.Make(l)
	runtime.AddCleanup(l, forgetWriteLock, path)
	return l
}

// forgetWriteLock leaves a lock alone that was made since for the same path.
func forgetWriteLock(path string) {
	writeLocks.mu.Lock()
	defer writeLocks.mu.Unlock()
	if writeLocks.byPath[path].Value() == nil {
		delete(writeLocks.byPath, path)
	}
}

// busyPause is how long to wait before a database that another process writes
// to is tried again. A small transaction takes less than the first pause.
var busyPause = backoff.Schedule{Min: time.Millisecond, Max: 20 * time.Millisecond, Jitter: 0.5}

// whileBusy tries again for as long as the result is that another process has
// the file's lock, which means that nothing has happened. When ctx ends
// meanwhile its error is the result.
func whileBusy(ctx context.Context, try func() error) error {
	for attempt := 1; ; attempt++ {
		err := try()
		if !isBusy(err) {
			return err
		}
		timer := time.NewTimer(busyPause.Delay(attempt, rand.Float64()))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
