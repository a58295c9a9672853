package eventtest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
)

func (s *suite[ID, TX, DB]) produceTopics(t *testing.T) {
	t.Run("Several", s.createSeveral)
	if s.h.Broker != nil {
		t.Run("Passing", s.createPassing)
		t.Run("Refused", s.createRefused)
		t.Run("Slow", s.createSlow)
	}
}

func (w *world[ID, TX, DB]) exists(topic string) bool {
	w.t.Helper()
	found, err := w.cluster().adm.ListTopics(context.Background(), w.prefix+topic)
	if err != nil {
		w.t.Fatal(err)
	}
	return found.Has(w.prefix + topic)
}

// Several topics at once: the error is of those that cannot be created, and
// the others exist.
func (s *suite[ID, TX, DB]) createSeveral(t *testing.T) {
	w := s.world(t)
	impossible := announced("impossible")
	impossible.ReplicationFactor = 1000
	svc := w.library(func(lib *events.Library[ID, TX, DB]) { lib.SetTopicConfig(impossible) })
	err := svc.lib.CreateTopics(context.Background(), "test", []string{"a", "impossible", "b"})
	if !errors.Is(err, kerr.InvalidReplicationFactor) || !strings.Contains(err.Error(), "impossible") {
		t.Errorf("CreateTopics: %v", err)
	}
	if !w.exists("a") || !w.exists("b") || w.exists("impossible") {
		t.Error("not the right ones exist")
	}
	if err := svc.lib.CreateTopics(context.Background(), "test", []string{"a", "b", "c"}); err != nil {
		t.Errorf("again: %v", err)
	}
	err = svc.lib.Produce(context.Background(), eventmodels.ProduceImmediate, eventmodels.BindTopic[order]("impossible").Event("k", order{}))
	if !errors.Is(err, kerr.InvalidReplicationFactor) {
		t.Errorf("Produce: %v", err)
	}
}

// What passes by itself is no error.
func (s *suite[ID, TX, DB]) createPassing(t *testing.T) {
	for name, fault := range map[string]func(b *eventembed.Broker, m eventembed.Match) *eventembed.Fault{
		"transport": (*eventembed.Broker).Drop,
		"answer lost": func(b *eventembed.Broker, m eventembed.Match) *eventembed.Fault {
			return b.DropResponse(m)
		},
		"throttled": func(b *eventembed.Broker, m eventembed.Match) *eventembed.Fault {
			return b.Fail(m, kerr.ThrottlingQuotaExceeded)
		},
		"controller": func(b *eventembed.Broker, m eventembed.Match) *eventembed.Fault {
			return b.Fail(m, kerr.NotController)
		},
		"timeout": func(b *eventembed.Broker, m eventembed.Match) *eventembed.Fault {
			return b.Fail(m, kerr.RequestTimedOut)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := s.world(t)
			svc := w.library(nil)
			f := fault(s.h.Broker, eventembed.Match{Requests: []kmsg.Key{kmsg.CreateTopics}, Topic: w.prefix + "orders", Count: 2})
			defer f.Remove()
			if err := svc.lib.Produce(context.Background(), eventmodels.ProduceImmediate, orders.Event("k", order{N: 1})); err != nil {
				t.Fatal(err)
			}
			inOrder(t, w.records("orders"), 1)
			if f.Hits() == 0 {
				t.Error("nothing has failed")
			}
		})
	}
}

// A refusal is told with the topic's name and the broker's reason, and is not
// remembered.
func (s *suite[ID, TX, DB]) createRefused(t *testing.T) {
	w := s.world(t)
	svc := w.library(nil)
	f := s.h.Broker.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.CreateTopics}, Topic: w.prefix + "orders"}, kerr.PolicyViolation)
	for range 2 {
		err := svc.lib.Produce(context.Background(), eventmodels.ProduceImmediate, orders.Event("k", order{N: 1}))
		if !errors.Is(err, kerr.PolicyViolation) || !strings.Contains(err.Error(), "orders") {
			t.Errorf("Produce: %v", err)
		}
	}
	f.Remove()
	if err := svc.lib.Produce(context.Background(), eventmodels.ProduceImmediate, orders.Event("k", order{N: 1})); err != nil {
		t.Errorf("after it was allowed: %v", err)
	}
	inOrder(t, w.records("orders"), 1)
}

// A broker that does not answer is given up with ctx, by name, and the topic is
// not stuck.
func (s *suite[ID, TX, DB]) createSlow(t *testing.T) {
	w := s.world(t)
	svc := w.library(nil)
	f := s.h.Broker.Stall(eventembed.Match{Requests: []kmsg.Key{kmsg.CreateTopics}, Topic: w.prefix + "orders"})
	defer f.Remove()
	// A second is what the call gets; it is not measured.
	ctx, cancel := context.WithTimeout(context.Background(), shortly)
	defer cancel()
	err := svc.lib.CreateTopics(ctx, "test", []string{"orders"})
	if !errors.Is(err, events.ErrTopicCreationTimeout) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "orders") {
		t.Errorf("CreateTopics: %v", err)
	}
	f.Remove()
	if err := svc.lib.Produce(context.Background(), eventmodels.ProduceImmediate, orders.Event("k", order{N: 1})); err != nil {
		t.Errorf("after it answers: %v", err)
	}
	inOrder(t, w.records("orders"), 1)
}
