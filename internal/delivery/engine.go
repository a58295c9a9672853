package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/loglimit"
)

// Engine brings fetched records to handlers and commits what is done.
//
//	New -> Start -> Drain -> (the group is left) -> Stop
//
// Its methods may be called by many goroutines at once; those of
// kafka.Assignments one after another, as that interface says.
type Engine struct {
	cfg Config
	log *slog.Logger

	// gate is held while a commit is on its way and while an epoch ends; see
	// doc.go. It comes before mu.
	gate chan struct{}

	mu sync.Mutex
	s  *scheduler
	// Guarded by mu.
	source    kafka.Source
	committer Committer
	stage     stage
	polling   context.CancelFunc // lets the poll on its way return; nil if there is none
	flying    *flight            // the commit on its way; nil if there is none
	// drained is closed when draining has ended. cancel ends the services;
	// stopPoll only the poller, which closes pollEnded then.
	drained          chan struct{}
	cancel, stopPoll context.CancelFunc
	pollEnded        chan struct{}

	services sync.WaitGroup
	warnings loglimit.Limit // of what is tried again
	finals   loglimit.Limit // of final verdicts, letters and partitions that are blocked
}

// stage of an engine's life.
type stage uint8

const (
	made stage = iota
	started
	draining
	stopped
)

var _ kafka.Assignments = (*Engine)(nil)

// New makes an engine. Its handlers take their places in cfg.Slots.
func New(cfg Config) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("delivery for group %q: %w", cfg.Group, err)
	}
	e := &Engine{
		cfg:      cfg,
		log:      cfg.Logger,
		gate:     make(chan struct{}, 1),
		s:        newScheduler(&cfg),
		drained:  make(chan struct{}),
		warnings: loglimit.Limit{Burst: 1},
	}
	e.s.commits = cfg.Group != ""
	e.s.start = func(w *worker) { go e.work(w) }
	e.s.flow.interrupt = func() {
		if e.polling != nil {
			e.polling()
		}
	}
	for _, h := range e.s.handlers {
		slots := h.Slots
		if slots == nil {
			slots = cfg.Slots
		}
		h.seat = slots.join(h.Places, func() { e.granted(h) })
	}
	return e, nil
}

// Group is the consumer group that the engine delivers for, without prefix; ""
// for broadcasts.
func (e *Engine) Group() string { return e.cfg.Group }

// Handlers are the engine's copies of the handlers, with their defaults filled
// in: those that an [Observer] is given.
func (e *Engine) Handlers() []*Handler { return e.cfg.Handlers }

// Start begins to fetch from src and, but for a broadcast, to commit with c. It
// does nothing after Drain or Stop.
func (e *Engine) Start(src kafka.Source, c Committer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stage != made {
		return
	}
	e.stage = started
	e.source, e.committer = src, c
	e.s.commits = c != nil
	ctx, cancel := context.WithCancel(context.Background())
	pollCtx, stopPoll := context.WithCancel(ctx)
	e.cancel, e.stopPoll = cancel, stopPoll
	e.pollEnded = make(chan struct{})
	e.services.Go(func() { e.poll(pollCtx); close(e.pollEnded) })
	e.services.Go(func() { e.keepTime(ctx) })
	if c != nil {
		e.services.Go(func() { e.commit(ctx) })
	}
	if e.cfg.Healthy != nil {
		e.services.Go(func() { e.probe(ctx) })
	}
	if e.cfg.Sink != nil {
		e.services.Go(func() { e.write(ctx) })
	}
}

// Stop ends the engine's goroutines, without waiting for handlers that still
// run: nothing comes of them, and their contexts are cancelled. Normally Drain
// comes before it. It may be called at any time, also more than once.
func (e *Engine) Stop() {
	e.mu.Lock()
	first := e.stage != stopped
	e.stage = stopped
	e.s.draining = true
	if first {
		for _, p := range e.s.all() {
			e.s.end(p, time.Now())
		}
		e.s.interrupt(func(*partition) bool { return true }, errStopped)
		if e.cancel != nil {
			e.cancel()
		}
		for _, h := range e.s.handlers {
			e.s.granted = append(e.s.granted, h.seat.leave()...)
		}
	}
	e.unlock()
	e.services.Wait()
	if first && e.cfg.Observer.Sampled != nil {
		e.cfg.Observer.Sampled(e.Stats())
	}
}

// unlock lets go of the lock and tells other handlers, perhaps of other
// engines, that they have been granted a slot.
func (e *Engine) unlock() {
	granted := e.s.granted
	e.s.granted = nil
	e.mu.Unlock()
	for _, t := range granted {
		t.granted()
	}
}

// granted is called when a handler that has waited for a slot has one.
func (e *Engine) granted(h *handler) {
	e.mu.Lock()
	e.s.grant(h, time.Now())
	e.unlock()
}
