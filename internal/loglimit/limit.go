// Package loglimit bounds how many lines of a kind are logged: the first few
// say what is wrong, and a thousand more say nothing new.
package loglimit

import (
	"cmp"
	"sync"
	"time"
)

const (
	// DefaultBurst is the default of [Limit].Burst.
	DefaultBurst = 10
	// Interval is the time after which lines are counted anew.
	Interval = 10 * time.Second
)

// Limit lets lines through, kind by kind. The zero value is ready. There are to
// be few kinds: they are not forgotten.
type Limit struct {
	// Burst is how many lines of a kind are logged in an [Interval]; 0 stands
	// for [DefaultBurst]. What is tried again all the time has 1.
	Burst int

	mu    sync.Mutex // a leaf
	kinds map[any]*window
}

// window is the present interval of a kind.
type window struct {
	began   time.Time
	logged  int
	leftOut int // since the last line that was let through
}

// Allow says whether a line is to be logged now, and how many of its kind were
// left out since the last one.
func (l *Limit) Allow(kind any, now time.Time) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.kinds[kind]
	if w == nil {
		if l.kinds == nil {
			l.kinds = make(map[any]*window)
		}
		w = &window{began: now}
		l.kinds[kind] = w
	}
	if now.Sub(w.began) >= Interval {
		w.began, w.logged = now, 0
	}
	if w.logged == cmp.Or(l.Burst, DefaultBurst) {
		w.leftOut++
		return 0, false
	}
	w.logged++
	leftOut, w.leftOut = w.leftOut, 0
	return leftOut, true
}
