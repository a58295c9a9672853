package eventtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed46dd6f11/events/internal/delivery"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// WaitQuiet waits until nothing is left to do: the outbox is empty, every event
// of the handlers' topics is done, no handler runs, and no event or dead letter
// waits to be tried again. Saved letters and parked events wait for somebody,
// and do not count.
//
// The test ends if that takes more than 30 seconds (in virtual time ten
// minutes); the failure says what is left. It is meant for a test that produces
// nothing meanwhile.
func (s *Service) WaitQuiet() {
	s.t.Helper()
	deadline := time.Now().Add(s.patience())
	for pause := time.Millisecond; ; pause = min(2*pause, s.patience()/1000) {
		left := s.left()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the service is not quiet after %v:\n\t%s", s.patience(), strings.Join(left, "\n\t"))
		}
		<-time.After(pause)
	}
}

// left says what there is still to do; nothing means that the service was
// quiet at a moment during the call. It is proof, because of the order:
//
//	ends    where the topics end
//	done    how far the handlers are: everywhere at the end, so none ran
//	outbox  empty: what handlers have committed before is in the topics
//	ends    the same as before: and was so at the time of done
func (s *Service) left() (left []string) {
	ctx, cancel := context.WithTimeout(context.Background(), s.patience())
	defer cancel()
	engines := s.inside.Engines()
	before := s.ends(engines)
	for _, e := range engines {
		left = append(left, s.undone(e, before)...)
	}
	if s.outbox != nil {
		status, err := s.outbox(ctx)
		if err != nil {
			left = append(left, fmt.Sprintf("the outbox cannot be read: %v", err))
		} else if status.Rows > 0 {
			left = append(left, fmt.Sprintf("outbox: %d events are not in Kafka yet", status.Rows))
		}
	}
	if len(left) == 0 && !maps.Equal(before, s.ends(engines)) {
		left = append(left, "events were produced at this moment")
	}
	return left
}

// ends is where the partitions of the handlers' topics end.
func (s *Service) ends(engines []*delivery.Engine) map[kafka.TopicPartition]extent {
	ends := make(map[kafka.TopicPartition]extent)
	for _, e := range engines {
		for _, topic := range topicsOf(e) {
			partitions, _ := s.Broker.Partitions(string(topic)) // an error: deleted
			for _, p := range partitions {
				ends[kafka.TopicPartition{Topic: topic, Partition: p.ID}] = extent{p.Start, p.End}
			}
		}
	}
	return ends
}

// extent is which offsets a partition has: start to end-1.
type extent struct{ start, end int64 }

func topicsOf(e *delivery.Engine) (topics []kafka.WireTopic) {
	for _, h := range e.Handlers() {
		if !slices.Contains(topics, h.WireTopic) {
			topics = append(topics, h.WireTopic)
		}
	}
	return topics
}

// undone says what a group, or the broadcasts, have not done.
func (s *Service) undone(e *delivery.Engine, ends map[kafka.TopicPartition]extent) (left []string) {
	who := "group " + e.Group()
	if e.Group() == "" {
		who = "broadcasts"
	}
	positions := make(map[kafka.TopicPartition]delivery.Position)
	for _, p := range e.Positions() {
		positions[p.TopicPartition] = p
	}
	topics := topicsOf(e)
	for tp, extent := range ends {
		if !slices.Contains(topics, tp.Topic) {
			continue
		}
		at, owned := positions[tp]
		switch {
		case !owned && e.Group() != "":
			left = append(left, fmt.Sprintf("%s: partition %v is not assigned", who, tp))
			continue
		case !at.Known:
			// Nothing was fetched. A group goes on where it has committed.
			// Broadcasts have begun at the end of a topic that was empty: the
			// broker is as old as the Library.
			at.Done = extent.start
			if e.Group() != "" {
				at.Done = max(at.Done, s.Broker.Committed(s.inside.Prefix()+e.Group(), string(tp.Topic), tp.Partition))
			}
		}
		if at.Done < extent.end {
			left = append(left, fmt.Sprintf("%s: %v is done up to offset %d of %d", who, tp, at.Done, extent.end))
		}
	}
	slices.Sort(left)
	if len(left) == 0 {
		return nil
	}
	for _, h := range e.Stats() {
		if h.Queued+h.Running+h.Retrying > 0 {
			left = append(left, fmt.Sprintf("%s: handler %s: %d running, %d queued, %d wait to be tried again", who, h.Handler.Name, h.Running, h.Queued, h.Retrying))
		}
	}
	for _, b := range e.Blocked() {
		left = append(left, fmt.Sprintf("%s: %s/%d is blocked since %v (%v) by handler %s at offset %d: %v", who, b.Topic, b.Partition,
			time.Since(b.Since).Round(time.Millisecond), b.Reason, b.Handler, b.Offset, b.Err))
	}
	return left
}
