package delivery

import (
	"slices"
	"time"

	"github.com/seed46dd6f11/events/internal/ackwindow"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// phase of a partition. It only ever moves on.
type phase uint8

const (
	// owned: records are admitted and delivered.
	owned phase = iota
	// ending: nothing new starts; what runs may still succeed, and is
	// committed. What fails is left undone, for the next owner.
	ending
	// ended: nothing changes any more.
	ended
)

// A partition is a partition in one assignment. Guarded by the engine's lock.
type partition struct {
	kafka.TopicPartition
	topic  *topic
	window *ackwindow.Window
	phase  phase

	// backlog was polled and waits for admission; position is behind it.
	backlog  backlog
	position kafka.Offset
	// inLine: it stands in its topic's line for admission.
	inLine bool
	// running counts deliveries in the hands of workers, and those that are
	// on their way to the sink; quiet, if not nil, is closed when there are
	// none.
	running int
	quiet   chan struct{}
	// full: there was no room in the window for the first of the backlog.
	full bool
	// pressed counts the postponed deliveries that were woken to make room in
	// the window and have not gone, or been postponed again, since.
	pressed int

	// blockers are the deliveries because of which nothing is admitted.
	blockers []*delivery
	// away: a server does not answer; nothing is admitted and nothing starts,
	// and what could have started is parked.
	away      bool
	awaySince time.Time
	parked    []*delivery
	// parkedGroups wait for it, too.
	parkedGroups []*group

	// dirty: it is in the committer's list.
	dirty bool
	// over: it is in the list of those that keep the poller from polling;
	// paused: it is paused at the source; progress is when the last record
	// was admitted.
	over, paused bool
	progress     time.Time
}

// admissible reports whether records may leave the backlog, but for the limits.
func (p *partition) admissible() bool {
	return p.phase == owned && p.backlog.len() > 0 && len(p.blockers) == 0 && !p.away
}

// live reports whether a verdict on the delivery changes anything. While the
// epoch ends, what is on its way to the sink may still arrive.
func (p *partition) live(d *delivery) bool {
	return (p.phase == owned || p.phase == ending && d.underway) && p.window.Holds(d.event.slot)
}

// leave notes that a delivery does not run any more.
func (p *partition) leave() {
	if p.running--; p.running == 0 && p.quiet != nil {
		close(p.quiet)
		p.quiet = nil
	}
}

func (p *partition) block(d *delivery, now time.Time) {
	if !d.blocks {
		d.blocks, d.blocked = true, now
		p.blockers = append(p.blockers, d)
	}
}

func (p *partition) unblock(d *delivery) {
	if d.blocks {
		d.blocks = false
		p.blockers = slices.DeleteFunc(p.blockers, func(b *delivery) bool { return b == d })
	}
}

// sizeOf is what a record takes of the window's bytes.
func sizeOf(r *kafka.Record) int {
	const overhead = 64
	n := overhead + len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

// A topic is what the partitions of a topic share.
type topic struct {
	name     string
	handlers []*handler
	// line are the partitions with something to admit, which take turns.
	line fifo[*partition]
	// admitted is when it was last tried to admit something.
	admitted time.Time
}

// hasRoom reports whether every handler's queue can take one more.
func (t *topic) hasRoom() bool {
	for _, h := range t.handlers {
		if h.queueFull() {
			return false
		}
	}
	return true
}

// A handler is a Handler with its deliveries.
type handler struct {
	*Handler
	topic *topic
	seat  *seat
	// due are retries whose time has come, and what was parked; they go first.
	// queue are those that run for the first time. Everything in them can run.
	due, queue fifo[*delivery]
	// groups are batches that have failed and whose next part can run, before
	// the others unless the last run was one.
	groups    fifo[*group]
	tookGroup bool
	// lanes are those that are not empty. behind is how many deliveries wait
	// in them for others, and counted how many of these take room in the queue.
	lanes           map[laneKey]*lane
	behind, counted int
	// pausedSince is when it was paused; zero if it is not.
	pausedSince time.Time
	// workers that live.
	workers int
	// inLine: it waits for a slot.
	inLine bool
}

// queueFull reports whether the queue takes no more.
func (h *handler) queueFull() bool { return h.queue.len()+h.counted >= h.QueueDepth }

// plenty reports whether the queue has enough to wait for more, so that several
// records are admitted one after the other, while what they share is at hand,
// and not one after each run. Where runs take long, other handlers of the topic
// wait for the same room, or lanes for their turn, it never has.
func (h *handler) plenty(now time.Time) bool {
	return h.queue.len() > max(h.QueueDepth/2, h.Batch) && now.Sub(h.topic.admitted) < admitWithin &&
		h.Ordering == Unordered && len(h.topic.handlers) == 1
}

// admitWithin is how long after an admission plenty may put off the next one.
const admitWithin = 10 * time.Millisecond

// ready is how many runs there is something for, or more.
func (h *handler) ready() int { return h.groups.len() + h.due.len() + h.queue.len() }

// pop takes the first delivery that can run; peek looks at it. There must be
// one.
func (h *handler) pop() *delivery {
	if h.due.len() > 0 {
		return h.due.pop()
	}
	return h.queue.pop()
}

func (h *handler) peek() *delivery {
	if h.due.len() > 0 {
		return *h.due.at(h.due.head)
	}
	return *h.queue.at(h.queue.head)
}

// push puts a delivery among those that can run.
func (h *handler) push(d *delivery, where place) {
	d.place = where
	if where == due {
		h.due.push(d)
	} else {
		h.queue.push(d)
	}
}
