package kafka

import (
	"fmt"
	"slices"
	"testing"

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
