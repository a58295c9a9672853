package kafka

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/eventembed"
)

// Leaders and coordinators move, and brokers go away and come back, while
// records are produced and read: all are read. Some are read again, by the
// reader too: kfake does not know where an epoch ends after which nothing was
// written, which Kafka does, so each move can look like a loss of records.
func TestBrokersMove(t *testing.T) {
	c := embedded(t, eventembed.Brokers(3), eventembed.Topics(2, "t"))
	client := c.client(t)
	l := listen(t, c.readerConfig(t, "t"))
	m := join(t, c.groupConfig(t, "g", "t"))
	want := 0
	for round := range 6 {
		node := int32(round % 3)
		for p := range int32(2) {
			if err := c.embed.MoveLeader("t", p, (node+p)%3); err != nil {
				t.Fatal(err)
			}
		}
		c.embed.MoveCoordinator("g")
		away := (node + 2) % 3 // leads nothing, but may coordinate and answer
		if err := c.embed.Cut(away); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			v := fmt.Sprint(round, "-", i)
			if err := client.produce(timeout(t), []*Record{record("t", v, v)}); err != nil {
				t.Fatal(err)
			}
			want++
		}
		l.wait(t, "all are read", func() bool { return distinct(l.values) == want })
		if err := c.embed.Restore(away); err != nil {
			t.Fatal(err)
		}
		m.wait(t, "all are read", func() bool { return distinct(m.values) == want })
		m.wait(t, "all partitions are assigned", func() bool { return len(m.owned) == 2 })
		eventually(t, "commit", func() bool { return m.Commit(timeout(t), m.positions()) == nil })
	}
}

func distinct(values []string) int {
	return len(slices.Compact(slices.Sorted(slices.Values(values))))
}

// A partition moves while the brokers do not answer requests for metadata. The
// client goes on to ask the old leader, and must not pile up what waits for the
// answer.
func TestLeaderMovesWithoutMetadata(t *testing.T) {
	c := embedded(t, eventembed.Brokers(2), eventembed.Topics(2, "t"))
	for p := range int32(2) {
		if err := c.embed.MoveLeader("t", p, 0); err != nil {
			t.Fatal(err)
		}
	}
	client := c.client(t)
	cfg := c.readerConfig(t, "t")
	cfg.ClientID = "reads"
	l := listen(t, cfg)
	if err := client.produce(timeout(t), []*Record{record("t", "k", "before")}); err != nil {
		t.Fatal(err)
	}
	l.wait(t, "it is read", func() bool { return len(l.values) == 1 })

	before := runtime.NumGoroutine()
	metadata := c.embed.Stall(eventembed.Match{ClientID: "reads", Requests: []kmsg.Key{kmsg.Metadata}})
	if err := c.embed.MoveLeader("t", 1, 1); err != nil {
		t.Fatal(err)
	}
	asked := c.embed.Observe(eventembed.Match{ClientID: "reads", Requests: []kmsg.Key{kmsg.Fetch}, Nodes: []int32{0}})
	if err := metadata.Wait(timeout(t), 1); err != nil {
		t.Fatal(err)
	}
	if err := asked.Wait(timeout(t), 300); err != nil {
		t.Fatal(err)
	}
	if n := runtime.NumGoroutine(); n > before+100 {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	metadata.Remove()
	if err := client.ProducePlaced(timeout(t), []*Record{{Topic: "t", Partition: 1, Value: []byte("after")}}); err != nil {
		t.Fatal(err)
	}
	l.wait(t, "it is read from the new leader", func() bool { return slices.Contains(l.values, "after") })
}
