package lanes

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/loglimit"
)

// Sender writes rows to Kafka. See the package's documentation. Its methods may
// be called at the same time, except where they say otherwise.
type Sender struct {
	cfg        Config
	maxRequest int

	// ctx is that of the produce requests, lookups that of everything else.
	ctx           context.Context
	cancel        context.CancelFunc
	lookups       context.Context
	cancelLookups context.CancelFunc
	// wg counts what can still report: requests, lookups, and calls.
	wg sync.WaitGroup
	// stopped is closed by Stop, when nothing can report any more.
	stopped chan struct{}
	// failing and well bound the lines about what Patient waits for, topic by topic.
	failing, well loglimit.Limit

	// mu is never held while anything waits, or is reported. It guards the
	// rest.
	mu    sync.Mutex
	phase phase
	m     *machine
	// now is the time of the turn that is under way.
	now time.Time
	// timer calls tick at wake; zero: not at all.
	timer *time.Timer
	wake  time.Time
	// soon: a turn is about to come that starts what Send has brought.
	soon bool
	// telling: somebody reports the machine's notices, and goes on until
	// there are none. spare is the memory of those before.
	telling bool
	spare   []notice
}

// phase is where in its life a sender is.
type phase uint8

const (
	created phase = iota
	running
	stopping
)

// New returns a sender. It does nothing before Start.
func New(cfg Config) (*Sender, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Sender{
		cfg: cfg, maxRequest: maxRequestOf(cfg.Client), stopped: make(chan struct{}),
		failing: loglimit.Limit{Burst: 1}, well: loglimit.Limit{Burst: 1},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.lookups, s.cancelLookups = context.WithCancel(s.ctx)
	s.m = newMachine(&s.cfg, rand.Float64)
	return s, nil
}

// Start begins to send. Calls after the first, and after Stop, do nothing.
func (s *Sender) Start() {
	if s.enter() {
		defer s.wg.Done()
		s.turn(func() {
			if s.phase == created {
				s.phase = running
			}
		})
	}
}

// Send hands rows to their lanes, in the order in which the rows of a key are
// to be stored. It waits neither for brokers nor for a lock whose holder does.
// The rows must not be changed until they are reported.
//
// Send and Resume are called one after another, never at the same time, unless
// no topic is ever held ([Config.Patient]): then only the order of rows in one
// call counts. What Send returns of held topics has been reported when it is
// back. Before Start rows are queued; after Stop has been called they are
// dropped, without a report.
func (s *Sender) Send(rows []*eventmodels.OutboxRow) { s.SendTo(byKey, rows) }

// SendTo is Send for rows that belong in a partition, whatever their keys are;
// -1 is Send. If the topic has no such partition, they are Refused.
func (s *Sender) SendTo(partition int32, rows []*eventmodels.OutboxRow) {
	s.mu.Lock()
	if s.phase == stopping {
		s.mu.Unlock()
		return
	}
	s.now = time.Now()
	returned := s.m.send(s.now, rows, partition)
	if len(returned) > 0 {
		s.wg.Add(1)
		defer s.wg.Done()
	}
	starts := s.claim()
	s.mu.Unlock()
	if len(returned) > 0 {
		// Here and not as a notice, which somebody else could still be
		// about to report when Send is back.
		s.cfg.Report.Returned(returned)
	}
	if starts {
		s.start()
	}
}

// claim reports whether the caller has to call start, since nobody is about to.
// mu is held.
func (s *Sender) claim() bool {
	if s.soon || s.phase != running {
		return false
	}
	s.soon = true
	return true
}

// start starts what is to be done, once the goroutines that can run have had
// their turn: what they send goes into the same requests. It reports nothing, so
// that a caller of Send is not kept busy with what concerns others.
func (s *Sender) start() {
	runtime.Gosched()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = time.Now()
	s.soon = false
	if s.phase != running {
		return
	}
	s.work(s.m.advance(s.now))
	if len(s.m.notices) > 0 && !s.telling {
		s.wg.Go(func() { s.turn(func() {}) })
	}
}

// Withdraw takes back those of the rows that cannot have been written, and
// returns them: they will not be, and are not reported. The others still are.
// After Stop has been called it returns none.
//
// Like start it reports nothing: its caller has no time left.
func (s *Sender) Withdraw(rows []*eventmodels.OutboxRow) []*eventmodels.OutboxRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == stopping {
		return nil
	}
	return s.m.withdraw(rows)
}

// Resume ends what Held has begun, after Ready: what Send brings of the topic
// from now on is sent again. Every row of the topic that was given to Send
// before has been reported by now, so that the caller can begin again with
// those that were Returned. For a topic that is not Ready it does nothing.
func (s *Sender) Resume(topic string) {
	if s.enter() {
		defer s.wg.Done()
		s.turn(func() { s.m.resume(topic) })
	}
}

// Identify makes the lanes continue under another identity, with sequence
// numbers from 0. A batch of unknown outcome is written again under it. An
// identity with the present producer id and an epoch that is not larger is
// ignored: it would begin with sequence numbers that the brokers have seen, and
// what they take for repetitions they drop.
func (s *Sender) Identify(id Identity) {
	if s.enter() {
		defer s.wg.Done()
		s.turn(func() { s.m.identify(s.now, id) })
	}
}

// Stop ends the sender: no new batch starts; what is in flight is waited for
// until ctx ends, then abandoned. When Stop is back, nothing is reported any
// more. It may be called any number of times, at any time, also before Start,
// but not from a method of Report.
func (s *Sender) Stop(ctx context.Context) {
	s.mu.Lock()
	first := s.phase != stopping
	s.phase, s.m.stopping = stopping, true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.cancelLookups()
	if first {
		go func() {
			s.wg.Wait()
			s.cancel()
			close(s.stopped)
		}()
	}
	select {
	case <-s.stopped:
	case <-ctx.Done():
		s.cancel()
		<-s.stopped
	}
}

// enter says that the caller may report until it calls wg.Done; false: the
// sender is stopped.
func (s *Sender) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == stopping {
		return false
	}
	s.wg.Add(1)
	return true
}

// turn lets change tell the machine what has happened, and does what the
// machine then wants done. Whoever calls it is counted in wg.
func (s *Sender) turn(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = time.Now()
	change()
	if s.phase == running {
		s.work(s.m.advance(s.now))
	}
	s.report()
}

// work starts what is to be done. mu is held, and the sender is running, so
// that Stop has yet to wait for wg.
func (s *Sender) work(w work) {
	for _, r := range w.requests {
		s.wg.Add(1)
		go s.carry(r)
	}
	if len(w.lookups) > 0 {
		s.wg.Add(1)
		go s.lookup(w.lookups)
	}
	for _, name := range w.ensure {
		s.wg.Add(1)
		go s.create(name)
	}
	if !w.wake.IsZero() && (s.wake.IsZero() || w.wake.Before(s.wake)) {
		s.wake = w.wake
		if d := w.wake.Sub(s.now); s.timer == nil {
			s.timer = time.AfterFunc(d, s.tick)
		} else {
			s.timer.Reset(d)
		}
	}
}

// tick does what is due.
func (s *Sender) tick() {
	if s.enter() {
		defer s.wg.Done()
		s.turn(func() { s.wake = time.Time{} })
	}
}
