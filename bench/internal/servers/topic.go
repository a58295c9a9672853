package servers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/seed46dd6f11/events/bench/internal/compare"
)

// readyLimit is how long new topics may take.
const readyLimit = 2 * time.Minute

// Topic creates a topic, with the settings that the library gives to topics
// that it creates, and deletes it in the cleanup.
func (s *Servers) Topic(ctx context.Context, c *compare.Cleanup, what string, partitions int32) (string, error) {
	topics, err := s.Topics(ctx, c, what, 1, partitions)
	if err != nil {
		return "", err
	}
	return topics[0], nil
}

// Topics creates n topics like Topic.
func (s *Servers) Topics(ctx context.Context, c *compare.Cleanup, what string, n int, partitions int32) ([]string, error) {
	topics := make([]string, n)
	for i := range topics {
		topics[i] = s.Name(what)
	}
	appendTime := "LogAppendTime"
	created, err := s.kafka.CreateTopics(ctx, partitions, -1, map[string]*string{"message.timestamp.type": &appendTime}, topics...)
	if err = errors.Join(err, created.Error()); err != nil {
		return nil, fmt.Errorf("create topics %s: %w", topics, err)
	}
	c.Defer(func(ctx context.Context) error {
		deleted, err := s.kafka.DeleteTopics(ctx, topics...)
		if err = errors.Join(err, deleted.Error()); err != nil {
			return fmt.Errorf("delete topics %s: %w", topics, err)
		}
		return nil
	})
	return topics, s.ready(ctx, topics)
}

// ready waits until the partitions have leaders that know of it: not every
// client tries again.
func (s *Servers) ready(ctx context.Context, topics []string) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	for {
		_, err := s.Records(ctx, topics...)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("topics %s do not become ready: %w", topics, err)
		}
	}
}

// Group returns a name for a consumer group, which is deleted in the cleanup:
// its members must have left it by then.
func (s *Servers) Group(c *compare.Cleanup, what string) string {
	group := s.Name(what)
	c.Defer(func(ctx context.Context) error {
		deleted, err := s.kafka.DeleteGroups(ctx, group)
		if err = errors.Join(err, deleted.Error()); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return fmt.Errorf("delete consumer group %s: %w", group, err)
		}
		return nil
	})
	return group
}

// Records returns how many records have been appended to all of the topics.
func (s *Servers) Records(ctx context.Context, topics ...string) (int, error) {
	ends, err := s.kafka.ListEndOffsets(ctx, topics...)
	if err = errors.Join(err, ends.Error()); err != nil {
		return 0, fmt.Errorf("ask for the ends of topics %s: %w", topics, err)
	}
	records := 0
	ends.Each(func(o kadm.ListedOffset) { records += int(o.Offset) })
	return records, nil
}
