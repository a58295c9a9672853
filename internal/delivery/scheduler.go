package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/seed46dd6f11/events/internal/ackwindow"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// scheduler is the state machine: which records are admitted, which deliveries
// run, wait or hold their partition. It has no goroutine, clock or logger; all
// of it is guarded by the engine's lock.
type scheduler struct {
	limits     Limits
	values     context.Context // of handlers' contexts
	topics     map[kafka.WireTopic]*topic
	handlers   []*handler
	partitions map[kafka.TopicPartition]*partition
	epoch      uint64 // of the last assignment
	// commits: there is a committer; probes: there is a prober.
	commits, probes bool
	// draining: no delivery starts any more.
	draining bool

	workers map[*worker]struct{}
	retries retries
	// groups are all batches that have failed, wherever they are.
	groups []*group
	// asked are verdicts, and held partitions, that wait for the prober.
	asked []*delivery
	held  []*partition
	// outbound is what the sink is to write; underway counts it, what the sink
	// is writing, and the letters that wait for the prober's word.
	outbound []*delivery
	underway int
	// dirty partitions have something to commit.
	dirty []*partition
	flow  flow
	// nextLook is when overdue handlers are looked for; zero: nothing runs.
	nextLook time.Time

	// awayErr is the last answer of the prober.
	awayErr error

	// start runs a worker on a goroutine of its own.
	start func(*worker)
	// granted are handlers to be told that they have a slot, without lock.
	granted []*seat
	wake    wakes
}

// wakes are the bells of the goroutines.
type wakes struct{ poller, committer, timekeeper, prober, sink, idle bell }

// bell wakes the one who waits for it. Ringing twice is ringing once.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

func newScheduler(cfg *Config) *scheduler {
	s := &scheduler{
		limits:     cfg.Limits,
		values:     cfg.Values,
		topics:     make(map[kafka.WireTopic]*topic),
		partitions: make(map[kafka.TopicPartition]*partition),
		workers:    make(map[*worker]struct{}),
		probes:     cfg.Healthy != nil,
		wake:       wakes{newBell(), newBell(), newBell(), newBell(), newBell(), newBell()},
	}
	s.flow.interrupt = func() {}
	for _, h := range cfg.Handlers {
		t := s.topics[h.WireTopic]
		if t == nil {
			t = &topic{name: h.Topic}
			s.topics[h.WireTopic] = t
		}
		engineSide := &handler{Handler: h, topic: t}
		t.handlers = append(t.handlers, engineSide)
		s.handlers = append(s.handlers, engineSide)
	}
	return s
}

// assign begins a new assignment of a partition. It returns nil for a topic
// without handlers.
func (s *scheduler) assign(tp kafka.TopicPartition, now time.Time) *partition {
	if p := s.partitions[tp]; p != nil {
		s.end(p, now)
	}
	t := s.topics[tp.Topic]
	if t == nil {
		return nil
	}
	s.epoch++
	p := &partition{
		TopicPartition: tp,
		topic:          t,
		window:         ackwindow.New(ackwindow.Limits{Records: s.limits.WindowRecords, Bytes: s.limits.WindowBytes}),
	}
	p.window.Start(s.epoch)
	if s.draining {
		p.phase = ending
	}
	s.partitions[tp] = p
	return p
}

// quit lets nothing of a partition start any more. What is on its way to the
// sink goes on: whoever ends the epoch waits for it as for what runs.
func (s *scheduler) quit(p *partition, now time.Time) {
	if p.phase != owned {
		return
	}
	p.phase = ending
	s.flow.changed(p, -p.backlog.len())
	p.backlog.clear()
	s.remove(func(d *delivery) bool { return d.event.p == p && !d.underway })
	p.blockers = nil
	if p.away {
		p.away = false
		s.held = without(s.held, p)
	}
	s.releaseGroups(p) // to run without what they had of it
	s.flow.quit(p, s.wake.poller)
	for _, t := range s.topics { // its deliveries have left the queues
		s.refill(t, now)
	}
}

// end makes a partition's epoch history.
func (s *scheduler) end(p *partition, now time.Time) {
	s.quit(p, now)
	p.phase = ended
	s.remove(func(d *delivery) bool { return d.event.p == p })
	if p.dirty {
		p.dirty = false
		s.dirty = without(s.dirty, p)
	}
	if s.partitions[p.TopicPartition] == p {
		delete(s.partitions, p.TopicPartition)
	}
	if p.quiet != nil {
		close(p.quiet)
		p.quiet = nil
	}
}

// forget takes a delivery out of everything but the lists that it is in.
func (s *scheduler) forget(d *delivery) {
	if l := s.takeAway(d); l != nil {
		s.comeOut(l)
	}
}

// takeAway is forget, but for its lane, which it returns if the next delivery
// of it is to come out.
func (s *scheduler) takeAway(d *delivery) *lane {
	l := d.leaveLane()
	d.event.p.unblock(d)
	d.place = gone
	s.arrive(d)
	s.unpress(d)
	return l
}

// remove forgets the deliveries that match and do not run. Those in the hands
// of the prober and the sink are forgotten when these come back with them.
func (s *scheduler) remove(match func(*delivery) bool) {
	var freed []*lane // not while the lists are gone through
	forget := func(d *delivery) {
		if l := s.takeAway(d); l != nil {
			freed = append(freed, l)
		}
	}
	for _, h := range s.handlers {
		for _, l := range h.lanes {
			for d, before := l.last, (*delivery)(nil); d != nil; d = before {
				if before = d.ahead; d.place == behind && match(d) {
					forget(d)
				}
			}
		}
		h.due.take(match, forget)
		h.queue.take(match, forget)
	}
	s.retries.take(match, forget)
	s.removeGrouped(match, forget)
	s.asked = filter(s.asked, match, forget)
	s.outbound = filter(s.outbound, match, forget)
	for _, p := range s.partitions {
		p.parked = filter(p.parked, match, forget)
		for _, d := range slices.Clone(p.blockers) {
			if d.place == stuck && match(d) {
				forget(d)
			}
		}
	}
	for _, l := range freed {
		s.comeOut(l)
	}
}

// runnable reports whether one more worker of the handler may start, but for
// the slots.
func (s *scheduler) runnable(h *handler) bool {
	return s.hasWork(h) && (h.Concurrency == 0 || h.workers < h.Concurrency)
}

// hasWork reports whether there is something that may start.
func (s *scheduler) hasWork(h *handler) bool { return h.ready() > 0 && !s.draining && !h.paused() }

// pump starts workers for what can run, and reports whether it has started one.
func (s *scheduler) pump(h *handler, now time.Time) (started bool) {
	for s.runnable(h) && !h.inLine {
		if !h.seat.acquire() {
			h.inLine = true
			break
		}
		s.startWorker(h, 1, now) // nothing has queued up: one more run is allowed
		started = true
	}
	return started
}

// grant is called for a handler that has waited for a slot and has one now.
func (s *scheduler) grant(h *handler, now time.Time) {
	h.inLine = false
	if !s.runnable(h) {
		s.release(h)
		return
	}
	s.startWorker(h, h.Batch, now)
	s.refill(h.topic, now)
}

func (s *scheduler) release(h *handler) {
	s.granted = append(s.granted, h.seat.release()...)
}

// startWorker starts a worker that has a slot and something to do.
func (s *scheduler) startWorker(h *handler, most int, now time.Time) {
	w := &worker{h: h, since: now}
	h.workers++
	s.workers[w] = struct{}{}
	s.take(w, most, now)
	if s.nextLook.IsZero() {
		s.nextLook = now.Add(s.limits.Sample)
		s.wake.timekeeper.ring()
	}
	s.start(w)
}

// take gives a worker what it runs next. This is where a batch is formed: more
// than one delivery, if more have queued up while all runs were busy; not more
// than most. The list that the worker had before is not touched.
func (s *scheduler) take(w *worker, most int, now time.Time) {
	h := w.h
	w.ds, w.spare = w.spare[:0], w.ds
	// A group that fails again and again leaves every other turn to the rest.
	if h.groups.len() > 0 && (!h.tookGroup || h.due.len()+h.queue.len() == 0) {
		h.tookGroup = true
		w.group = h.groups.pop()
		w.group.place = running
		w.ds = append(w.ds, w.group.parts.next()...)
	} else {
		h.tookGroup = false
		first := h.pop()
		w.ds = append(w.ds, first)
		if !first.alone {
			w.ds = s.followers(w.ds, first, most)
			for len(w.ds) < most && h.due.len()+h.queue.len() > 0 && !h.peek().alone {
				d := h.pop()
				w.ds = s.followers(append(w.ds, d), d, most)
			}
		}
	}
	var deadline time.Time
	for _, d := range w.ds {
		d.begin(now)
		d.event.p.running++
		if d.deadline.After(deadline) {
			deadline = d.deadline
		}
	}
	w.give()
	w.ctx.values, w.ctx.deadline = s.values, deadline
	w.ctx.record, w.ctx.pressed = w.ds[0].event.record, w.ds[0].pressed
}

// next gives a worker that has finished something more to do, or takes its slot
// away: because there is nothing, or because others wait for it.
func (s *scheduler) next(w *worker, now time.Time) bool {
	h := w.h
	admitted := false
	if h.ready() == 0 {
		admitted = s.admit(h.topic, now) // what it finished may have made room in the window
	}
	more := s.hasWork(h) && !s.yields(w, now)
	if more {
		s.take(w, h.Batch, now)
	} else {
		w.ds, w.spare, w.ctx, w.first = nil, nil, nil, nil
		h.workers--
		s.release(h)
	}
	switch {
	case admitted:
		s.refill(h.topic, now)
	case more && h.plenty(now):
		// It comes back here after its next run.
	default:
		s.refillFor(h, now)
	}
	return more
}

func (s *scheduler) yields(w *worker, now time.Time) bool {
	if now.Sub(w.since) < s.limits.Quantum {
		return false
	}
	if w.h.seat.shouldYield() {
		return true
	}
	w.since = now
	return false
}

// exited forgets a worker, when everything that it did is reported.
func (s *scheduler) exited(w *worker) {
	delete(s.workers, w)
	s.ringIfIdle()
}

func without[T comparable](list []T, x T) []T {
	return filter(list, func(y T) bool { return x == y }, func(T) {})
}

// filter removes those that match, in place, and calls taken for each.
func filter[T any](list []T, match func(T) bool, taken func(T)) []T {
	kept := list[:0]
	for _, x := range list {
		if match(x) {
			taken(x)
			continue
		}
		kept = append(kept, x)
	}
	clear(list[len(kept):])
	return kept
}
