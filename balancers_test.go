package events_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
)

// A rolling change from a service whose group members are kafka-go's, which
// know range and round-robin: the Library joins their group, shares the
// partitions with them, and has them all when they are gone.
func TestJoinsAGroupOfOtherMembers(t *testing.T) {
	t.Parallel()
	t.Run("Embedded", func(t *testing.T) {
		t.Parallel()
		joinOthers(t, embedded(t).Addrs())
	})
	t.Run("Kafka", func(t *testing.T) {
		t.Parallel()
		joinOthers(t, kafkaBrokers(t))
	})
}

// handledBy counts the events that each member of a group has got, and tells
// of every one.
type handledBy struct {
	mu      sync.Mutex
	n       map[string]int
	changed chan struct{}
}

func (h *handledBy) add(who string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n[who]++
	close(h.changed)
	h.changed = make(chan struct{})
}

// wait waits until done says so of the counts.
func (h *handledBy) wait(t *testing.T, what string, done func(map[string]int) bool) {
	t.Helper()
	late := time.After(2 * time.Minute)
	for {
		h.mu.Lock()
		ok, changed, now := done(h.n), h.changed, fmt.Sprint(h.n)
		h.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%s: %s", what, now)
		}
	}
}

func joinOthers(t *testing.T, brokers []string) {
	prefix := "balancers-" + uuid.NewString()[:8] + "-"
	const topic, group = "orders", "g"
	writer, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(prefix+topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	admin := kadm.NewClient(writer)
	if _, err := admin.CreateTopic(t.Context(), 2, 1, nil, prefix+topic); err != nil {
		t.Fatal(err)
	}
	defer admin.DeleteTopics(context.WithoutCancel(t.Context()), prefix+topic)

	// Both partitions get events until the test ends.
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := int32(0); ; n++ {
			select {
			case <-tick.C:
				writer.Produce(ctx, &kgo.Record{Partition: n % 2, Value: []byte("{}")}, nil)
			case <-ctx.Done():
				return
			}
		}
	})
	got := &handledBy{n: map[string]int{}, changed: make(chan struct{})}
	old := kafka.NewReader(kafka.ReaderConfig{
		Brokers: brokers, GroupID: prefix + group, Topic: prefix + topic, StartOffset: kafka.FirstOffset, MaxWait: 100 * time.Millisecond,
		HeartbeatInterval: time.Second, // how soon it notices that somebody joins
	})
	oldCtx, stopOld := context.WithCancel(ctx)
	oldEnded := make(chan struct{})
	go func() {
		defer close(oldEnded)
		defer old.Close()
		for {
			m, err := old.ReadMessage(oldCtx)
			if err != nil {
				return
			}
			got.add(fmt.Sprint("old/", m.Partition))
		}
	}()
	defer func() { stopOld(); <-oldEnded }()
	got.wait(t, "the old member has both partitions", func(n map[string]int) bool { return n["old/0"] > 0 && n["old/1"] > 0 })

	lib := eventnodb.New()
	lib.SetPrefix(prefix)
	lib.SetGroupBalancers(events.BalanceCooperativeSticky, events.BalanceRange)
	lib.ConsumeIdempotent(events.NewConsumerGroup(group), eventmodels.OnFailureBlock, "h", eventmodels.BindTopic[struct{}](topic).Handler(
		func(_ context.Context, e eventmodels.Event[struct{}]) error {
			got.add(fmt.Sprint("new/", e.Partition))
			return nil
		}))
	lib.ConfigureNoDB(nil, false, nil, nil, brokers)
	defer func() {
		if err := lib.Shutdown(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	if _, _, err := lib.StartConsuming(ctx); err != nil {
		t.Fatal(err)
	}
	got.wait(t, "the new member has a partition beside the old one", func(n map[string]int) bool { return n["new/0"]+n["new/1"] > 0 })
	got.mu.Lock()
	before := got.n["old/0"] + got.n["old/1"]
	got.mu.Unlock()
	got.wait(t, "the old member goes on", func(n map[string]int) bool { return n["old/0"]+n["old/1"] > before })
	stopOld()
	<-oldEnded
	got.wait(t, "the new member has both partitions", func(n map[string]int) bool { return n["new/0"] > 0 && n["new/1"] > 0 })
}

func TestSetGroupBalancersRefuses(t *testing.T) {
	for what, balancers := range map[string][]events.GroupBalancer{
		"none":    {},
		"unknown": {events.BalanceRange, "uniform"},
		"twice":   {events.BalanceRange, events.BalanceRange},
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "SetGroupBalancers") {
					t.Errorf("%s: %v", what, r)
				}
			}()
			eventnodb.New().SetGroupBalancers(balancers...)
		}()
	}
}
