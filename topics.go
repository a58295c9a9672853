package events

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/seed46dd6f11/events/internal/kafka"
)

// ValidateTopics checks the names of topics, and, where all topics must be
// announced with SetTopicConfig, that these were. The error names each topic
// that is wrong. It does not use the network.
func (l *LibraryNoDB) ValidateTopics(ctx context.Context, topics []string) error {
	if err := errors.Join(l.illegal(topics)...); err != nil {
		return err
	}
	if missing := l.unregistered(topics); len(missing) > 0 {
		return &UnregisteredTopicsError{Topics: missing}
	}
	return ctx.Err()
}

// illegal says of each of topics whose name cannot be used why.
func (l *LibraryNoDB) illegal(topics []string) (errs []error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, topic := range topics {
		if err := l.checkTopic(topic, ""); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// unregistered returns those of topics that were not announced although they
// must be.
func (l *LibraryNoDB) unregistered(topics []string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.mustRegister {
		return nil
	}
	var missing []string
	for _, topic := range topics {
		if _, ok := l.settings.topics[topic]; !ok && !slices.Contains(missing, topic) {
			missing = append(missing, topic)
		}
	}
	return missing
}

// CreateTopics creates those of topics that do not exist, as SetTopicConfig
// says or with the defaults, and waits until they can be used. why is for the
// log. Several calls for one topic share one request. The error names each
// topic that could not be created.
func (l *LibraryNoDB) CreateTopics(ctx context.Context, why string, topics []string) error {
	if err := l.ValidateTopics(ctx, topics); err != nil {
		return fmt.Errorf("create topics (%s): %w", why, err)
	}
	client, err := l.kafkaClient()
	if err != nil {
		return fmt.Errorf("create topics (%s): %w", why, err)
	}
	if err := l.ensureTopics(ctx, client, topics); err != nil {
		return fmt.Errorf("create topics (%s): %w", why, err)
	}
	return nil
}

// ensureTopics creates what is missing.
func (l *LibraryNoDB) ensureTopics(ctx context.Context, client *kafka.Client, topics []string) error {
	var specs []kafka.TopicSpec // most topics are known to exist
	for _, topic := range topics {
		if !client.TopicEnsured(l.wireTopic(topic)) {
			specs = append(specs, l.topicSpec(topic))
		}
	}
	if len(specs) == 0 {
		return nil
	}
	err := client.EnsureTopics(ctx, specs)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(ErrTopicCreationTimeout, err)
	}
	if refused := refusal(err); refused != nil {
		return refused
	}
	return err
}

// topicSpec says how a topic is created; zero fields mean the defaults.
func (l *LibraryNoDB) topicSpec(topic string) kafka.TopicSpec {
	spec := kafka.TopicSpec{Topic: l.wireTopic(topic)}
	config, ok := l.settings.topics[topic]
	if !ok {
		return spec
	}
	spec.Partitions = int32(max(config.NumPartitions, 0))
	spec.ReplicationFactor = int16(max(config.ReplicationFactor, 0))
	if len(config.ReplicaAssignments) > 0 {
		spec.Assignments = make(map[int32][]int32, len(config.ReplicaAssignments))
		for _, a := range config.ReplicaAssignments {
			replicas := make([]int32, len(a.Replicas))
			for i, r := range a.Replicas {
				replicas[i] = int32(r)
			}
			spec.Assignments[int32(a.Partition)] = replicas
		}
	}
	if len(config.ConfigEntries) > 0 {
		spec.Configs = make(map[string]string, len(config.ConfigEntries))
		for _, e := range config.ConfigEntries {
			spec.Configs[e.ConfigName] = e.ConfigValue
		}
	}
	return spec
}

// announcedTopics returns the topics that SetTopicConfig was called for.
func (l *LibraryNoDB) announcedTopics() []string {
	return slices.Sorted(maps.Keys(l.settings.topics))
}
