package delivery

import (
	"cmp"
	"slices"
	"time"
)

// HandlerStats is the state of a handler at one moment.
type HandlerStats struct {
	Handler *Handler
	// Queued deliveries wait to run; Due are retries among them (they do not
	// count in the queue's depth).
	Queued, Due int
	// Paused: nothing of it starts, since [Engine.Pause] was called.
	Paused bool
	// QueueFull: no record of the topic is admitted because of this queue.
	QueueFull bool
	// Runs is how many calls of the handler are under way, Running how many
	// deliveries they have, and Overdue how many of these are beyond their
	// deadline.
	Runs, Running, Overdue int
	// Retrying deliveries wait for their time, for the servers' health, for
	// the sink, for others of their batch or lane, or for good (see [Engine.Blocked]).
	Retrying int
	// Backlog is how many records have been fetched that wait for a place in
	// this handler's queue, or in that of another handler of the topic.
	Backlog int
	// WaitsForSlot says that the handler has work and no slot for it.
	WaitsForSlot bool
	// OldestStart is when the delivery that runs longest was started; zero if
	// none runs. OverdueSince is the earliest deadline that a running
	// delivery has passed; zero if there is none.
	OldestStart, OverdueSince time.Time
}

// BlockReason says why a partition is held.
type BlockReason int

const (
	// BlockRetrying: an event with OnFailureBlock has failed and is tried
	// again.
	BlockRetrying BlockReason = iota + 1
	// BlockStuck: an event with OnFailureBlock has failed for good; it stays
	// undone until the partition is assigned anew or the process restarts.
	BlockStuck
	// BlockAway: the database or the brokers do not answer.
	BlockAway
	// BlockUnsent: what has to be written before an event is done cannot be
	// written: its letter, for example. It is tried again.
	BlockUnsent
	// BlockPaused: the queue of a paused handler is full.
	BlockPaused
)

// String returns the constant's name without its prefix.
func (r BlockReason) String() string {
	switch r {
	case BlockRetrying:
		return "Retrying"
	case BlockStuck:
		return "Stuck"
	case BlockAway:
		return "Away"
	case BlockUnsent:
		return "Unsent"
	case BlockPaused:
		return "Paused"
	}
	return "none"
}

// BlockedPartition is a partition that takes no more records for another
// reason than being busy.
type BlockedPartition struct {
	Topic     string
	Partition int32
	Reason    BlockReason
	Since     time.Time
	// Handler, Offset and Attempt of the event that blocks it; not set for
	// BlockAway, and for BlockPaused the handler alone.
	Handler string
	Offset  int64
	Attempt int
	// Err is the last error of that event, or of the question for health.
	Err error
}

// Abandoned is a delivery that was running when Drain ended. It is not
// acknowledged, so its event is delivered again.
type Abandoned struct {
	Handler   *Handler
	Partition int32
	Offset    int64
	// Since is when it was started.
	Since time.Time
}

// Stats is the state of all handlers.
func (e *Engine) Stats() []HandlerStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.s.stats(time.Now())
}

func (s *scheduler) stats(now time.Time) []HandlerStats {
	all := make([]HandlerStats, len(s.handlers))
	at := make(map[*handler]*HandlerStats, len(s.handlers))
	for i, h := range s.handlers {
		all[i] = HandlerStats{Handler: h.Handler, Queued: h.queue.len() + h.due.len() + h.counted, Retrying: h.behind - h.counted, Due: h.due.len(), Paused: h.paused(), QueueFull: h.queueFull(), WaitsForSlot: h.inLine}
		at[h] = &all[i]
	}
	for w := range s.workers {
		if len(w.ds) > 0 {
			at[w.h].Runs++
		}
		for _, d := range w.ds {
			at[d.h].run(d, now)
		}
	}
	for _, d := range s.retries.h {
		at[d.h].Retrying++
	}
	for _, g := range s.groups {
		for d := range g.parts.all {
			if d.place == grouped {
				at[g.h].Retrying++
			}
		}
	}
	for _, d := range s.asked {
		at[d.h].Retrying++
	}
	for _, d := range s.outbound {
		at[d.h].Retrying++
	}
	for _, p := range s.partitions {
		for _, d := range p.parked {
			at[d.h].Retrying++
		}
		for _, d := range p.blockers {
			if d.place == stuck {
				at[d.h].Retrying++
			}
		}
		for _, h := range p.topic.handlers {
			at[h].Backlog += p.backlog.len()
		}
	}
	return all
}

// run adds a running delivery.
func (st *HandlerStats) run(d *delivery, now time.Time) {
	st.Running++
	if st.OldestStart.IsZero() || d.started.Before(st.OldestStart) {
		st.OldestStart = d.started
	}
	if now.After(d.deadline) {
		st.Overdue++
		if st.OverdueSince.IsZero() || d.deadline.Before(st.OverdueSince) {
			st.OverdueSince = d.deadline
		}
	}
}

// Blocked returns the partitions that take no records because of a failure.
func (e *Engine) Blocked() []BlockedPartition {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []BlockedPartition
	for _, p := range e.s.partitions {
		b := BlockedPartition{Topic: p.topic.name, Partition: p.Partition}
		if p.away {
			b.Reason, b.Since, b.Err = BlockAway, p.awaySince, e.s.awayErr
			all = append(all, b)
		}
		for _, h := range p.topic.handlers {
			if h.paused() && h.queueFull() && p.backlog.len() > 0 {
				all = append(all, BlockedPartition{Topic: b.Topic, Partition: b.Partition, Reason: BlockPaused, Since: h.pausedSince, Handler: h.Name})
			}
		}
		for _, d := range p.blockers {
			b.Reason = BlockRetrying
			switch d.place {
			case stuck:
				b.Reason = BlockStuck
			case sent:
				b.Reason = BlockUnsent
			}
			b.Since, b.Err = d.blocked, d.err
			b.Handler, b.Offset, b.Attempt = d.h.Name, d.event.record.Offset, d.attempt
			all = append(all, b)
		}
	}
	slices.SortFunc(all, func(a, b BlockedPartition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), a.Since.Compare(b.Since))
	})
	return all
}
