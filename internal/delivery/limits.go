package delivery

import (
	"fmt"
	"time"

	"github.com/seed46dd6f11/events/internal/ackwindow"
	"github.com/seed46dd6f11/events/internal/backoff"
)

// Limits are an engine's sizes and times. What is zero is its default.
type Limits struct {
	// WindowRecords is the span of a partition's ack window, from the oldest
	// record that is not done to the newest that was admitted. 10,000.
	WindowRecords int
	// WindowBytes limits the size of a partition's admitted records that are
	// not done. 64 MiB.
	WindowBytes int
	// PollRecords is how many records one poll may return. 1,000.
	PollRecords int
	// LowBacklog is how many records a partition's backlog may always hold
	// without keeping the poller from polling. 100.
	LowBacklog int
	// LowBacklogBytes is the same in bytes. 8 MiB.
	LowBacklogBytes int
	// PollAhead is how much all backlogs together may hold, but for their
	// bytes, without keeping the poller from polling: as many records as were
	// admitted in this time. The source fetches more only when what it has
	// fetched has been polled, and workers are not to wait for that. 50 ms.
	PollAhead time.Duration
	// PauseAfter is how long a partition may keep the poller from polling
	// before it is paused at the source (which throws away what the source
	// has buffered of it). 1 s.
	PauseAfter time.Duration
	// CommitInterval is the time between two commits of a group. 200 ms.
	CommitInterval time.Duration
	// CommitTimeout is how long one commit may take. 10 s.
	CommitTimeout time.Duration
	// Revocation is how long a revocation waits for running handlers. It ends
	// sooner if the group would not wait so long. 45 s, which with the commit
	// is below the usual rebalance timeout of 60 s.
	Revocation time.Duration
	// Shutdown is how long Drain waits for running handlers, if its ctx does
	// not end sooner. 30 s.
	Shutdown time.Duration
	// ProbeTimeout is how long one question for the servers' health may take.
	// 10 s.
	ProbeTimeout time.Duration
	// Probe is the wait between such questions while they do not answer.
	// 100 ms to 5 s.
	Probe backoff.Schedule
	// Conflict is the wait after a serialization failure or a deadlock.
	// 2 ms to 100 ms, much of it random.
	Conflict backoff.Schedule
	// SinkTimeout is how long the sink may take for what it is handed at once.
	// 10 s.
	SinkTimeout time.Duration
	// Resend is the wait before it is handed again what it could not write.
	// 100 ms to 5 s.
	Resend backoff.Schedule
	// PressAfter is how long a record must have been here before it is woken
	// to make room in a full window. 1 min.
	PressAfter time.Duration
	// Quantum is how long a worker may keep a slot that others wait for,
	// delivery by delivery. 5 ms.
	Quantum time.Duration
	// Overdue is how long after its deadline a handler that has not returned
	// is reported. 5 s.
	Overdue time.Duration
	// Sample is the time between two looks at the gauges and at overdue
	// handlers, while anything runs. 1 s.
	Sample time.Duration
}

// withDefaults returns a copy with its defaults filled in, or says which field
// is wrong.
func (l Limits) withDefaults() (Limits, error) {
	for _, f := range []struct {
		name  string
		field *int
		def   int
	}{
		{"WindowRecords", &l.WindowRecords, ackwindow.DefaultRecords},
		{"WindowBytes", &l.WindowBytes, ackwindow.DefaultBytes},
		{"PollRecords", &l.PollRecords, 1000},
		{"LowBacklog", &l.LowBacklog, 100},
		{"LowBacklogBytes", &l.LowBacklogBytes, 8 << 20},
	} {
		if *f.field < 0 {
			return l, fmt.Errorf("negative Limits.%s (%d)", f.name, *f.field)
		}
		if *f.field == 0 {
			*f.field = f.def
		}
	}
	for _, f := range []struct {
		name  string
		field *time.Duration
		def   time.Duration
	}{
		{"PollAhead", &l.PollAhead, 50 * time.Millisecond},
		{"PauseAfter", &l.PauseAfter, time.Second},
		{"CommitInterval", &l.CommitInterval, 200 * time.Millisecond},
		{"CommitTimeout", &l.CommitTimeout, 10 * time.Second},
		{"Revocation", &l.Revocation, 45 * time.Second},
		{"Shutdown", &l.Shutdown, 30 * time.Second},
		{"ProbeTimeout", &l.ProbeTimeout, 10 * time.Second},
		{"SinkTimeout", &l.SinkTimeout, 10 * time.Second},
		{"PressAfter", &l.PressAfter, time.Minute},
		{"Quantum", &l.Quantum, 5 * time.Millisecond},
		{"Overdue", &l.Overdue, 5 * time.Second},
		{"Sample", &l.Sample, time.Second},
	} {
		if *f.field < 0 {
			return l, fmt.Errorf("negative Limits.%s (%v)", f.name, *f.field)
		}
		if *f.field == 0 {
			*f.field = f.def
		}
	}
	if l.Probe == (backoff.Schedule{}) {
		l.Probe = backoff.Schedule{Min: 100 * time.Millisecond, Max: 5 * time.Second, Jitter: 0.1}
	}
	if l.Resend == (backoff.Schedule{}) {
		l.Resend = backoff.Schedule{Min: 100 * time.Millisecond, Max: 5 * time.Second, Jitter: 0.1}
	}
	if l.Conflict == (backoff.Schedule{}) {
		l.Conflict = backoff.Schedule{Min: 2 * time.Millisecond, Max: 100 * time.Millisecond, Jitter: 0.8}
	}
	return l, nil
}
