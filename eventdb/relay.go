package eventdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/backoff"
	"github.com/seed46dd6f11/events/internal/loglimit"
)

// Relay moves a scope's outbox to Kafka while its process holds the scope's
// lease, and stands by while another one does.
type Relay struct {
	cfg RelayConfig
	log *slog.Logger
	// parked bounds the lines about parked events, topic by topic.
	parked loglimit.Limit
	wake   chan struct{} // capacity 1: this process has committed
	// heard, of capacity 1: a process (this one, too: it hears itself) has
	// committed, or released the lease.
	heard chan struct{}
	stop  chan struct{} // closed by Stop
	done  chan struct{} // closed when run has returned

	mu      sync.Mutex
	started bool                    // guarded by mu
	stopped bool                    // guarded by mu
	leading bool                    // guarded by mu; written by run
	store   eventmodels.OutboxStore // guarded by mu; the open one, or nil

	notify chan struct{} // capacity 1: another process is to be woken

	// behind is the process that the log last said this one stands by for, ""
	// once this one has the lease; only of run.
	behind string
}

// NewRelay returns a relay that does nothing until Start or Once.
func NewRelay(cfg RelayConfig) *Relay {
	cfg.setDefaults()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Relay{
		cfg:    cfg,
		log:    cfg.Logger.With("scope", cfg.Scope),
		wake:   make(chan struct{}, 1),
		heard:  make(chan struct{}, 1),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
		notify: make(chan struct{}, 1),
	}
}

// Start opens the store, so that a missing table or a wrong password is told
// at once, and begins. ctx bounds the opening and lends its values; its end
// does not stop the relay.
func (r *Relay) Start(ctx context.Context) error {
	r.mu.Lock()
	begun := r.started || r.stopped
	r.started = true
	r.mu.Unlock()
	if begun {
		return errors.New("the relay was started or stopped before")
	}
	err := r.open(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.started = false
		if r.stopped {
			close(r.done) // a Stop has come meanwhile and waits for this
		}
		return err
	}
	go r.run(context.WithoutCancel(ctx))
	return nil
}

// Stop makes a last pass over the outbox, releases the lease and returns when
// that is done. It does not wait for servers for ever: the configured limit
// bounds the last pass, and then what is left of deleting, and the lease's time
// bounds its release. It may be called several times, and before Start.
func (r *Relay) Stop() {
	r.mu.Lock()
	first, started := !r.stopped, r.started
	r.stopped = true
	r.mu.Unlock()
	if first {
		close(r.stop)
		if !started {
			r.closeStore()
			close(r.done)
		}
	}
	<-r.done
}

// Done is closed when the relay has stopped.
func (r *Relay) Done() <-chan struct{} { return r.done }

// Leading reports whether this process relays.
func (r *Relay) Leading() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leading
}

// Wake says that rows have been committed. If another process relays, it is
// told, without waiting for that.
func (r *Relay) Wake() {
	if r.Leading() {
		signal(r.wake)
		return
	}
	signal(r.notify)
}

// Missed reports, after Stop, whether Wake was called so late that no pass has
// followed, and after Stop and Once whether a process that runs no relay has
// committed so late, and has left its rows to this relay, which had the lease:
// somebody else, or another Once, has to look at the outbox.
func (r *Relay) Missed() bool { return len(r.wake) > 0 || len(r.notify) > 0 }

func (r *Relay) open(ctx context.Context) error {
	store, err := r.cfg.Open(ctx)
	if err != nil {
		return fmt.Errorf("open the outbox: %w", err)
	}
	r.mu.Lock()
	r.store = store
	r.mu.Unlock()
	concerns, err := store.Concerns(ctx)
	if err != nil {
		r.log.Debug("the database server's settings could not be looked at", "error", err) // whoever works will find out
	}
	for _, concern := range concerns {
		r.log.Warn("a setting of the database server endangers events", "setting", concern)
	}
	return nil
}

func (r *Relay) closeStore() {
	r.mu.Lock()
	store := r.store
	r.store = nil
	r.mu.Unlock()
	if store != nil {
		if err := store.Close(); err != nil {
			r.log.Debug("the outbox's connections could not be closed in order", "error", err)
		}
	}
}

func (r *Relay) setLeading(leading bool) {
	r.mu.Lock()
	r.leading = leading
	r.mu.Unlock()
	r.cfg.Observer.Holding(leading)
}

// run is the relay's goroutine.
func (r *Relay) run(ctx context.Context) {
	defer close(r.done)
	defer r.closeStore()
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()

	beside.Go(func() { r.listen(ctx) })
	beside.Go(func() { r.tellOthers(ctx) })
	acquiring, end := expiring(ctx, r.stop, r.cfg.StopLimit)
	defer end()

	retry := backoff.Schedule{Min: 100 * time.Millisecond, Max: min(r.cfg.LeaseTime/3, 5*time.Second), Jitter: 0.5}
	failures := 0
	for {
		err := r.tryLead(ctx, acquiring)
		switch {
		case r.stopping():
			if err != nil {
				r.log.Warn("the relay stops without a whole last pass over the outbox; the next one sends what is left there", "error", err)
			}
			return
		case err == nil:
			failures = 0
			r.sleep(r.standbyPause())
			continue
		case errors.Is(err, eventmodels.ErrLeaseLost):
			r.log.Warn("this process has lost the relay's lease; it stands by", "error", err)
			failures = 0
			r.sleep(r.standbyPause())
			continue
		}
		failures++
		r.failed("lease", failures, err)
		r.sleep(retry.Delay(failures, jitter()))
	}
}

// standbyPause is how often a process that stands by looks at the lease: at
// least three times in the lease's time, so that it takes over within it.
func (r *Relay) standbyPause() time.Duration { return min(r.cfg.LeaseTime/3, time.Second) }

func (r *Relay) stopping() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

// standbyRest is the shortest pause between two looks at the lease. A wake-up
// does not say whether it is about the lease, and there may be one for each of
// the others' commits.
const standbyRest = 50 * time.Millisecond

// sleep ends early with a wake-up, which may mean that the lease is free, but
// not before standbyRest, and with Stop.
func (r *Relay) sleep(d time.Duration) {
	rest := min(d, standbyRest)
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.stop:
		return
	}
	timer.Reset(d - rest)
	select {
	case <-timer.C:
	case <-r.heard:
	case <-r.wake:
		if r.stopping() {
			signal(r.wake) // for Missed
		}
	case <-r.stop:
	}
}

// tryLead relays for as long as this process holds the lease. It returns nil
// at once if another process does. acquiring bounds what comes before that.
func (r *Relay) tryLead(ctx, acquiring context.Context) error {
	state, err := r.store.LookLease(acquiring, r.cfg.Scope)
	if err != nil {
		return fmt.Errorf("look at the lease: %w", err)
	}
	if state.Live && state.Owner != r.cfg.Owner {
		// Whoever starts a process again that was killed sees why its events
		// wait: the old one has the lease until it expires.
		if state.Owner != r.behind {
			r.behind = state.Owner
			r.log.Info("another process has the relay's lease; this one stands by and takes over when it is released or expires", "owner", state.Owner)
		}
		return nil
	}
	l, err := r.acquire(acquiring)
	if err != nil || l == nil {
		return err
	}
	r.behind = ""
	r.log.Info("this process relays the outbox now", "epoch", l.keeper.current().Epoch)
	r.setLeading(true)
	sampling, stopSampling := context.WithCancel(ctx)
	var sampler sync.WaitGroup
	sampler.Go(func() { l.sample(sampling) })
	err = l.lead(ctx, r.stop)
	stopSampling()
	sampler.Wait()
	r.setLeading(false)
	l.close(ctx)
	return err
}

// failed logs an error of the relay: the first of a row and then every tenth.
func (r *Relay) failed(operation string, failures int, err error) {
	r.cfg.Observer.Failed(operation, err)
	if failures%10 == 1 {
		r.log.Error("the relay cannot work; it tries again", "operation", operation, "failures", failures, "error", err)
	}
}

// wait returns when d is over or ctx has ended.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// errStopLimit is the cause of the end of what took too long after Stop, or in
// Once.
var errStopLimit = errors.New("the pass over the outbox was not finished within its limit")

// expiring returns a context that ends when limit has passed since stop was
// closed. end must be called; it ends the context, too.
func expiring(ctx context.Context, stop <-chan struct{}, limit time.Duration) (limited context.Context, end func()) {
	limited, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-stop:
			wait(limited, limit)
			cancel(errStopLimit)
		case <-limited.Done():
		}
	}()
	return limited, func() {
		cancel(nil)
		<-ended
	}
}
