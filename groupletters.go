package events

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/deadletter"
	"github.com/seed46dd6f11/events/internal/delivery"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
	"github.com/seed46dd6f11/events/internal/mark"
)

// defaultLetterQueue is the queue depth of handlers of dead-letter topics.
const defaultLetterQueue = 10

// writesLetters reports whether events of the handler can become dead letters.
func (h *registeredHandler) writesLetters() bool {
	return h.onFailure == eventmodels.OnFailureSave || h.onFailure == eventmodels.OnFailureRetryLater
}

// groupLetters is what a group's session has for dead letters.
type groupLetters struct {
	reader *deadletter.Reader
	writer *deadletter.Writer // nil: no handler of the group writes letters
	index  *deadletter.Index
	tap    *deadletter.Tap
	// topics are dead-letter topics that are consumed, by the engine or by
	// handlers of the application.
	topics map[kafka.WireTopic]bool
	// handlers of the engine for them, without those of the application.
	handlers []*delivery.Handler
}

// openLetters makes what the letters of a group's handlers need. runs is what
// each of the handlers runs.
func (l *LibraryNoDB) openLetters(client *kafka.Client, group string, handlers []*registeredHandler, runs map[*registeredHandler]runFunc, slots slotsOf) *groupLetters {
	g := &groupLetters{
		index:  deadletter.NewIndex(client),
		topics: make(map[kafka.WireTopic]bool),
	}
	g.reader = deadletter.NewReader(g.index, l.logger(), l.topicOf)
	byTopic := make(map[string][]*registeredHandler)
	written := make(map[string]bool)
	for _, h := range handlers {
		if h.deadLetter {
			g.topics[l.wireTopic(h.topic)] = true
			continue
		}
		byTopic[h.topic] = append(byTopic[h.topic], h)
		written[h.topic] = written[h.topic] || h.writesLetters()
	}
	targets := make(map[deadletter.EngineHandler]*deadletter.Handler)
	var specs []kafka.TopicSpec
	for _, topic := range slices.Sorted(maps.Keys(byTopic)) {
		if !written[topic] {
			continue
		}
		spec := l.letterSpec(client, deadLetterName(topic, group), topic)
		specs = append(specs, spec)
		g.topics[spec.Topic] = true
		known := make(map[string]bool)
		for _, h := range byTopic[topic] {
			known[h.name] = true
			target := l.letterTarget(h, spec.Topic, runs[h])
			run := g.add(h, target, slots)
			targets[deadletter.EngineHandler{Topic: l.wireTopic(topic), Name: h.name}] = target
			targets[run] = target
		}
		g.addOthers(mark.Handler{Group: group, BaseTopic: topic}, spec.Topic, deadLetterName(topic, group), known, slots)
	}
	if len(targets) == 0 {
		return g
	}
	g.tap = deadletter.NewTap(g.index, func(t kafka.WireTopic) bool { return g.topics[t] })
	g.writer = deadletter.NewWriter(deadletter.WriterConfig{
		Producer: client, Index: g.index, Handlers: targets,
		Ensure: func(ctx context.Context, topics []kafka.WireTopic) error {
			return client.EnsureTopics(ctx, slices.DeleteFunc(slices.Clone(specs), func(s kafka.TopicSpec) bool { return !slices.Contains(topics, s.Topic) }))
		},
		Backoff: l.settings.letterBackoff, Cause: l.settings.letterCause, Instance: instanceName(), Tracer: l.settings.tracing,
		Written: func(h *deadletter.Handler, reason deadletter.Reason) {
			DeadLetterProduceCounts.WithLabelValues(h.Identity.Name, h.Identity.BaseTopic).Inc()
			DeadLetterReasons.WithLabelValues(h.Identity.Name, h.Identity.BaseTopic, string(reason)).Inc()
		},
	})
	return g
}

// letterTarget is a handler as the writer and the reader see it.
func (l *LibraryNoDB) letterTarget(h *registeredHandler, topic kafka.WireTopic, run runFunc) *deadletter.Handler {
	mode := letters.Save
	if h.onFailure == eventmodels.OnFailureRetryLater {
		mode = letters.Retry
	}
	latency, success := HandlerLatency.WithLabelValues(h.name, h.topic), HandlerSuccessCounts.WithLabelValues(h.name, h.topic)
	consumed := DeadLetterConsumeCounts.WithLabelValues(h.name, h.topic)
	DeadLetterProduceCounts.WithLabelValues(h.name, h.topic)
	for _, reason := range deadletter.Reasons {
		DeadLetterReasons.WithLabelValues(h.name, h.topic, string(reason)) // at 0: see ErrorCounts
	}
	return &deadletter.Handler{
		Identity: mark.Handler{Prefix: l.settings.prefix, Group: h.group, Name: h.name, BaseTopic: h.topic},
		Topic:    topic,
		Mode:     mode,
		Atomic:   h.kind == kindExactlyOnce,
		Run:      run,
		Ran: func(took time.Duration, err error) {
			consumed.Inc()
			latency.Observe(took.Seconds())
			if err == nil {
				success.Inc()
			}
		},
	}
}

// add adds the engine's handler for the letters of h: its name is none that an
// application can give. Each run is one attempt; the wait between them is the
// letter's.
func (g *groupLetters) add(h *registeredHandler, target *deadletter.Handler, slots slotsOf) deadletter.EngineHandler {
	e := deadletter.EngineHandler{Topic: target.Topic, Name: h.name + " (letters)"}
	letterTopic := deadLetterName(h.topic, h.group)
	onFailure := eventmodels.OnFailureSave
	if h.writesLetters() {
		onFailure = h.onFailure
	}
	var places *delivery.Places
	if h.kind == kindExactlyOnce {
		places = slots.transactions
	}
	_, concurrency := h.limits()
	g.handlers = append(g.handlers, &delivery.Handler{
		Name: e.Name, PausedAs: h.name, Topic: letterTopic, WireTopic: e.Topic, BaseTopic: h.topic, OnFailure: onFailure,
		Timeout: h.timeout, NoRetry: true, Concurrency: concurrency, QueueDepth: defaultLetterQueue, Backoff: h.backoff,
		Places: places, Slots: slots.letters, Run: g.reader.Run(target), Metrics: newLetterMetrics(h.group, h.name, h.topic, letterTopic),
	})
	return e
}

// addOthers adds the engine's handler for letters of handlers that are not known
// here.
func (g *groupLetters) addOthers(identity mark.Handler, wire kafka.WireTopic, letterTopic string, known map[string]bool, slots slotsOf) {
	e := deadletter.EngineHandler{Topic: wire, Name: "(other handlers)"}
	g.handlers = append(g.handlers, &delivery.Handler{
		Name: e.Name, Topic: letterTopic, WireTopic: wire, BaseTopic: identity.BaseTopic, OnFailure: eventmodels.OnFailureBlock,
		QueueDepth: defaultLetterQueue, Slots: slots.letters, Metrics: newLetterMetrics(identity.Group, e.Name, identity.BaseTopic, letterTopic),
		Run: g.reader.Others(identity, func(handler string) bool { return known[handler] }),
	})
}

// decode lets records of dead-letter topics through that cannot be decoded:
// some carry no event, and of the others it is found out when they run.
func (g *groupLetters) decode(decode func(*kafka.Record, *eventmodels.Message) error) func(*kafka.Record, *eventmodels.Message) error {
	return func(r *kafka.Record, into *eventmodels.Message) error {
		err := decode(r, into)
		if err != nil && g.topics[kafka.WireTopic(r.Topic)] {
			err = nil
		}
		return err
	}
}

// runForLetters is what the engine runs for a handler of the application that
// is registered for a dead-letter topic.
func (g *groupLetters) runForLetters(h *registeredHandler, run runFunc) runFunc {
	base := h.baseOf()
	latency, success := HandlerLatency.WithLabelValues(h.name, h.topic), HandlerSuccessCounts.WithLabelValues(h.name, h.topic)
	consumed := DeadLetterConsumeCounts.WithLabelValues(h.name, base)
	return g.reader.Letters(h.baseTopic, base, run, func(took time.Duration, err error) {
		latency.Observe(took.Seconds())
		if err == nil {
			consumed.Inc()
			success.Inc()
		}
	})
}

// instanceName names this process in letters.
func instanceName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "/" + strconv.Itoa(os.Getpid())
}

// letterRoom is by how much a letter may be larger than its event.
const letterRoom = 64 << 10

// ensureLetterTopics creates the dead-letter topics that handlers write to or
// consume.
func (l *LibraryNoDB) ensureLetterTopics(ctx context.Context, client *kafka.Client, handlers []*registeredHandler) error {
	bases := make(map[string]string) // by the dead-letter topic's name
	for _, h := range handlers {
		switch {
		case h.deadLetter:
			if _, ok := bases[h.topic]; !ok {
				bases[h.topic] = h.baseOf()
			}
		case h.writesLetters():
			bases[deadLetterName(h.topic, h.group)] = h.topic
		}
	}
	specs := make([]kafka.TopicSpec, 0, len(bases))
	for topic, base := range bases {
		if _, err := client.Limits(ctx, l.wireTopic(base)); err != nil && !errors.Is(err, kafka.ErrUnknownTopic) {
			return fmt.Errorf("create dead-letter topic %q: %w", topic, err)
		}
		specs = append(specs, l.letterSpec(client, topic, base))
	}
	return client.EnsureTopics(ctx, specs)
}

// letterSpec says how a dead-letter topic is created: as the application has
// announced it, else with the partitions of the base topic; for ever, and with
// room for its largest event. The limit of the base topic has been read.
func (l *LibraryNoDB) letterSpec(client *kafka.Client, topic, base string) kafka.TopicSpec {
	spec := l.topicSpec(topic)
	if spec.Partitions == 0 && len(spec.Assignments) == 0 {
		spec.Partitions = l.topicSpec(base).Partitions
	}
	limit, ok := client.CachedLimit(l.wireTopic(base))
	if !ok {
		limit = kafka.DefaultMaxMessageBytes
	}
	configs := map[string]string{
		"retention.ms":           "-1",
		"retention.bytes":        "-1",
		"cleanup.policy":         "delete",
		"message.timestamp.type": "LogAppendTime", // the time of what is done with letters
		"max.message.bytes":      strconv.Itoa(limit + letterRoom),
	}
	maps.Copy(configs, spec.Configs)
	spec.Configs = configs
	return spec
}
