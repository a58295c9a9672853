package lanes_test

import (
	"errors"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var produce = []kmsg.Key{kmsg.Produce}

// TestAnswerLost: a batch that was stored and whose answer is lost is not stored
// again.
func TestAnswerLost(t *testing.T) {
	b := embed(t, eventembed.Topics(2, "a"))
	r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) { cfg.MaxBatchRecords = 10; cfg.HoldAfter = time.Minute })
	lost := b.DropResponse(eventembed.Match{Requests: produce, Count: 5})
	rows := keyed("a", 200, 7)
	r.send(rows[:100]...)
	r.send(rows[100:]...)
	r.settled()
	if lost.Hits() != 5 {
		t.Errorf("%d answers were lost, want 5", lost.Hits())
	}
	if again := stored(t, must[[]*kgo.Record](t)(b.Records("a")), rows); again > 0 {
		t.Errorf("%d records are stored again", again)
	}
}

// TestTransientErrors: errors that go away cost nothing, whether the batch was
// stored or not.
func TestTransientErrors(t *testing.T) {
	for _, e := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend,
		kerr.RequestTimedOut, kerr.KafkaStorageError, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.CorruptMessage, kerr.UnknownServerError,
	} {
		t.Run(e.Message, func(t *testing.T) {
			b := embed(t, eventembed.Topics(2, "a"))
			r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) { cfg.MaxBatchRecords = 10; cfg.HoldAfter = time.Minute })
			fault := b.Fail(eventembed.Match{Requests: produce, Partitions: []int32{1}, Count: 2}, e)
			rows := keyed("a", 60, 7)
			r.send(rows...)
			r.settled()
			if fault.Hits() != 2 || r.holds > 0 {
				t.Errorf("%d faults, want 2; held %d times", fault.Hits(), r.holds)
			}
			if again := stored(t, must[[]*kgo.Record](t)(b.Records("a")), rows); again > 0 {
				t.Errorf("%d records are stored again", again)
			}
		})
	}
}

// TestLeaderMoves sends while the leaders of the partitions change.
func TestLeaderMoves(t *testing.T) {
	b := embed(t, eventembed.Brokers(3), eventembed.Topics(4, "a"))
	r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) { cfg.MaxBatchRecords = 20; cfg.HoldAfter = time.Minute })
	rows := keyed("a", 3000, 50)
	for i := 0; i < len(rows); i += 100 {
		r.send(rows[i : i+100]...)
		check(t, b.MoveLeader("a", int32(i/100%4), int32(i/100%3)))
	}
	r.settled()
	if again := stored(t, must[[]*kgo.Record](t)(b.Records("a")), rows); again > 0 {
		t.Errorf("%d records are stored again", again)
	}
}

// TestBrokerCut: what a broker leads is held while it is away, and goes out, in
// its order and once, when it is back; the rest does not wait.
func TestBrokerCut(t *testing.T) {
	b := embed(t, eventembed.Brokers(2), eventembed.Topics(1, "near", "far"))
	check(t, b.MoveLeader("near", 0, 0))
	check(t, b.MoveLeader("far", 0, 1))
	r := start(t, dial(t, b.Addrs()))
	far, near := keyed("far", 300, 5), keyed("near", 300, 5)
	r.send(far[:100]...)
	r.settled()
	check(t, b.Cut(1))
	r.send(far[100:200]...)
	r.until("far is held", func() bool { return r.held["far"] != nil })
	for i := 0; i < 300; i += 30 {
		r.send(append(near[i:i+30:i+30], far[200+i/3:210+i/3]...)...)
	}
	r.ackedOf("near", 300)
	if err := r.held["near"]; err != nil {
		t.Errorf("near is held: %v", err)
	}
	check(t, b.Restore(1))
	r.settled()
	for topic, rows := range map[string][]*row{"far": far, "near": near} {
		if again := stored(t, must[[]*kgo.Record](t)(b.Records(topic)), rows); again > 0 {
			t.Errorf("%d records are stored again in %s", again, topic)
		}
	}
}

// TestBrokerDoesNotAnswer: a broker that takes requests and says nothing is
// noticed before the connection's own timeout, and its topics held.
func TestBrokerDoesNotAnswer(t *testing.T) {
	b := embed(t, eventembed.Brokers(2), eventembed.Topics(1, "near", "far"))
	check(t, b.MoveLeader("near", 0, 0))
	check(t, b.MoveLeader("far", 0, 1))
	r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) { cfg.RequestTimeout = 200 * time.Millisecond })
	stall := b.StallResponse(eventembed.Match{Requests: produce, Topic: "far"})
	far, near := keyed("far", 100, 5), keyed("near", 100, 5)
	r.send(far[:50]...)
	check(t, stall.Wait(ctx(t), 1))
	r.send(far[50:]...)
	r.until("far is held", func() bool { return r.held["far"] != nil && len(r.back["far"]) == 50 })
	r.send(near...)
	r.ackedOf("near", 100)
	stall.Remove()
	r.settled()
	if again := stored(t, must[[]*kgo.Record](t)(b.Records("far")), far); again > 0 {
		t.Errorf("%d records are stored again", again)
	}
}

// TestPartitionThatFailsDelaysNoOther: a partition that fails for long is not in
// the others' requests, and its topic is held.
func TestPartitionThatFailsDelaysNoOther(t *testing.T) {
	b := embed(t, eventembed.Topics(1, "a", "b", "c"))
	r := start(t, dial(t, b.Addrs()))
	fault := b.Fail(eventembed.Match{Requests: produce, Topic: "b"}, kerr.NotEnoughReplicas)
	var rows []*row
	for range 100 {
		for _, topic := range []string{"a", "b", "c"} {
			rows = append(rows, keyed(topic, 3, 3)...)
		}
	}
	r.send(rows...)
	r.ackedOf("a", 300)
	r.ackedOf("c", 300)
	r.until("b is held, with one row to find out", func() bool { return r.held["b"] != nil && len(r.back["b"]) == 299 })
	// However much comes: it is given back at once.
	more := keyed("b", 10_000, 3)
	r.send(more...)
	if s := r.sender.Stats(); s.Rows != 1 || s.HeldTopics != 1 {
		t.Errorf("%+v", s)
	}
	check(t, fault.Wait(ctx(t), fault.Hits()+3)) // it is tried again and again
	fault.Remove()
	r.settled()
	if r.holds != 1 || r.readies != 1 {
		t.Errorf("held %d times, ready %d times", r.holds, r.readies)
	}
	var ofB []*row
	for _, row := range append(rows, more...) {
		if row.Topic == "b" {
			ofB = append(ofB, row)
		}
	}
	if again := stored(t, must[[]*kgo.Record](t)(b.Records("b")), ofB); again > 0 {
		t.Errorf("%d records are stored again", again)
	}
}

// TestForbiddenTopic is held at once, not after HoldAfter.
func TestForbiddenTopic(t *testing.T) {
	b := embed(t, eventembed.Topics(2, "good", "forbidden"))
	r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) { cfg.HoldAfter = time.Hour })
	fault := b.Fail(eventembed.Match{Requests: produce, Topic: "forbidden"}, kerr.TopicAuthorizationFailed)
	rows := map[string][]*row{"good": keyed("good", 500, 9), "forbidden": keyed("forbidden", 500, 9)}
	for i := 0; i < 500; i += 50 {
		r.send(append(rows["good"][i:i+50:i+50], rows["forbidden"][i:i+50]...)...)
	}
	r.ackedOf("good", 500)
	r.until("the topic is held", func() bool { return r.held["forbidden"] != nil })
	if err := r.held["forbidden"]; !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("held with %v", err)
	}
	fault.Remove()
	r.settled()
	for topic, rows := range rows {
		if again := stored(t, must[[]*kgo.Record](t)(b.Records(topic)), rows); again > 0 {
			t.Errorf("%d records are stored again in %s", again, topic)
		}
	}
}

// TestTopicRecreated: sending goes on with a topic that was deleted and created
// again, also with what was on its way.
func TestTopicRecreated(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after int
	}{{"same partitions", 3, 3}, {"more partitions", 2, 5}, {"fewer partitions", 5, 2}} {
		t.Run(c.name, func(t *testing.T) {
			b := embed(t, eventembed.Brokers(2), eventembed.Topics(c.before, "a"))
			r := start(t, dial(t, b.Addrs()))
			old := keyed("a", 400, 20)
			r.send(old...)
			r.settled()
			check(t, b.DeleteTopic("a"))
			check(t, b.CreateTopic("a", c.after, nil))
			rows := keyed("a", 400, 20)
			r.send(rows[:200]...)
			r.settled()
			r.send(rows[200:]...)
			r.settled()
			if again := stored(t, must[[]*kgo.Record](t)(b.Records("a")), rows); again > 0 {
				t.Errorf("%d records are stored again", again)
			}
		})
	}
	t.Run("while a batch is on its way", func(t *testing.T) {
		b := embed(t, eventembed.Topics(1, "a"))
		r := start(t, dial(t, b.Addrs()))
		first := keyed("a", 50, 3)
		r.send(first...)
		r.settled()
		stall := b.Stall(eventembed.Match{Requests: produce, Topic: "a"})
		rows := keyed("a", 50, 3)
		r.send(rows[:25]...)
		check(t, stall.Wait(ctx(t), 1))
		r.send(rows[25:]...)
		check(t, b.DeleteTopic("a"))
		check(t, b.CreateTopic("a", 1, nil))
		stall.Remove()
		r.settled()
		if again := stored(t, must[[]*kgo.Record](t)(b.Records("a")), rows); again > 0 {
			t.Errorf("%d records are stored again", again)
		}
	})
}

// TestPartitionsAdded: they are used once they are known, without a restart.
func TestPartitionsAdded(t *testing.T) {
	b := embed(t, eventembed.Topics(1, "a"))
	r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) { cfg.MetadataMaxAge = time.Millisecond })
	r.send(keyed("a", 10, 10)...)
	r.settled()
	check(t, b.AddPartitions("a", 3))
	for n := 10; must[map[int32]int64](t)(b.EndOffsets("a"))[3] == 0; n += 10 {
		if n > 100_000 {
			t.Fatal("the new partitions are not used")
		}
		r.send(keyed("a", 10, 10)...)
		r.settled()
	}
}
