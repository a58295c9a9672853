package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
	"github.com/seed46dd6f11/events/internal/faultcampaign/memorydb"
)

// world is a run while it takes place. Its fields belong to the goroutine of
// [Run] unless it says otherwise.
type world struct {
	plan     Plan
	handlers handlers
	logger   *slog.Logger

	network  *eventembed.Network
	broker   *eventembed.Broker
	database *memorydb.Server
	stranger *stranger
	recorder *recorder
	sessions *sessions

	slots      []*instance // nil: none is there
	started    int         // instances
	patience   time.Duration
	restarts   chan int // slots that get an instance again
	leftovers  []*eventembed.Fault
	steps      sync.WaitGroup // faults that go on
	background sync.WaitGroup // instances that end
	running    sync.WaitGroup // handlers, also those of instances that were killed
	load       context.Context
	endLoad    context.CancelFunc

	hanging atomic.Int32 // handlers that do

	mu       sync.Mutex // for moments only
	problems []string   // of the run itself; guarded by mu
	ids      int        // guarded by mu
}

// Outcome is what came of a run.
type Outcome struct {
	Plan    Plan
	Report  checker.Report
	Entries []checker.Entry
	Moments []Moment
	// Problems are what is wrong besides violations: a Shutdown that abandons
	// something although all is well, a run that does not come to rest.
	Problems []string
	Settled  time.Duration // after the last fault
}

// Failed says whether something is wrong.
func (o Outcome) Failed() bool { return len(o.Problems) > 0 || len(o.Report.Violations) > 0 }

// settling is how long before it goes down an instance may have missed
// broadcasts: the longest cut, and what franz-go needs to come back.
const settling = 3 * time.Minute

// patience is how long a run may do without coming nearer to its rest after the
// last fault. With one key and many transactions handlers that are ordered by key
// need half an hour.
const patience = 20 * time.Minute

// nextID is an event's id that no other one has.
func (w *world) nextID() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids++
	return fmt.Sprintf("e%d", w.ids)
}

// must notes what the world itself could not do.
func (w *world) must(err error) {
	if err != nil {
		w.problem("the world: %v", err)
	}
}

func (w *world) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// Run carries out a plan. It must be called in a testing/synctest bubble, with
// the build tag synctests. Log lines go to logger.
func Run(plan Plan, logger *slog.Logger) (Outcome, error) {
	return run(plan, logger, func(*world) {})
}

// run is Run, with a look at the world before anything happens.
func run(plan Plan, logger *slog.Logger, prepare func(*world)) (Outcome, error) {
	w := &world{
		plan: plan, handlers: handlersOf(plan), logger: logger,
		network: new(eventembed.Network), database: memorydb.New(), recorder: newRecorder(),
		patience: patience, slots: make([]*instance, plan.Slots), restarts: make(chan int),
	}
	w.load, w.endLoad = context.WithCancel(context.Background())
	defer w.endLoad()
	var err error
	w.broker, err = eventembed.Start(eventembed.Brokers(plan.Brokers), eventembed.OnNetwork(w.network),
		eventembed.Topics(plan.Partitions, orders.Topic()), eventembed.Topics(2, bills.Topic()))
	if err != nil {
		return Outcome{}, err
	}
	defer w.broker.Close()
	if w.stranger, err = newStranger(w, w.network); err != nil {
		return Outcome{}, err
	}
	w.sessions = w.watchSessions()
	for _, h := range w.handlers.all() {
		w.recorder.add("", h.declare())
	}
	prepare(w)
	for slot := range w.slots {
		w.slots[slot] = w.startInstance(slot)
	}
	w.strike()
	o := Outcome{Plan: plan}
	o.Settled = w.settle()
	w.close()
	w.gather()
	o.Entries, o.Moments, o.Problems = w.recorder.all(), w.recorder.marks, w.problems
	o.Report = checker.Check(o.Entries, checker.Options{Settling: settling})
	return o, nil
}

// strike carries out the steps, and returns when all have ended and each slot
// has an instance.
func (w *world) strike() {
	began := time.Now()
	for _, s := range w.plan.Steps {
		w.until(began.Add(s.At))
		w.apply(s)
	}
	w.until(began.Add(w.plan.Length))
	ended := make(chan struct{})
	go func() {
		w.steps.Wait()
		close(ended)
	}()
	for {
		select {
		case slot := <-w.restarts:
			w.slots[slot] = w.startInstance(slot)
			continue
		case <-ended:
		}
		break
	}
	for _, f := range w.leftovers {
		f.Remove()
	}
	w.recorder.note("the last fault has ended")
}

// until waits, and starts instances meanwhile.
func (w *world) until(at time.Time) {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-timer.C:
			return
		case <-tick.C:
			w.sessions.expire()
		case slot := <-w.restarts:
			w.slots[slot] = w.startInstance(slot)
		}
	}
}

// settle waits until the run has come to rest: everything is where it belongs.
func (w *world) settle() time.Duration {
	began := time.Now()
	time.Sleep(5 * time.Second)
	w.endLoad()
	busy, least, progress := "", math.MaxInt, began
	for time.Since(progress) < w.patience {
		time.Sleep(5 * time.Second)
		var left int
		if busy, left = w.quiet(); left < least {
			least, progress = left, time.Now()
		}
		if left == 0 {
			report := checker.Check(w.found(), checker.Options{Settling: settling})
			if !report.Failed() {
				return time.Since(began)
			}
			busy = report.Violations[0].String()
		}
		w.recorder.note("not at rest: " + busy)
		w.sessions.expire()
	}
	w.problem("the run does not come to rest, nor nearer to it in %v: %s", w.patience, busy)
	return time.Since(began)
}

// quiet says what is still under way, and how much that is.
func (w *world) quiet() (what string, left int) {
	var busy []string
	if rows, parked, open := w.database.Waiting(); rows+parked+open > 0 {
		left += rows + parked + open
		busy = append(busy, fmt.Sprintf("%d rows in the outbox, %d parked, %d open transactions", rows, parked, open))
	}
	for _, group := range []string{shop.String(), search.String()} {
		for _, t := range topics {
			if t == bills && group == search.String() {
				continue
			}
			partitions, err := w.broker.Partitions(t.Topic())
			w.must(err)
			for _, p := range partitions {
				if at := w.broker.Committed(group, t.Topic(), p.ID); at < p.End && p.End > 0 {
					left += int(p.End - max(at, 0))
					busy = append(busy, fmt.Sprintf("%s %s/%d: %d of %d", group, t.Topic(), p.ID, at, p.End))
				}
			}
		}
	}
	return strings.Join(busy, "; "), left
}

// close stops everything. All is handled, but a handler can still hang with an
// event that another instance has handled since.
func (w *world) close() {
	for w.hanging.Load() > 0 {
		time.Sleep(time.Second)
	}
	for _, i := range w.slots {
		i.end()
		i.producing.Wait()
		limit, cancel := w.within()
		if err := i.lib.Shutdown(limit); err != nil {
			w.problem("Shutdown of instance %s: %v", i.name, err)
		}
		cancel()
	}
	w.background.Wait()
	w.steps.Wait()
	w.running.Wait()
	w.stranger.close()
	// Statements that were late are so for a minute at most, and the server has
	// noticed by then which connections are lost.
	time.Sleep(2 * time.Minute)
}
