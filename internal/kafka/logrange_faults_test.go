package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Leaders move, brokers refuse and connections are lost while a range is read.
func TestReadRangeWhileBrokersMove(t *testing.T) {
	c := embedded(t, eventembed.Brokers(3), eventembed.Topics(1, "t"))
	dialer := testDialer()
	client := c.client(t, func(cfg *Config) { cfg.Dialer = dialer.DialContext })
	var all []string
	for i := range 40 {
		all = append(all, fmt.Sprint(i))
		c.write(t, "t", 0, all[i])
	}
	var got []string
	n := 0
	for chunk, err := range client.Read(timeout(t), LogRange{TopicPartition{"t", 0}, 0, 40, 1}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range chunk.Records {
			got = append(got, string(r.Value))
		}
		switch n++; n % 8 {
		case 1:
			if err := c.embed.MoveLeader("t", 0, int32(n/8)%3); err != nil {
				t.Fatal(err)
			}
		case 3:
			c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.Fetch}, Count: 2}, kerr.FencedLeaderEpoch)
		case 5:
			dialer.Cut()
			dialer.Restore()
		case 7:
			c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.Metadata}, Count: 1}, kerr.LeaderNotAvailable)
			c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.Fetch}, Count: 1}, kerr.KafkaStorageError)
		}
	}
	if !slices.Equal(got, all) {
		t.Errorf("read %v", got)
	}
}

func TestReadRangeRefused(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		client := c.client(t)
		topic, missing := c.topic(t, 1), newName("missing")
		for _, r := range []LogRange{{TopicPartition{missing, 0}, 0, 1, 0}, {TopicPartition{topic, 7}, 0, 1, 0}} {
			var failed *TopicError
			err := firstError(client, timeout(t), r)
			if !errors.As(err, &failed) || failed.Topic != r.Topic || !errors.Is(err, ErrUnknownTopic) {
				t.Errorf("%s: %v", r, err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := firstError(client, ctx, LogRange{TopicPartition{topic, 0}, 0, 1, 0}); !errors.Is(err, context.Canceled) {
			t.Errorf("with a ctx that has ended: %v", err)
		}
		client.Close()
		if err := firstError(client, timeout(t), LogRange{TopicPartition{topic, 0}, 0, 1, 0}); !errors.Is(err, ErrClosed) {
			t.Errorf("a closed client: %v", err)
		}
	})
}

func firstError(c *Client, ctx context.Context, r LogRange) error {
	for _, err := range c.Read(ctx, r) {
		if err != nil {
			return err
		}
	}
	return nil
}

// What is read of a topic that is deleted and created again is not mixed.
func TestReadRangeOfRecreatedTopic(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 1)
		for i := range 4 {
			c.write(t, topic, 0, fmt.Sprint("old", i))
		}
		var got []string
		var failed error
		for chunk, err := range c.client(t).Read(timeout(t), LogRange{TopicPartition{topic, 0}, 0, 4, 1}) {
			if failed = err; err != nil {
				break
			}
			for _, r := range chunk.Records {
				got = append(got, string(r.Value))
			}
			if chunk.From == 0 {
				c.delete(t, topic)
				c.create(t, topic, 1)
				c.write(t, topic, 0, values(4, "new%d")...)
			}
		}
		if !errors.Is(failed, ErrUnknownTopic) || !slices.Equal(got, []string{"old0"}) {
			t.Errorf("read %v, then %v", got, failed)
		}
	})
}

// A broker that answers with nothing although the log goes on is asked again.
func TestReadRangeEmptyAnswers(t *testing.T) {
	s := &scan{LogRange: LogRange{TopicPartition{"t", 0}, 0, 10, 0}, next: 4}
	answer := &kmsg.FetchResponseTopicPartition{HighWatermark: 12, LastStableOffset: 10}
	for i := 1; i < emptyAnswers; i++ {
		if _, moved, err := s.nothing(answer); moved || err != nil || s.next != 4 {
			t.Fatalf("after %d answers: %v, %v, at %d", i, moved, err, s.next)
		}
	}
	if chunk, moved, err := s.nothing(answer); !moved || err != nil || chunk.From != 4 || chunk.Next != 10 || s.next != 10 {
		t.Errorf("in the end: %+v, %v, %v, at %d", chunk, moved, err, s.next)
	}
	s = &scan{LogRange: LogRange{TopicPartition{"t", 0}, 0, 10, 0}, next: 4}
	if chunk, moved, _ := s.nothing(&kmsg.FetchResponseTopicPartition{HighWatermark: 12, LastStableOffset: 4}); !moved || chunk.Next != 4 || s.next != 10 {
		t.Errorf("at the end: %+v, %v", chunk, moved)
	}
	s = &scan{LogRange: LogRange{TopicPartition{"t", 0}, 0, 10, 0}, next: 4}
	if chunk, moved, _ := s.nothing(&kmsg.FetchResponseTopicPartition{HighWatermark: 3, LastStableOffset: -1}); !moved || chunk.Next != 4 {
		t.Errorf("at the end, as an old broker tells it: %+v, %v", chunk, moved)
	}
}

func TestReadRangeForbidden(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	c.write(t, "t", 0, "v")
	c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.Fetch}}, kerr.TopicAuthorizationFailed)
	err := firstError(c.client(t), timeout(t), LogRange{TopicPartition{"t", 0}, 0, 1, 0})
	if !errors.Is(err, kerr.TopicAuthorizationFailed) || !strings.Contains(err.Error(), "ACL") {
		t.Errorf("refused: %v", err)
	}
}
