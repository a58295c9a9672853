package eventembed_test

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/eventembed"
)

// onlyProduce chooses the produce requests for a topic.
func onlyProduce(topic string) eventembed.Match {
	return eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}, Topic: topic}
}

// send produces in the background; the channel gets the result.
func send(ctx context.Context, cl *kgo.Client, topic, value string) <-chan error {
	done := make(chan error, 1)
	cl.Produce(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}, func(_ *kgo.Record, err error) { done <- err })
	return done
}

// receive waits for the result of send.
func receive(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-within(t).Done():
		t.Fatal("nothing came back")
		return nil
	}
}

// reach waits until a fault has acted n times.
func reach(t *testing.T, f *eventembed.Fault, n int) {
	t.Helper()
	if err := f.Wait(within(t), n); err != nil {
		t.Fatalf("after %d hits: %v", f.Hits(), err)
	}
}

// stored is the values that a topic of one partition holds.
func stored(t *testing.T, b *eventembed.Broker, topic string) []string {
	t.Helper()
	records, err := b.Records(topic)
	if err != nil {
		t.Fatal(err)
	}
	values := []string{}
	for _, r := range records {
		values = append(values, string(r.Value))
	}
	return values
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func expectStored(t *testing.T, b *eventembed.Broker, topic string, want ...string) {
	t.Helper()
	got := stored(t, b, topic)
	if len(got) != len(want) {
		t.Fatalf("%s holds %q, want %q", topic, got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s holds %q, want %q", topic, got, want)
		}
	}
}

// untilStored waits until a topic holds n records.
func untilStored(t *testing.T, b *eventembed.Broker, topic string, n int) {
	t.Helper()
	for ctx := within(t); len(stored(t, b, topic)) < n; {
		if ctx.Err() != nil {
			t.Fatalf("%s holds %q", topic, stored(t, b, topic))
		}
	}
}

func TestFailAnswersAnErrorAndNothingIsDone(t *testing.T) {
	b := start(t, eventembed.Topics(1, "orders", "other"))
	cl := client(t, b)
	m := onlyProduce("orders")
	m.Count = 2
	fault := b.Fail(m, kerr.TopicAuthorizationFailed)
	for range 2 {
		err := receive(t, send(t.Context(), cl, "orders", "refused"))
		if !errors.Is(err, kerr.TopicAuthorizationFailed) {
			t.Fatalf("got %v", err)
		}
	}
	produce(t, cl, "other", "a")
	produce(t, cl, "orders", "b")
	expect(t, "hits", fault.Hits(), 2)
	expectStored(t, b, "orders", "b")
	expectStored(t, b, "other", "a")
}

// A plain producer that gets the error tries again, and the record is there twice.
func TestFailWithATimeoutAfterTheWorkIsDone(t *testing.T) {
	b := start(t, eventembed.Topics(1, "orders"))
	m := onlyProduce("orders")
	m.Count = 1
	fault := b.Fail(m, kerr.RequestTimedOut)
	produce(t, client(t, b, kgo.DisableIdempotentWrite()), "orders", "a")
	expect(t, "hits", fault.Hits(), 1)
	expectStored(t, b, "orders", "a", "a")
}

func TestFailForOneClientOnly(t *testing.T) {
	b := start(t, eventembed.Topics(1, "orders"))
	one, two := client(t, b, kgo.ClientID("one")), client(t, b, kgo.ClientID("two"))
	m := onlyProduce("orders")
	m.ClientID = "one"
	fault := b.Fail(m, kerr.InvalidRecord)
	produce(t, two, "orders", "a")
	if err := receive(t, send(t.Context(), one, "orders", "b")); !errors.Is(err, kerr.InvalidRecord) {
		t.Fatalf("got %v", err)
	}
	fault.Remove()
	fault.Remove()
	produce(t, one, "orders", "c")
	expectStored(t, b, "orders", "a", "c")
}

func TestFailForOnePartitionOrGroupOrChosenRequest(t *testing.T) {
	b := start(t, eventembed.Topics(2, "orders"))
	cl := client(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	m := onlyProduce("orders")
	m.Partitions = []int32{1}
	b.Fail(m, kerr.InvalidRecord)
	err := cl.ProduceSync(within(t), &kgo.Record{Topic: "orders", Partition: 0, Value: []byte("a")}).FirstErr()
	if err != nil {
		t.Fatal(err)
	}
	err = cl.ProduceSync(within(t), &kgo.Record{Topic: "orders", Partition: 1, Value: []byte("b")}).FirstErr()
	if !errors.Is(err, kerr.InvalidRecord) {
		t.Fatalf("got %v", err)
	}

	commit := func(group string) error {
		req := kmsg.NewPtrOffsetCommitRequest()
		rt, rp := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Offset = 1
		rt.Topic, rt.Partitions = "orders", append(rt.Partitions, rp)
		if id, ok := b.TopicID("orders"); ok {
			rt.TopicID = id
		}
		req.Group, req.Generation, req.Topics = group, -1, append(req.Topics, rt)
		resp, err := req.RequestWith(within(t), cl)
		if err != nil {
			t.Fatal(err)
		}
		return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	b.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.OffsetCommit}, Group: "billing"}, kerr.GroupAuthorizationFailed)
	if err := commit("billing"); !errors.Is(err, kerr.GroupAuthorizationFailed) {
		t.Fatalf("got %v", err)
	}
	if err := commit("shipping"); err != nil {
		t.Fatal(err)
	}
	expect(t, "billing", b.Committed("billing", "orders", 0), -1)
	expect(t, "shipping", b.Committed("shipping", "orders", 0), 1)

	b.Fail(eventembed.Match{When: func(r kmsg.Request) bool {
		commit, ok := r.(*kmsg.OffsetCommitRequest)
		return ok && commit.Group == "mail"
	}}, nil)
	if err := commit("mail"); !errors.Is(err, kerr.UnknownServerError) {
		t.Fatalf("got %v", err)
	}
}

func TestStallHoldsARequestBeforeTheBrokerSeesIt(t *testing.T) {
	b := start(t, eventembed.Topics(1, "orders"))
	cl := client(t, b)
	stall := b.Stall(onlyProduce("orders"))
	done := send(t.Context(), cl, "orders", "a")
	reach(t, stall, 1)
	expectStored(t, b, "orders")
	stall.Remove()
	if err := receive(t, done); err != nil {
		t.Fatal(err)
	}
	expectStored(t, b, "orders", "a")
	produce(t, cl, "orders", "b")
	expect(t, "hits", stall.Hits(), 1)
}

func TestAStalledRequestArrivesAfterItsClientHasGoneAway(t *testing.T) {
	b := start(t, eventembed.Topics(1, "orders"))
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	stall := b.Stall(onlyProduce("orders"))
	done := send(t.Context(), cl, "orders", "a")
	reach(t, stall, 1)
	cl.Close()
	if err := receive(t, done); err == nil {
		t.Fatal("a closed client has an answer")
	}
	arrived := b.Observe(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}})
	stall.Remove()
	untilStored(t, b, "orders", 1)
	expectStored(t, b, "orders", "a")
	expect(t, "requests that arrived after the stall began", arrived.Hits(), 0)
}

func TestStallResponseHoldsTheAnswerToARequestThatWasDone(t *testing.T) {
	b := start(t, eventembed.Topics(1, "orders"))
	cl := client(t, b)
	stall := b.StallResponse(onlyProduce("orders"))
	done := send(t.Context(), cl, "orders", "a")
	reach(t, stall, 1)
	expectStored(t, b, "orders", "a")
	select {
	case err := <-done:
		t.Fatalf("the client has an answer: %v", err)
	default:
	}
	stall.Remove()
	if err := receive(t, done); err != nil {
		t.Fatal(err)
	}
}

func TestDropEndsTheConnectionBeforeTheRequestIsDone(t *testing.T) {
	b := start(t, eventembed.Topics(1, "orders"))
	cl := client(t, b, kgo.DisableIdempotentWrite())
	m := onlyProduce("orders")
	m.Count = 2
	drop := b.Drop(m)
	produce(t, cl, "orders", "a")
	expect(t, "hits", drop.Hits(), 2)
	expectStored(t, b, "orders", "a")
}

// The client sees the same as in the test above, and the broker has the record:
// without idempotence the retry stores it once more.
func TestDropResponseEndsTheConnectionAfterTheRequestIsDone(t *testing.T) {
	for _, c := range []struct {
		name   string
		option kgo.Opt
		want   []string
	}{
		{"plain producer", kgo.DisableIdempotentWrite(), []string{"a", "a"}},
		{"idempotent producer", kgo.RequiredAcks(kgo.AllISRAcks()), []string{"a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, eventembed.Topics(1, "orders"))
			m := onlyProduce("orders")
			m.Count = 1
			drop := b.DropResponse(m)
			produce(t, client(t, b, c.option), "orders", "a")
			expect(t, "hits", drop.Hits(), 1)
			expectStored(t, b, "orders", c.want...)
		})
	}
}

func TestDropResponsePassesOverRequestsWithoutAnswer(t *testing.T) {
	b := start(t, eventembed.Topics(1, "orders"))
	drop := b.DropResponse(onlyProduce("orders"))
	arrived := b.Observe(onlyProduce("orders"))
	cl := client(t, b, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	produce(t, cl, "orders", "a")
	reach(t, arrived, 1)
	untilStored(t, b, "orders", 1)
	expect(t, "hits", drop.Hits(), 0)
}

func TestCloseReleasesWhatIsHeld(t *testing.T) {
	b := start(t, eventembed.Topics(1, "orders", "other"))
	plain := kgo.DisableIdempotentWrite() // an idempotent one keeps what it has sent until it knows
	stall, stallResponse := b.Stall(onlyProduce("orders")), b.StallResponse(onlyProduce("other"))
	ctx, cancel := context.WithCancel(t.Context())
	one, two := send(ctx, client(t, b, plain), "orders", "a"), send(ctx, client(t, b, plain), "other", "b")
	reach(t, stall, 1)
	reach(t, stallResponse, 1)
	b.Close()
	cancel()
	if err := receive(t, one); err == nil {
		t.Error("a request that was held has succeeded")
	}
	if err := receive(t, two); err == nil {
		t.Error("a request whose answer was held has succeeded")
	}
	stall.Remove()
	stallResponse.Remove()
}
