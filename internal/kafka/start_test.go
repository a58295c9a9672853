package kafka

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/eventembed"
)

// What is appended while a member looks up where it starts comes after its
// start.
func TestLatestIsBeforeWhatIsAppendedMeanwhile(t *testing.T) {
	c := embedded(t)
	topic, group := c.topic(t, 1), string(newName("g"))
	old := &kgo.Record{Topic: string(topic), Value: []byte("old"), Timestamp: time.Now().Add(-time.Hour)}
	if err := c.kgo.ProduceSync(timeout(t), old).FirstErr(); err != nil {
		t.Fatal(err)
	}
	held := c.embed.StallResponse(eventembed.Match{Requests: []kmsg.Key{kmsg.ListOffsets}, Topic: string(topic), Count: 1, When: byTime})
	cfg := c.groupConfig(t, group, topic)
	cfg.Starts = map[WireTopic]Start{topic: Latest}
	m := join(t, cfg)
	if err := held.Wait(timeout(t), 1); err != nil {
		t.Fatal(err)
	}
	c.write(t, topic, 0, "meanwhile")
	held.Remove()
	m.waitValues(t, "meanwhile")
}

// byTime chooses requests that do not ask for the start or the end.
func byTime(req kmsg.Request) bool {
	list, ok := req.(*kmsg.ListOffsetsRequest)
	return ok && list.Topics[0].Partitions[0].Timestamp >= 0
}

// A member that has not heard of a new partition when it is assigned reads it
// from its beginning.
func TestLatestOfPartitionThatOnlyTheLeaderKnows(t *testing.T) {
	c := embedded(t)
	topic, group := c.topic(t, 1), string(newName("g"))
	cfg := c.groupConfig(t, group, topic)
	cfg.Starts = map[WireTopic]Start{topic: Latest}
	leader := join(t, cfg)
	leader.wait(t, "assigned", func() bool { return len(leader.owned) == 1 })
	cfg.MetadataMinAge, cfg.MetadataMaxAge = 5*time.Second, time.Hour
	follower := join(t, cfg)
	if _, err := c.embed.WaitForGroup(timeout(t), group, func(g eventembed.Group) bool { return len(g.Members) == 2 && g.State == "Stable" }); err != nil {
		t.Fatal(err)
	}
	if _, err := c.adm.CreatePartitions(timeout(t), 1, string(topic)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new partition", func() bool {
		c.kgo.ForceMetadataRefresh()
		r := &kgo.Record{Topic: string(topic), Partition: 1, Value: []byte("first")}
		return c.kgo.ProduceSync(timeout(t), r).FirstErr() == nil
	})
	follower.wait(t, "it has the partition", func() bool { return follower.owned[TopicPartition{topic, 1}] })
	follower.waitValues(t, "first")
}

// A member does not go on before it has committed where it starts.
func TestStartThatWasNotCommitted(t *testing.T) {
	c := embedded(t)
	topic, group := c.topic(t, 1), string(newName("g"))
	c.write(t, topic, 0, "old")
	refused := c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Count: 1}, nil)
	cfg := c.groupConfig(t, group, topic)
	cfg.Starts = map[WireTopic]Start{topic: From(time.Now().Add(time.Hour))}
	m := join(t, cfg)
	m.wait(t, "the refusal is reported", func() bool { return len(m.errs) > 0 })
	if refused.Hits() != 1 {
		t.Fatalf("%d commits were refused", refused.Hits())
	}
	m.wait(t, "it goes on", func() bool { return len(m.owned) == 1 })
	eventually(t, "the start is committed", func() bool { return c.embed.Committed(group, string(topic), 0) == 1 })
}

func TestGroupBelowLogStart(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic, group := c.topic(t, 1), string(newName("g"))
		tp := TopicPartition{topic, 0}
		c.write(t, topic, 0, values(10, "v%d")...)
		c.commit(t, group, tp, 2)
		c.removeBelow(t, topic, 0, 5)
		m := join(t, c.groupConfig(t, group, topic))
		m.waitValues(t, values(10, "v%d")[5:]...)
		m.wait(t, "the gap", func() bool { return len(m.gaps) == 1 })
		if m.gaps[0] != (Gap{tp, 2, 5}) {
			t.Errorf("gap %v", m.gaps[0])
		}
	})
}

// More is committed than there is, and nobody knows why: better again than
// never.
func TestGroupBeyondEnd(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic, group := c.topic(t, 1), string(newName("g"))
		c.write(t, topic, 0, values(3, "v%d")...)
		c.commit(t, group, TopicPartition{topic, 0}, 100)
		m := join(t, c.groupConfig(t, group, topic))
		m.waitValues(t, values(3, "v%d")...)
	})
}

// commit commits an offset of a group without members.
func (c *cluster) commit(t *testing.T, group string, tp TopicPartition, at int64) {
	t.Helper()
	os := make(kadm.Offsets)
	os.AddOffset(string(tp.Topic), tp.Partition, at, -1)
	if err := c.adm.CommitAllOffsets(timeout(t), group, os); err != nil {
		t.Fatal(err)
	}
}

func TestGroupStart(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 1)
		tp := TopicPartition{topic, 0}
		old, middle := time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		for _, r := range []*kgo.Record{
			{Value: []byte("old"), Timestamp: old},
			{Value: []byte("middle"), Timestamp: middle},
			{Value: []byte("young"), Timestamp: middle.Add(time.Minute)},
		} {
			r.Topic = string(topic)
			if err := c.kgo.ProduceSync(timeout(t), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		client := c.client(t)
		for _, test := range []struct {
			name  string
			start Start
			at    int64
			want  []string
		}{
			{"earliest", Earliest, -1, []string{"old", "middle", "young", "end"}},
			{"time", From(middle), 1, []string{"middle", "young", "end"}},
			{"latest", Latest, 3, []string{"end"}},
		} {
			group := string(newName("g"))
			cfg := c.groupConfig(t, group, topic)
			cfg.Starts = map[WireTopic]Start{topic: test.start}
			m := join(t, cfg)
			m.wait(t, "assigned", func() bool { return m.owned[tp] })
			if test.at >= 0 {
				// Where it starts stays, also for a member that comes later.
				eventually(t, "the start is committed", func() bool {
					committed, err := client.CommittedOffsets(timeout(t), group)
					return err == nil && committed[tp].At == test.at
				})
				m.Close()
				m = join(t, cfg)
			}
			if test.name == "latest" {
				c.write(t, topic, 0, "end")
			} else {
				test.want = slices.DeleteFunc(test.want, func(v string) bool { return v == "end" })
			}
			m.waitValues(t, test.want...)
			m.Close()
		}
	})
}
