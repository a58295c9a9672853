package eventtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/cloudevents"
)

// Topic is a topic that is bound to a type: an [eventmodels.BoundTopic], or one
// of a backend's BindTopic.
type Topic[E any] interface {
	Topic() string
	Handler(func(context.Context, eventmodels.Event[E]) error) eventmodels.HandlerInterface
}

// Selection is the events of a topic, or those that its filters choose.
type Selection[E any] struct {
	s       *Service
	topic   Topic[E]
	filters []filter[E]
}

type filter[E any] struct {
	what string
	keep func(eventmodels.Event[E]) bool
}

// Produced is all events of a topic: what the service, or the test, has
// produced, whether or not a handler has seen it.
//
//	eventtest.Produced(s, placed).WithKey("order-1").Expect(1)
func Produced[E any](s *Service, topic Topic[E]) Selection[E] {
	return Selection[E]{s: s, topic: topic}
}

// WithKey chooses the events with a key.
func (p Selection[E]) WithKey(key string) Selection[E] {
	return p.Where(fmt.Sprintf("with key %q", key), func(e eventmodels.Event[E]) bool { return e.Key == key })
}

// Where chooses the events that keep returns true for. what describes them in
// failures: "with a discount".
func (p Selection[E]) Where(what string, keep func(eventmodels.Event[E]) bool) Selection[E] {
	p.filters = append(slices.Clone(p.filters), filter[E]{what, keep})
	return p
}

// Expect waits until the service is quiet ([Service.WaitQuiet]) and returns the
// chosen events, of each partition in their order. The test ends unless these
// are n; the failure shows them, and what else the topic has.
func (p Selection[E]) Expect(n int) []eventmodels.Event[E] {
	p.s.t.Helper()
	p.s.WaitQuiet()
	chosen, others := p.read()
	if len(chosen) != n {
		p.s.t.Fatal(p.difference(n, chosen, others))
	}
	return chosen
}

// Await waits until at least n of the chosen events are there and returns
// these, whether or not the service is quiet. The test ends if that takes more
// than 30 seconds (in virtual time ten minutes).
func (p Selection[E]) Await(n int) []eventmodels.Event[E] {
	p.s.t.Helper()
	deadline := time.Now().Add(p.s.patience())
	for pause := time.Millisecond; ; pause = min(2*pause, p.s.patience()/1000) {
		chosen, others := p.read()
		if len(chosen) >= n {
			return chosen
		}
		if time.Now().After(deadline) {
			p.s.t.Fatalf("after %v: %s", p.s.patience(), p.difference(n, chosen, others))
		}
		<-time.After(pause)
	}
}

// read reads the topic.
func (p Selection[E]) read() (chosen []eventmodels.Event[E], others []string) {
	p.s.t.Helper()
	records, err := p.s.Broker.Records(p.s.inside.Prefix() + p.topic.Topic())
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) { // nothing was produced
		p.s.t.Fatalf("topic %s: %v", p.topic.Topic(), err)
	}
	for _, r := range records {
		m, err := cloudevents.Decode(r)
		m.Topic = p.topic.Topic()
		var event eventmodels.Event[E]
		if err == nil {
			err = p.topic.Handler(func(_ context.Context, e eventmodels.Event[E]) error {
				event = e
				return nil
			}).Handle(p.s.t.Context(), &m)
		}
		switch {
		case err != nil:
			others = append(others, fmt.Sprintf("%s at %d/%d: %v", m.Key, r.Partition, r.Offset, err))
		case slices.ContainsFunc(p.filters, func(f filter[E]) bool { return !f.keep(event) }):
			others = append(others, describe(event))
		default:
			chosen = append(chosen, event)
		}
	}
	return chosen, others
}

// shown is how many events of a kind a failure shows.
const shown = 20

func (p Selection[E]) difference(n int, chosen []eventmodels.Event[E], others []string) string {
	var b strings.Builder
	what := ""
	for _, f := range p.filters {
		what += " " + f.what
	}
	fmt.Fprintf(&b, "topic %s has %d events%s, not %d", p.topic.Topic(), len(chosen), what, n)
	list := func(title string, events []string) {
		if len(events) == 0 {
			return
		}
		b.WriteString("\n" + title)
		for i, e := range events {
			if i == shown {
				fmt.Fprintf(&b, "\n\t... and %d more", len(events)-shown)
				break
			}
			b.WriteString("\n\t" + e)
		}
	}
	var descriptions []string
	for _, e := range chosen {
		descriptions = append(descriptions, describe(e))
	}
	list("these:", descriptions)
	list("beside these:", others)
	return b.String()
}

// describe shows an event in a line.
func describe[E any](e eventmodels.Event[E]) string {
	const longest = 200
	data := string(e.Data)
	if len(data) > longest {
		data = data[:longest] + "..."
	}
	return fmt.Sprintf("%q at %d/%d: %s", e.Key, e.Partition, e.Offset, data)
}
