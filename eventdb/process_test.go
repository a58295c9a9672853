package eventdb

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
)

// process is a relay with what is around it, in a bubble.
type process struct {
	*Relay
	t     *testing.T
	table *table
	store *store
	log   *kafkaLog
	lines *lines

	nextProducer atomic.Int64
	opened       atomic.Int64

	mu       sync.Mutex
	senders  []*sender
	failures map[string]int // by operation
}

// lines are what was logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// script changes a process before its relay is made.
type script struct {
	config func(*RelayConfig)
	store  func(*store)
	sender func(*sender)
}

func newProcess(t *testing.T, owner string, table *table, log *kafkaLog, s script) *process {
	p := &process{t: t, table: table, store: table.open(), log: log, lines: &lines{}, failures: make(map[string]int)}
	if s.store != nil {
		s.store(p.store)
	}
	p.nextProducer.Store(100)
	t.Cleanup(func() { table.mustBeRight(t) })
	cfg := RelayConfig{
		Scope: "scope", Owner: owner,
		Open: func(context.Context) (eventmodels.OutboxStore, error) {
			p.opened.Add(1)
			return p.store, nil
		},
		ClusterID:     func(context.Context) (string, error) { return "cluster", nil },
		NewProducerID: func(context.Context) (int64, error) { return p.nextProducer.Add(1), nil },
		NewSender: func(id lanes.Identity, r lanes.Report) (Sender, error) {
			made := newSender(p.log, id, r)
			if s.sender != nil {
				s.sender(made)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.senders = append(p.senders, made)
			return made, nil
		},
		Observer: p,
		Logger:   slog.New(slog.NewTextHandler(p.lines, nil)),
	}
	if s.config != nil {
		s.config(&cfg)
	}
	p.Relay = NewRelay(cfg)
	return p
}

// start makes a process with a table and a log of its own and starts it. It
// is stopped at the end of the test, unless it was.
func start(t *testing.T, s script) *process {
	t.Helper()
	p := newProcess(t, "me", newTable(), &kafkaLog{}, s)
	p.start()
	return p
}

func (p *process) start() {
	p.t.Helper()
	if err := p.Start(context.Background()); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(p.Stop)
}

// sender is the present one.
func (p *process) sender() *sender {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.senders) == 0 {
		return nil
	}
	return p.senders[len(p.senders)-1]
}

// commit adds rows as transactions of this process do.
func (p *process) commit(topic string, n int) {
	p.table.add(topic, n)
	p.Wake()
}

// failed counts errors of an operation.
func (p *process) failedTimes(operation string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failures[operation]
}

func (p *process) Relayed(string, []*eventmodels.OutboxRow) {}
func (p *process) Parked(string)                            {}
func (p *process) Holding(bool)                             {}
func (p *process) Sampled(stats eventmodels.OutboxStats)    {}

func (p *process) Failed(operation string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures[operation]++
}

// until lets virtual time pass until a condition holds.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Hour)
	for synctest.Wait(); !condition(); synctest.Wait() {
		if time.Now().After(deadline) {
			t.Fatalf("waited an hour for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// settle lets everything that is due now happen.
func settle() { synctest.Wait() }

// bubble runs a test in virtual time.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func sequence(from, to int64) []int64 {
	var seqs []int64
	for seq := from; seq <= to; seq++ {
		seqs = append(seqs, seq)
	}
	return seqs
}
