package kafka

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Aborted records and transaction markers: nobody sees them, and the position
// comes to the end.
func TestGroupPassesTransactions(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic, group := c.topic(t, 1), string(newName("g"))
		want := c.transactions(t, topic)
		m := join(t, c.groupConfig(t, group, topic))
		m.waitValues(t, want...)
		client := c.client(t)
		ends, err := client.EndOffsets(timeout(t), []WireTopic{topic})
		if err != nil {
			t.Fatal(err)
		}
		tp := TopicPartition{topic, 0}
		m.wait(t, "the position is at the end", func() bool { return m.next[tp].At == ends[tp] })
		if err := m.Commit(timeout(t), m.positions()); err != nil {
			t.Fatal(err)
		}
		committed, err := client.CommittedOffsets(timeout(t), group)
		if err != nil || committed[tp].At != ends[tp] {
			t.Errorf("committed %v of %v: %v", committed, ends, err)
		}
	})
}

// transactions writes aborted and committed transactions, ends with an aborted
// one, and returns what can be read.
func (c *cluster) transactions(t *testing.T, topic WireTopic) (committed []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.TransactionalID(string(newName("tx"))),
		kgo.DefaultProduceTopic(string(topic)), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx := timeout(t)
	for i, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for j := range 5 {
			v := fmt.Sprintf("tx%d-%d", i, j)
			if err := client.ProduceSync(ctx, kgo.StringRecord(v)).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if end == kgo.TryCommit {
				committed = append(committed, v)
			}
		}
		if err := client.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	return committed
}

func TestReaderPassesTransactions(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 1)
		tp := TopicPartition{topic, 0}
		c.transactions(t, topic)
		l := listen(t, c.readerConfig(t, topic))
		l.waitValues(t, c.transactions(t, topic)...)
		ends, err := c.client(t).EndOffsets(timeout(t), []WireTopic{topic})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the position is at the end", func() bool { return l.positions()[tp] == ends[tp] })
	})
}
