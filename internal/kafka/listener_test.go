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

// listener is a reader for tests that polls.
type listener struct {
	*Reader
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	values  []string
	gaps    []WireTopic

	poll  context.CancelFunc
	polls sync.WaitGroup
}

func (c *cluster) readerConfig(t *testing.T, topics ...WireTopic) ReaderConfig {
	return ReaderConfig{Config: c.config(t), Topics: topics, WatchInterval: 50 * time.Millisecond}
}

func listen(t *testing.T, cfg ReaderConfig) *listener {
	t.Helper()
	l := &listener{changed: make(chan struct{})}
	cfg.OnGap = func(topic WireTopic) { l.change(func() { l.gaps = append(l.gaps, topic) }) }
	r, err := NewReader(timeout(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.Reader = r
	ctx, cancel := context.WithCancel(context.Background())
	l.poll = cancel
	l.polls.Go(func() {
		for {
			fetched, err := l.Poll(ctx, 7)
			if err != nil {
				if !errors.Is(err, ErrClosed) && !errors.Is(err, context.Canceled) {
					t.Errorf("poll: %v", err)
				}
				return
			}
			l.change(func() {
				for i := range fetched {
					if fetched[i].Stale() {
						t.Error("stale without a group")
					}
					for _, r := range fetched[i].Records {
						l.values = append(l.values, string(r.Value))
					}
				}
			})
		}
	})
	t.Cleanup(l.Close)
	return l
}

func (l *listener) Close() {
	l.Reader.Close()
	l.poll()
	l.polls.Wait()
}

func (l *listener) change(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
	close(l.changed)
	l.changed = make(chan struct{})
}

// wait waits until the condition is true; it is called with l.mu held.
func (l *listener) wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := timeout(t)
	for {
		l.mu.Lock()
		done, changed := ok(), l.changed
		state := fmt.Sprintf("values %v, gaps %v", l.values, l.gaps)
		l.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s; %s", what, state)
		}
	}
}

func (l *listener) waitValues(t *testing.T, want ...string) {
	t.Helper()
	l.wait(t, fmt.Sprintf("%d values", len(want)), func() bool { return len(l.values) >= len(want) })
	l.mu.Lock()
	defer l.mu.Unlock()
	got := slices.Sorted(slices.Values(l.values))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func (l *listener) gapsOf(topic WireTopic) int {
	n := 0
	for _, g := range l.gaps {
		if g == topic {
			n++
		}
	}
	return n
}

// positions are the next offset of each partition that Poll has not returned.
func (l *listener) positions() map[TopicPartition]int64 {
	l.Reader.mu.Lock()
	defer l.Reader.mu.Unlock()
	return maps.Clone(l.pos.next)
}
