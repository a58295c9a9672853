package eventtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
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
	value := fmt.Sprint(limit)
	answers, err := w.cluster().adm.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &value}}, w.prefix+topic)
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
	parked := svc.onlyParked()
	if !strings.Contains(parked.Error, "max.message.bytes") || strings.Contains(parked.Error, "xxxx") {
		t.Errorf("it is parked because of %q", parked.Error)
	}
	if parked.Topic != "orders" || string(parked.Key) != "k" || parked.PayloadSize < 400<<10 || parked.CreatedAt.After(parked.ParkedAt) || time.Since(parked.ParkedAt) > time.Hour {
		t.Errorf("what is parked is %+v", parked)
	}

	// Requeued while the reason is there, it is parked again.
	ctx := context.Background()
	if n, err := svc.lib.RequeueParked(ctx, parked.ID, uuid.New()); n != 1 || err != nil {
		t.Fatalf("%d requeued: %v", n, err)
	}
	eventually(t, "a second refusal", func() bool { return svc.count(`SELECT count(*) FROM events_outbox_parked`) == 1 })
	if again := svc.onlyParked(); again.ID != parked.ID || again.ParkedAt.Before(parked.ParkedAt) {
		t.Errorf("parked as %+v, then as %+v", parked, again)
	}
	if status, err := svc.lib.OutboxStatus(ctx); err != nil || status.Rows != 0 || status.Parked != 1 || !status.LeaseLive || status.LeaseOwner == "" || status.OldestAge != 0 {
		t.Errorf("the status is %+v, %v", status, err)
	}
	// When the reason is gone, by another process, it arrives with its id.
	w.setMaxMessageBytes("orders", 1<<20)
	operator := w.library(nil)
	if n, err := operator.lib.RequeueParked(ctx, parked.ID); n != 1 || err != nil {
		t.Fatalf("%d requeued: %v", n, err)
	}
	svc.drained()
	records := w.records("orders")
	last := records[len(records)-1]
	if id, _ := header(last, "ce_id"); len(records) != 41 || len(last.Value) < 400<<10 || id != parked.ID.String() {
		t.Errorf("%d events arrived, the last one is %s with %d bytes", len(records), id, len(last.Value))
	}
}

// onlyParked is the one parked event.
func (s *service[ID, TX, DB]) onlyParked() events.ParkedEvent {
	s.t.Helper()
	var parked []events.ParkedEvent
	for e, err := range s.lib.ParkedEvents(context.Background()) {
		if err != nil {
			s.t.Fatal(err)
		}
		parked = append(parked, e)
	}
	if len(parked) != 1 {
		s.t.Fatalf("%d events are parked, not one", len(parked))
	}
	return parked[0]
}

// Parked events are listed in pages, discarded and requeued in the order in
// which they were produced.
func (s *suite[ID, TX, DB]) outboxParkedPages(t *testing.T) {
	w := s.world(t)
	svc := w.library(func(lib *events.Library[ID, TX, DB]) { lib.SetLazyTxProduce(true) })
	const n = 450 // more than two pages
	svc.transact(func(tx TX) error {
		for i := range n {
			produceIn(tx, orders.Event("k", order{N: i + 1}))
		}
		return nil
	})
	svc.transact(func(tx TX) error {
		// All of them at one time, which the list has to tell apart.
		if err := w.exec(tx, `INSERT INTO events_outbox_parked (scope, seq, id, topic, "key", headers, payload, created_at, error, parked_at)
			SELECT scope, seq, id, topic, "key", headers, payload, created_at, 'a test', (SELECT max(created_at) FROM events_outbox) FROM events_outbox`); err != nil {
			return err
		}
		return w.exec(tx, `DELETE FROM events_outbox`)
	})
	ctx := context.Background()
	list := func() (ids []uuid.UUID) {
		t.Helper()
		for e, err := range svc.lib.ParkedEvents(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(ids, e.ID) {
				t.Fatalf("%s is listed twice", e.ID)
			}
			ids = append(ids, e.ID)
		}
		return ids
	}
	ids := list()
	if len(ids) != n {
		t.Fatalf("%d of %d are listed", len(ids), n)
	}
	for range svc.lib.ParkedEvents(ctx) {
		break
	}
	if gone, err := svc.lib.DiscardParked(ctx, ids[:50]...); gone != 50 || err != nil {
		t.Fatalf("%d discarded: %v", gone, err)
	}
	if gone, err := svc.lib.DiscardParked(ctx, ids[:51]...); gone != 1 || err != nil {
		t.Fatalf("of 51, one of which was left, %d discarded: %v", gone, err)
	}
	if none, err := svc.lib.RequeueParked(ctx); none != 0 || err != nil {
		t.Errorf("of nothing %d requeued: %v", none, err)
	}
	if moved, err := svc.lib.RequeueParked(ctx, ids...); moved != n-51 || err != nil {
		t.Fatalf("%d requeued: %v", moved, err)
	}
	if left := list(); len(left) != 0 {
		t.Errorf("%d are left", len(left))
	}
	svc.relay()
	svc.drained()
	inOrder(t, w.records("orders"), n-51)
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
			faults := []*eventembed.Fault{s.h.Broker.Fail(eventembed.Match{Requests: []kmsg.Key{test.request}, Topic: w.prefix + "ill"}, test.err)}
			if test.request == kmsg.Metadata {
				// Nobody looks the topic up again unless there is a reason.
				faults = append(faults, s.h.Broker.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, Topic: w.prefix + "ill"}, kerr.NotLeaderForPartition))
			}
			produce(20)
			inOrder(t, w.stored("orders", 3*n), 3*n)
			if got := svc.waiting(); got < 3*(n-sent) {
				t.Errorf("%d events are in the outbox, want those of the topic, %d", got, 3*(n-sent))
			}
			if got := svc.count(`SELECT count(*) FROM events_outbox_parked`); got != 0 {
				t.Errorf("%d events are parked", got)
			}
			for _, fault := range faults {
				fault.Remove()
			}
			produce(5)
			svc.drained()
			inOrder(t, w.records("ill"), 3*n)
			inOrder(t, w.records("orders"), 3*n)
		})
	}
}
