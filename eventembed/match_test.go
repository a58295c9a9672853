package eventembed_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/eventembed"
)

func TestObserveCountsAndChangesNothing(t *testing.T) {
	b := start(t, eventembed.Brokers(2), eventembed.Topics(1, "orders", "other"))
	if err := b.MoveLeader("orders", 0, 1); err != nil {
		t.Fatal(err)
	}
	all := b.Observe(onlyProduce("orders"))
	m := onlyProduce("orders")
	m.Nodes = []int32{0}
	wrongNode := b.Observe(m)
	m = onlyProduce("orders")
	m.ClientID = "somebody else"
	wrongClient := b.Observe(m)
	m = onlyProduce("orders")
	m.Partitions = []int32{1, 2}
	wrongPartition := b.Observe(m)
	m = onlyProduce("orders")
	m.When = func(r kmsg.Request) bool { return r.(*kmsg.ProduceRequest).Acks == -1 }
	when := b.Observe(m)
	m = onlyProduce("orders")
	m.Count = 1
	once := b.Observe(m)
	produce(t, client(t, b), "orders", "a", "b", "c")
	expect(t, "all", all.Hits(), 3)
	expect(t, "wrong node", wrongNode.Hits(), 0)
	expect(t, "wrong client", wrongClient.Hits(), 0)
	expect(t, "wrong partition", wrongPartition.Hits(), 0)
	expect(t, "when", when.Hits(), 3)
	expect(t, "once", once.Hits(), 1)
}

// After the first fetch a client names only what has changed.
func TestATopicIsRecognisedInIncrementalFetches(t *testing.T) {
	b := start(t, eventembed.Topics(1, "orders", "other"))
	cl := client(t, b, kgo.ConsumeTopics("orders", "other"))
	prod := client(t, b)
	produce(t, prod, "orders", "a")
	produce(t, prod, "other", "b")
	consume(t, cl, 2)
	orders, _ := b.TopicID("orders")
	incremental := b.Observe(eventembed.Match{
		Requests:   []kmsg.Key{kmsg.Fetch},
		Topic:      "orders",
		Partitions: []int32{0},
		When: func(r kmsg.Request) bool {
			fetch := r.(*kmsg.FetchRequest)
			return fetch.SessionEpoch > 0 && !slices.ContainsFunc(fetch.Topics, func(t kmsg.FetchRequestTopic) bool {
				return t.TopicID == orders
			})
		},
	})
	reach := make(chan error, 1)
	go func() { reach <- incremental.Wait(within(t), 1) }()
	for i := 0; ; i++ {
		produce(t, prod, "other", "c")
		consume(t, cl, 1)
		select {
		case err := <-reach:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
			if i > 100 {
				t.Fatal("no incremental fetch was seen to be about the topic")
			}
		}
	}
}

func TestWaitEndsWithItsContextAndWithTheBroker(t *testing.T) {
	b := start(t, eventembed.Topics(1, "orders"))
	for name, fault := range map[string]*eventembed.Fault{
		"of a connection": b.Observe(onlyProduce("orders")),
		"of the cluster":  b.Fail(onlyProduce("nothing"), nil),
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := fault.Wait(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("a fault %s: got %v", name, err)
		}
		done := make(chan error)
		go func() { done <- fault.Wait(t.Context(), 1) }()
		defer func() {
			if err := receive(t, done); !errors.Is(err, eventembed.ErrClosed) {
				t.Errorf("a fault %s: got %v", name, err)
			}
		}()
	}
	b.Close()
}
