package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestReader(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		a, b := c.topic(t, 3), c.topic(t, 1)
		c.write(t, a, 0, "before")
		l := listen(t, c.readerConfig(t, a, b))
		for p := range 3 {
			c.write(t, a, int32(p), fmt.Sprint("a", p))
		}
		c.write(t, b, 0, "b")
		l.waitValues(t, "a0", "a1", "a2", "b")
		late := listen(t, c.readerConfig(t, a, b))
		c.write(t, b, 0, "for both")
		late.waitValues(t, "for both")
		l.waitValues(t, "a0", "a1", "a2", "b", "for both")
		positions := l.positions()
		if positions[TopicPartition{a, 0}] != 2 || positions[TopicPartition{b, 0}] != 2 || len(positions) != 4 {
			t.Errorf("positions %v", positions)
		}
		l.Close()
		l.Close()
		if _, err := l.Poll(timeout(t), 1); !errors.Is(err, ErrClosed) {
			t.Errorf("poll after close: %v", err)
		}
		if len(l.gaps) != 0 {
			t.Errorf("gaps %v", l.gaps)
		}
	})
}

func TestReaderMissingTopic(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		there, missing := c.topic(t, 1), newName("missing")
		_, err := NewReader(timeout(t), c.readerConfig(t, there, missing))
		var topic *TopicError
		if !errors.Is(err, ErrUnknownTopic) || !errors.As(err, &topic) || topic.Topic != missing {
			t.Errorf("error: %v", err)
		}
	})
}

func TestReaderWaitsForBrokers(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	if err := c.embed.Cut(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err := NewReader(ctx, c.readerConfig(t, "t"))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), c.brokers[0]) {
		t.Errorf("while away: %v", err)
	}
	if err := c.embed.Restore(); err != nil {
		t.Fatal(err)
	}
	fault := c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.ListOffsets}, Count: 3}, kerr.NotLeaderForPartition)
	l := listen(t, c.readerConfig(t, "t"))
	if fault.Hits() == 0 {
		t.Error("the fault was not met")
	}
	c.write(t, "t", 0, "v")
	l.waitValues(t, "v")
}

func TestReaderNewPartition(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 1)
		l := listen(t, c.readerConfig(t, topic))
		if _, err := c.adm.CreatePartitions(timeout(t), 1, string(topic)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the new partition", func() bool {
			c.kgo.ForceMetadataRefresh()
			r := &kgo.Record{Topic: string(topic), Partition: 1, Value: []byte("first")}
			return c.kgo.ProduceSync(timeout(t), r).FirstErr() == nil
		})
		l.waitValues(t, "first")
		if len(l.gaps) != 0 {
			t.Errorf("gaps %v", l.gaps)
		}
	})
}

// Records are removed while the reader cannot fetch; when it can again, there
// are records after the gap, or there are none.
func TestReaderGap(t *testing.T) {
	for _, after := range []bool{true, false} {
		t.Run(fmt.Sprintf("records after it %v", after), func(t *testing.T) {
			onClusters(t, func(t *testing.T, c *cluster) {
				topic, quiet := c.topic(t, 1), c.topic(t, 1)
				dialer := testDialer()
				cfg := c.readerConfig(t, topic, quiet)
				cfg.Dialer = dialer.DialContext
				l := listen(t, cfg)
				c.write(t, topic, 0, "read")
				l.waitValues(t, "read")
				dialer.Cut()
				c.write(t, topic, 0, "removed", "removed")
				c.removeBelow(t, topic, 0, 3)
				if after {
					c.write(t, topic, 0, "after")
				}
				dialer.Restore()
				l.wait(t, "the gap", func() bool { return len(l.gaps) > 0 })
				c.write(t, topic, 0, "later")
				want := []string{"read", "later"}
				if after {
					want = append(want, "after")
				}
				l.waitValues(t, want...)
				l.mu.Lock()
				defer l.mu.Unlock()
				if l.gapsOf(topic) != 1 || len(l.gaps) != 1 {
					t.Errorf("gaps %v", l.gaps)
				}
			})
		})
	}
}

// Retention that removes what was read is no gap.
func TestReaderRetentionWithoutGap(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 1)
		l := listen(t, c.readerConfig(t, topic))
		c.write(t, topic, 0, "a", "b")
		l.waitValues(t, "a", "b")
		c.removeBelow(t, topic, 0, 2)
		r := l.Reader
		r.lookAround(timeout(t))
		c.write(t, topic, 0, "c")
		l.waitValues(t, "a", "b", "c")
		if len(l.gaps) != 0 {
			t.Errorf("gaps %v", l.gaps)
		}
	})
}

func TestReaderTopicRecreated(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic, other := c.topic(t, 1), c.topic(t, 1)
		l := listen(t, c.readerConfig(t, topic, other))
		c.write(t, topic, 0, "old1", "old2")
		l.waitValues(t, "old1", "old2")
		c.delete(t, topic)
		l.Reader.lookAround(timeout(t)) // while it does not exist
		c.create(t, topic, 2)
		c.write(t, topic, 0, "new1", "new2", "new3")
		c.write(t, topic, 1, "new4")
		l.waitValues(t, "old1", "old2", "new1", "new2", "new3", "new4")
		c.write(t, other, 0, "other")
		c.write(t, topic, 0, "new5")
		l.waitValues(t, "old1", "old2", "new1", "new2", "new3", "new4", "other", "new5")
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.gapsOf(topic) != 1 || len(l.gaps) != 1 {
			t.Errorf("gaps %v", l.gaps)
		}
	})
}

// A new id is found by the watch, and by a fetch when the watch is slow.
func TestReaderTopicRecreatedBetweenLooks(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	cfg := c.readerConfig(t, "t")
	cfg.WatchInterval = time.Hour
	cfg.FetchMaxWait = 20 * time.Millisecond
	l := listen(t, cfg)
	c.write(t, "t", 0, "old")
	l.waitValues(t, "old")
	c.delete(t, "t")
	c.create(t, "t", 1)
	c.write(t, "t", 0, "new")
	l.waitValues(t, "old", "new")
}

func TestReaderSurvivesLostConnection(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 1)
		dialer := testDialer()
		cfg := c.readerConfig(t, topic)
		cfg.Dialer = dialer.DialContext
		l := listen(t, cfg)
		want := []string{"before"}
		c.write(t, topic, 0, want...)
		l.waitValues(t, want...)
		for i := range 3 {
			dialer.Cut()
			more := values(10, fmt.Sprintf("away %d %%d", i))
			c.write(t, topic, 0, more...)
			want = append(want, more...)
			dialer.Restore()
			l.waitValues(t, slices.Clone(want)...)
		}
		if len(l.gaps) != 0 {
			t.Errorf("gaps %v", l.gaps)
		}
	})
}

func TestReaderPause(t *testing.T) {
	c := embedded(t, eventembed.Topics(2, "t"))
	l := listen(t, c.readerConfig(t, "t"))
	paused := []TopicPartition{{"t", 0}}
	l.Pause(nil)
	l.Pause(paused)
	c.write(t, "t", 0, "paused")
	c.write(t, "t", 1, "not paused")
	l.waitValues(t, "not paused")
	l.Resume(nil)
	l.Resume(paused)
	l.waitValues(t, "paused", "not paused")
}

func TestReaderTruncation(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	l := listen(t, c.readerConfig(t, "t"))
	l.report(kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: "t", Partitions: []kgo.FetchPartition{
		{Partition: 0, Err: &kgo.ErrDataLoss{Topic: "t", ConsumedTo: 10, ResetTo: 4}},
	}}}}})
	if len(l.gaps) != 1 || l.gaps[0] != "t" || l.positions()[TopicPartition{"t", 0}] != 4 {
		t.Errorf("gaps %v, positions %v", l.gaps, l.positions())
	}
}

// The watch goes on when the cluster cannot be asked.
func TestReaderWatchFails(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	l := listen(t, c.readerConfig(t, "t"))
	fault := c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.ListOffsets}}, kerr.TopicAuthorizationFailed)
	if err := fault.Wait(timeout(t), 2); err != nil {
		t.Fatal(err)
	}
	fault.Remove()
	if err := c.embed.AddPartitions("t", 1); err != nil {
		t.Fatal(err)
	}
	c.kgo.ForceMetadataRefresh()
	eventually(t, "the new partition is read", func() bool { return len(l.positions()) == 2 })
}
