package kafka

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Members come and go while records arrive. What a member commits when a
// partition is revoked is where the next one starts: nothing is lost, nothing
// is read twice, and nothing arrives that is not the reader's.
func TestGroupChurn(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		const partitions, rounds, perRound = 4, 12, 40
		topic, group := c.topic(t, partitions), string(newName("g"))
		client := c.client(t)
		commitWhatIsRead := func(ctx context.Context, m *member, revoked []TopicPartition) {
			next := make(map[TopicPartition]Offset)
			for _, tp := range revoked {
				if o, ok := m.positions()[tp]; ok {
					next[tp] = o
				}
			}
			if err := m.Commit(ctx, next); err != nil {
				t.Errorf("%s: commit while revoked: %v", m.name, err)
			}
		}
		var all, alive []*member
		for round := range rounds {
			cfg := c.groupConfig(t, group, topic)
			cfg.ClientID = fmt.Sprint("member-", round)
			m := join(t, cfg, func(m *member) { m.onRevoked = commitWhatIsRead })
			all, alive = append(all, m), append(alive, m)
			records := make([]*Record, perRound)
			for i := range records {
				records[i] = record(topic, fmt.Sprint(i), fmt.Sprint(round, "-", i))
			}
			if err := client.produce(timeout(t), records); err != nil {
				t.Fatal(err)
			}
			if len(alive) > 3 {
				alive[0].Close()
				alive = alive[1:]
			}
		}
		counts := func() (distinct, total int) {
			seen := make(map[string]bool)
			for _, m := range all {
				m.mu.Lock()
				for _, v := range m.values {
					seen[v] = true
				}
				total += len(m.values)
				m.mu.Unlock()
			}
			return len(seen), total
		}
		eventually(t, "all are read", func() bool { n, _ := counts(); return n == rounds*perRound })
		for _, m := range alive {
			m.Close()
		}
		if distinct, total := counts(); distinct != rounds*perRound || total != distinct {
			t.Errorf("%d records were read %d times", distinct, total)
		}
		ends, err := client.EndOffsets(timeout(t), []WireTopic{topic})
		if err != nil {
			t.Fatal(err)
		}
		committed, err := client.CommittedOffsets(timeout(t), group)
		if err != nil {
			t.Fatal(err)
		}
		for tp, end := range ends {
			if committed[tp].At != end {
				t.Errorf("%v: committed %d of %d", tp, committed[tp].At, end)
			}
		}
	})
}

// Thousands of calls with a ctx that lives on leave no goroutine behind, with a
// broker that refuses DescribeConfigs, too.
func TestProduceLeavesNoGoroutines(t *testing.T) {
	for _, refused := range []bool{false, true} {
		c := embedded(t, eventembed.Topics(1, "t"))
		if refused {
			c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.DescribeConfigs}}, kerr.ClusterAuthorizationFailed)
		}
		client := c.client(t)
		ctx := timeout(t)
		produce := func() {
			if err := client.produce(ctx, []*Record{record("t", "k", "v")}); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Limits(ctx, "t"); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			produce()
		}
		before := runtime.NumGoroutine()
		for range 5000 {
			produce()
		}
		// A connection more may have been opened; at both ends it has some.
		eventually(t, "there are no more goroutines than before", func() bool { return runtime.NumGoroutine() <= before+20 })
	}
}

// Polls of a member whose ctx ends say so.
func TestGroupPollEnds(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	g, err := NewGroup(c.groupConfig(t, "g", "t"), &member{changed: make(chan struct{}), owned: make(map[TopicPartition]bool)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { _, err := g.Poll(ctx, 0); result <- err }()
	cancel()
	if err := receive(t, "the poll's return", result); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	go func() { _, err := g.Poll(context.Background(), 0); result <- err }()
	g.Close()
	if err := receive(t, "the poll's return", result); !errors.Is(err, ErrClosed) {
		t.Errorf("error: %v", err)
	}
}
