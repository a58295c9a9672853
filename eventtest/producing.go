package eventtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
)

var orders = eventmodels.BindTopic[order]("orders")

func (s *suite[ID, TX, DB]) producing(t *testing.T) {
	// Alone, since they count what all of the process has.
	t.Run("Goroutines", s.produceGoroutines)
	t.Run("GoroutinesWithoutLimits", s.produceGoroutinesWithoutLimits)
	for name, test := range map[string]func(*testing.T){
		"Immediate":  s.produceImmediate,
		"OneByOne":   s.produceOneByOne,
		"Partition":  s.producePartition,
		"Bytes":      s.produceBytes,
		"TooBig":     s.produceTooBig,
		"Values":     s.produceValues,
		"Topics":     s.produceTopics,
		"NoDatabase": s.produceNoDatabase,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// An event that is produced immediately arrives as it was.
func (s *suite[ID, TX, DB]) produceImmediate(t *testing.T) {
	w := s.world(t)
	got := newSeen[order]()
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeIdempotent(events.NewConsumerGroup("g"), eventmodels.OnFailureDiscard, "h", orders.Handler(got.handle))
	})
	if err := c.lib.Produce(context.Background(), eventmodels.ProduceImmediate, orders.Event("k", order{ID: "1", N: 7})); err != nil {
		t.Fatal(err)
	}
	e := got.wait(t, 1)[0]
	if e.Payload != (order{ID: "1", N: 7}) || e.Key != "k" || e.Topic != "orders" || e.HandlerName != "h" || e.ConsumerGroup != "g" || e.ID == "" || e.Attempt != 1 {
		t.Errorf("got %+v", e)
	}
}

// Calls one after the other are all sent at once and in order. (That none of
// them waits is asserted in virtual time; here they would run into the
// suite's patience.)
func (s *suite[ID, TX, DB]) produceOneByOne(t *testing.T) {
	const calls = 2000
	w := s.world(t)
	svc := w.library(nil)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for n := range calls {
		if err := svc.lib.Produce(ctx, eventmodels.ProduceImmediate, orders.Event("k", order{N: n + 1})); err != nil {
			t.Fatalf("call %d: %v", n+1, err)
		}
	}
	inOrder(t, w.records("orders"), calls)
}

// Produce leaves no goroutine behind, whether its ctx ends or not.
func (s *suite[ID, TX, DB]) produceGoroutines(t *testing.T) { s.countGoroutines(t) }

// The same with brokers that do not tell how large records may be.
func (s *suite[ID, TX, DB]) produceGoroutinesWithoutLimits(t *testing.T) {
	if s.h.Broker == nil {
		t.Skip("needs a broker that can be made to fail")
	}
	fault := s.h.Broker.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.DescribeConfigs}}, kerr.ClusterAuthorizationFailed)
	defer fault.Remove()
	s.countGoroutines(t)
	if fault.Hits() == 0 || fault.Hits() > 100 {
		t.Errorf("the limits were asked for %d times", fault.Hits())
	}
}

func (s *suite[ID, TX, DB]) countGoroutines(t *testing.T) {
	const workers, each = 20, 500
	w := s.world(t)
	svc := w.library(nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	produce := func(times int) {
		var work sync.WaitGroup
		for k := range workers {
			work.Go(func() {
				for range times {
					if err := svc.lib.Produce(ctx, eventmodels.ProduceImmediate, orders.Event(fmt.Sprint("k", k), order{})); err != nil {
						t.Errorf("Produce: %v", err)
						return
					}
				}
			})
		}
		work.Wait()
	}
	produce(1) // connects
	before := runtime.NumGoroutine()
	produce(each)
	eventually(t, fmt.Sprintf("no more than the %d goroutines of before", before), func() bool { return runtime.NumGoroutine() <= before })
}

// A key goes to the partition that Java's default partitioner picks, on both
// paths; the numbers are Java's, for 7 partitions.
func (s *suite[ID, TX, DB]) producePartition(t *testing.T) {
	const partitions = 7
	w := s.world(t)
	config := announced("orders")
	config.NumPartitions = partitions
	svc := w.library(func(lib *events.Library[ID, TX, DB]) { lib.SetTopicConfig(config) })
	// (murmur2(key) & 0x7fffffff) % 7, with Utils.murmur2 of Kafka's Java
	// client; the hashes of its own tests.
	vectors := map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107}
	evs := make([]eventmodels.ProducingEvent, 0, len(vectors)+200)
	for key := range vectors {
		evs = append(evs, orders.Event(key, order{N: 1}))
	}
	for n := range 200 {
		evs = append(evs, orders.Event(fmt.Sprint("order-", n), order{N: 1}))
	}
	if err := svc.lib.Produce(context.Background(), eventmodels.ProduceImmediate, evs...); err != nil {
		t.Fatal(err)
	}
	times := 1
	if s.h.NewDatabase != nil {
		times = 2
		svc.transact(func(tx TX) error { produceIn(tx, evs...); return nil })
		svc.drained()
	}
	java := kgo.StickyKeyPartitioner(nil).ForTopic("orders")
	records := w.records("orders")
	if len(records) != times*len(evs) {
		t.Errorf("%d records, want %d", len(records), times*len(evs))
	}
	for _, r := range records {
		want := int32(java.Partition(r, partitions))
		if hash, ok := vectors[string(r.Key)]; ok {
			want = (hash & 0x7fffffff) % partitions
		}
		if r.Partition != want {
			t.Errorf("key %q is in partition %d, Java picks %d", r.Key, r.Partition, want)
		}
	}
}

// Any bytes are sent unchanged.
func (s *suite[ID, TX, DB]) produceBytes(t *testing.T) {
	w := s.world(t)
	svc := w.library(nil)
	strange := strangeEvents()
	for _, e := range strange {
		if err := svc.lib.Produce(context.Background(), eventmodels.ProduceImmediate, e); err != nil {
			t.Fatal(err)
		}
	}
	checkStrange(t, strange, w.records("raw"))
}

// Of several events each that fails is named, and the others are sent.
func (s *suite[ID, TX, DB]) produceTooBig(t *testing.T) {
	w := s.world(t)
	svc := w.library(nil)
	big := order{ID: strings.Repeat("x", 2<<20)}
	err := svc.lib.Produce(context.Background(), eventmodels.ProduceImmediate,
		orders.Event("k", order{N: 1}), orders.Event("big", big), orders.Event("k", order{N: 2}))
	var failed *events.ProduceError
	var tooBig *events.TooBigError
	if !errors.Is(err, events.ErrTooBig) || !errors.As(err, &failed) || !errors.As(err, &tooBig) {
		t.Fatalf("Produce: %v", err)
	}
	if failed.Topic != "orders" || failed.Key != "big" || tooBig.Topic != "orders" || tooBig.Size < 2<<20 || tooBig.Limit < 1<<20 {
		t.Errorf("Produce: %+v, %+v", failed, tooBig)
	}
	if strings.Contains(err.Error(), "xxxx") {
		t.Error("the error quotes the event")
	}
	inOrder(t, w.records("orders"), 2)
}

// Events made of one base are two events.
func (s *suite[ID, TX, DB]) produceValues(t *testing.T) {
	w := s.world(t)
	svc := w.library(nil)
	base := orders.Event("k", order{N: 1}).WithHeader("h", "base")
	a := base.ID("one").Subject("a").WithHeader("h", "a")
	b := base.ID("two").WithHeader("h2", "b")
	b.Header()["h"][0] = "changed"
	if err := svc.lib.Produce(context.Background(), eventmodels.ProduceImmediate, base, a, b); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range w.records("orders") {
		id, _ := header(r, "ce_id")
		subject, _ := header(r, "ce_subject")
		h, _ := header(r, "h")
		h2, _ := header(r, "h2")
		got = append(got, strings.Join([]string{id, subject, h, h2}, ","))
	}
	if len(got) != 3 || !strings.HasSuffix(got[0], ",,base,") || got[1] != "one,a,a," || got[2] != "two,,base,b" {
		t.Errorf("got %q", got)
	}
}

// What needs a database says so where there is none.
func (s *suite[ID, TX, DB]) produceNoDatabase(t *testing.T) {
	if s.h.NewDatabase != nil {
		t.Skip("has a database")
	}
	svc := s.world(t).library(nil)
	if _, err := svc.lib.CatchUpProduce(context.Background(), 0, 0); !errors.Is(err, events.ErrNoDatabase) {
		t.Errorf("CatchUpProduce: %v", err)
	}
	if err := svc.lib.ProduceFromTable(context.Background(), nil); !errors.Is(err, events.ErrNoDatabase) {
		t.Errorf("ProduceFromTable: %v", err)
	}
}
