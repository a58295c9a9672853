package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

// member is a group's member for tests: it polls, and writes down what it is
// told and what it gets.
type member struct {
	*Group
	name string

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	calls   []string      // "assigned t/0 t/1", ...
	owned   map[TopicPartition]bool
	values  []string
	next    map[TopicPartition]Offset
	stale   int // fetched for an assignment that had ended
	gaps    []Gap
	truncs  []Truncation
	gone    []WireTopic
	errs    []error

	onRevoked func(ctx context.Context, m *member, partitions []TopicPartition)
	poll      context.CancelFunc
	polls     sync.WaitGroup
}

func (c *cluster) groupConfig(t *testing.T, group string, topics ...WireTopic) GroupConfig {
	cfg := GroupConfig{
		Config:            c.config(t),
		Group:             group,
		Topics:            topics,
		HeartbeatInterval: 100 * time.Millisecond,
		SessionTimeout:    6 * time.Second,
		RebalanceTimeout:  10 * time.Second,
	}
	return cfg
}

// join makes a member and lets it poll until it is closed.
func join(t *testing.T, cfg GroupConfig, edit ...func(*member)) *member {
	t.Helper()
	m := &member{changed: make(chan struct{}), owned: make(map[TopicPartition]bool), next: make(map[TopicPartition]Offset), name: cfg.ClientID}
	for _, e := range edit {
		e(m)
	}
	cfg.OnGap = func(g Gap) { m.change(func() { m.gaps = append(m.gaps, g) }) }
	cfg.OnTruncated = func(x Truncation) { m.change(func() { m.truncs = append(m.truncs, x) }) }
	cfg.OnTopicRecreated = func(x WireTopic) { m.change(func() { m.gone = append(m.gone, x) }) }
	cfg.OnSessionError = func(err error) { m.change(func() { m.errs = append(m.errs, err) }) }
	g, err := NewGroup(cfg, m)
	if err != nil {
		t.Fatal(err)
	}
	m.Group = g
	t.Cleanup(m.Close)
	m.startPolling(t)
	return m
}

func (m *member) startPolling(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	m.poll = cancel
	m.polls.Go(func() {
		for {
			fetched, err := m.Poll(ctx, 7)
			if err != nil {
				if !errors.Is(err, ErrClosed) && !errors.Is(err, context.Canceled) {
					t.Errorf("poll: %v", err)
				}
				return
			}
			m.change(func() {
				for i := range fetched {
					m.take(t, &fetched[i])
				}
			})
		}
	})
}

// take writes down what was fetched; m.mu is held.
func (m *member) take(t *testing.T, f *Fetched) {
	if f.Stale() {
		m.stale++
		return
	}
	if !m.owned[f.TopicPartition] {
		t.Errorf("%s: fetched from %v, which is not assigned", m.name, f.TopicPartition)
	}
	for _, r := range f.Records {
		m.values = append(m.values, string(r.Value))
	}
	m.next[f.TopicPartition] = f.Next
}

func (m *member) Close() {
	m.Group.Close()
	m.poll()
	m.polls.Wait()
}

func (m *member) change(fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn()
	close(m.changed)
	m.changed = make(chan struct{})
}

// wait waits until the condition is true; it is called with m.mu held.
func (m *member) wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := timeout(t)
	for {
		m.mu.Lock()
		done, changed := ok(), m.changed
		state := fmt.Sprintf("calls %v, values %v, next %v, gone %v, errors %v", m.calls, m.values, m.next, m.gone, m.errs)
		m.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%s waited in vain: %s; %s", m.name, what, state)
		}
	}
}

func (m *member) waitValues(t *testing.T, want ...string) {
	t.Helper()
	m.wait(t, fmt.Sprintf("%d values", len(want)), func() bool { return len(m.values) >= len(want) })
	m.mu.Lock()
	defer m.mu.Unlock()
	got := slices.Sorted(slices.Values(m.values))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s got %v, want %v", m.name, got, want)
	}
}

func (m *member) positions() map[TopicPartition]Offset {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.next)
}

func (m *member) tell(what string, partitions []TopicPartition) string {
	for _, p := range partitions {
		what += fmt.Sprintf(" %d", p.Partition)
	}
	return what
}

func (m *member) Assigned(_ context.Context, partitions []TopicPartition) {
	m.change(func() {
		m.calls = append(m.calls, m.tell("assigned", partitions))
		for _, p := range partitions {
			m.owned[p] = true
		}
	})
}

func (m *member) Revoked(ctx context.Context, partitions []TopicPartition) {
	if m.onRevoked != nil {
		m.onRevoked(ctx, m, partitions)
	}
	m.end("revoked", partitions)
}

func (m *member) Lost(partitions []TopicPartition) { m.end("lost", partitions) }

func (m *member) end(what string, partitions []TopicPartition) {
	m.change(func() {
		m.calls = append(m.calls, m.tell(what, partitions))
		for _, p := range partitions {
			delete(m.owned, p)
			delete(m.next, p)
		}
	})
}
