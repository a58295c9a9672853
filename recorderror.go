package events

import (
	"sync"
	"time"

	"github.com/seed46dd6f11/events/internal/loglimit"
)

const (
	// RecordError pauses from errorPauseMin, doubling with each error of the
	// category that comes within errorMemory of the one before, to
	// errorPauseMax.
	errorPauseMin = 50 * time.Millisecond
	errorPauseMax = 5 * time.Second
	errorMemory   = 30 * time.Second
)

// errorPacer knows how long RecordError pauses.
type errorPacer struct {
	lines loglimit.Limit // of the log, by category

	mu    sync.Mutex
	last  map[string]time.Time     // guarded by mu; by category
	pause map[string]time.Duration // guarded by mu; by category
}

func (p *errorPacer) next(category string, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		p.last = make(map[string]time.Time)
		p.pause = make(map[string]time.Duration)
	}
	pause := errorPauseMin
	if now.Sub(p.last[category]) < errorMemory {
		pause = min(2*p.pause[category], errorPauseMax)
	}
	p.last[category], p.pause[category] = now.Add(pause), pause
	return pause
}

// RecordError logs err, counts it under category in [ErrorCounts], and returns
// it after a pause that grows while errors of the category keep coming, from
// 50 ms to 5 s: a loop that calls it cannot flood the log. category is one of
// a few fixed words. A nil err does nothing.
func (l *LibraryNoDB) RecordError(category string, err error) error {
	if err == nil {
		return nil
	}
	_ = l.RecordErrorNoWait(category, err)
	time.Sleep(l.errors.next(category, time.Now()))
	return err
}

// RecordErrorNoWait is [LibraryNoDB.RecordError] without the pause. Of each
// category ten errors are logged in ten seconds; all are counted.
func (l *LibraryNoDB) RecordErrorNoWait(category string, err error) error {
	if err == nil {
		return nil
	}
	ErrorCounts.WithLabelValues(category).Inc()
	if leftOut, ok := l.errors.lines.Allow(category, time.Now()); ok {
		l.logger().Error("events: something has failed", "category", category, "error", err, "left_out", leftOut)
	}
	return err
}
