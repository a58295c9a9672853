package eventtest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
)

// setMaxMessageBytes changes a topic's limit behind the library's back.
func (w *world[ID, TX, DB]) setMaxMessageBytes(topic string, limit int) {
	w.t.Helper()
	admin := kadm.NewClient(w.client())
	value := fmt.Sprint(limit)
	answers, err := admin.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &value}}, w.prefix+topic)
	if err == nil && len(answers) > 0 {
		err = answers[0].Err
	}
	if err != nil {
		w.t.Fatalf("set max.message.bytes: %v", err)
	}
}

// An event that has become too large since it was accepted is parked with its
// error, and the others pass it.
func (s *suite[ID, TX, DB]) outboxParked(t *testing.T) {
	w := s.world(t)
	svc := w.library(func(lib *events.Library[ID, TX, DB]) { lib.SetLazyTxProduce(true) })
	if err := svc.lib.CreateTopics(context.Background(), "test", []string{"orders"}); err != nil {
		t.Fatal(err)
	}
	svc.transact(func(tx TX) error {
		for n := range 20 {
			produceIn(tx, orders.Event("k", order{N: n + 1}))
		}
		produceIn(tx, orders.Event("k", order{N: -1, ID: strings.Repeat("x", 400<<10)}))
		for n := range 20 {
			produceIn(tx, orders.Event("k", order{N: n + 21}))
		}
		return nil
	})
	w.setMaxMessageBytes("orders", 100<<10)
	svc.relay()
	svc.drained()
	inOrder(t, w.records("orders"), 40)
	var reason string
	svc.transact(func(tx TX) error {
		return tx.QueryRowContext(context.Background(), `SELECT error FROM events_outbox_parked`).Scan(&reason)
	})
	if !strings.Contains(reason, "max.message.bytes") || strings.Contains(reason, "xxxx") {
		t.Errorf("it is parked because of %q", reason)
	}
}

// A topic that may not be written, cannot be created or has no leader holds
// only its own events back, and they go out when it is well.
func (s *suite[ID, TX, DB]) outboxHeldTopics(t *testing.T) {
	if s.h.Broker == nil {
		t.Skip("needs a broker that can be made to fail")
	}
	ill := eventmodels.BindTopic[order]("ill")
	for name, test := range map[string]struct {
		request kmsg.Key
		err     *kerr.Error
		exists  bool
	}{
		"forbidden":      {kmsg.Produce, kerr.TopicAuthorizationFailed, true},
		"hidden":         {kmsg.Metadata, kerr.TopicAuthorizationFailed, true},
		"not creatable":  {kmsg.CreateTopics, kerr.PolicyViolation, false},
		"no leader":      {kmsg.Metadata, kerr.LeaderNotAvailable, true},
		"wrong leader":   {kmsg.Produce, kerr.NotLeaderForPartition, true},
		"too few copies": {kmsg.Produce, kerr.NotEnoughReplicas, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := s.world(t)
			if test.exists {
				if err := s.h.Broker.CreateTopic(w.prefix+"ill", 3, nil); err != nil {
					t.Fatal(err)
				}
			}
			svc := w.library(nil)
			svc.relay()
			n := 0
			produce := func(events int) {
				for range events {
					n++
					svc.transact(func(tx TX) error {
						for k := range 3 {
							produceIn(tx, ill.Event(fmt.Sprint("k", k), order{N: n}), orders.Event(fmt.Sprint("k", k), order{N: n}))
						}
						return nil
					})
				}
			}
			if test.exists {
				produce(5)
				svc.drained()
			}
			sent := n
			fault := s.h.Broker.Fail(eventembed.Match{Requests: []kmsg.Key{test.request}, Topic: w.prefix + "ill"}, test.err)
			if test.request == kmsg.Metadata {
				// Nobody looks the topic up again unless there is a reason.
				produces := s.h.Broker.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, Topic: w.prefix + "ill"}, kerr.NotLeaderForPartition)
				defer produces.Remove()
				produce(20)
				inOrder(t, w.stored("orders", 3*n), 3*n)
				produces.Remove()
			} else {
				produce(20)
				inOrder(t, w.stored("orders", 3*n), 3*n)
			}
			if got := svc.waiting(); got < 3*(n-sent) {
				t.Errorf("%d events are in the outbox, want those of the topic, %d", got, 3*(n-sent))
			}
			if got := svc.count(`SELECT count(*) FROM events_outbox_parked`); got != 0 {
				t.Errorf("%d events are parked", got)
			}
			fault.Remove()
			produce(5)
			svc.drained()
			inOrder(t, w.records("ill"), 3*n)
			inOrder(t, w.records("orders"), 3*n)
		})
	}
}
