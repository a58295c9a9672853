package compare

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Trial is one run of one contender. What is between Begin and End counts.
type Trial struct {
	Cleanup

	begin sync.Once
	from  usage
	done  Sample
	ended bool
	stop  func() error // ends the profile, if there is one
	watch *memoryWatch // nil before Begin and after the end

	// Profile is called by Begin and says how to end what it has started.
	profile func() (stop func() error, err error)
	failed  error
}

// Sample is what one trial has measured.
type Sample struct {
	Events  int
	Elapsed time.Duration
	// Allocations are those of the whole process, as are their Bytes and CPU,
	// which is user and system time.
	Allocations uint64
	Bytes       uint64
	CPU         time.Duration
	// Memory is the most that the process has had at a time, in bytes: what Go's
	// runtime had from the operating system and had not given back.
	Memory uint64
	// Latencies are how long the events took; none if the work has none.
	Latencies []Latencies
	// Notes are remarks about this trial.
	Notes []string
}

// Latencies are how long something took, of each event.
type Latencies struct {
	// What they are from and to: "commit to Kafka".
	What string
	// Of the events, in ascending order.
	Of []time.Duration
}

// usage is what the process has used until now.
type usage struct {
	at      time.Time
	cpu     time.Duration
	mallocs uint64
	bytes   uint64
}

func usageNow() usage {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	var self syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &self) // fails only for arguments that do not exist
	return usage{
		at:      time.Now(),
		cpu:     time.Duration(self.Utime.Nano() + self.Stime.Nano()),
		mallocs: mem.Mallocs,
		bytes:   mem.TotalAlloc,
	}
}

// Begin starts the clock. Only the first call does; it may be called by the
// handler that gets the first event.
func (t *Trial) Begin() {
	t.begin.Do(func() {
		if t.profile != nil {
			t.stop, t.failed = t.profile()
		}
		t.watch = watchMemory()
		t.from = usageNow()
	})
}

// End stops the clock, after events were done. It is called once, after Begin
// has returned.
func (t *Trial) End(events int) {
	now := usageNow()
	if t.stop != nil {
		t.failed = errors.Join(t.failed, t.stop())
	}
	t.unwatch()
	t.ended = true
	t.done.Events = events
	t.done.Elapsed = now.at.Sub(t.from.at)
	t.done.CPU = now.cpu - t.from.cpu
	t.done.Allocations = now.mallocs - t.from.mallocs
	t.done.Bytes = now.bytes - t.from.bytes
}

// unwatch ends the watch of the memory, also of a trial that has failed.
func (t *Trial) unwatch() {
	if t.watch != nil {
		t.done.Memory = t.watch.end()
		t.watch = nil
	}
}

// Latencies records how long what took, of each event. They are sorted in place.
func (t *Trial) Latencies(what string, of []time.Duration) {
	slices.Sort(of)
	t.done.Latencies = append(t.done.Latencies, Latencies{What: what, Of: of})
}

// Note records a remark for the report.
func (t *Trial) Note(format string, args ...any) {
	t.done.Notes = append(t.done.Notes, fmt.Sprintf(format, args...))
}

var errNotEnded = errors.New("the contender has not called End")

// sample returns what was measured.
func (t *Trial) sample() (Sample, error) {
	switch {
	case t.failed != nil:
		return Sample{}, t.failed
	case !t.ended:
		return Sample{}, errNotEnded
	}
	return t.done, nil
}
