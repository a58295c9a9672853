package events_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
	"github.com/seed46dd6f11/events/internal/recordbatch"
)

// waitingLimit is how much memory the events that wait for a blocked handler
// may take, in MiB, however many they are: what is in its queue and in the ack
// windows (10,000 of each partition), and what was fetched beyond that.
const waitingLimit = 96

// A million small events in four partitions wait.
func TestAMillionWaitingEvents(t *testing.T) {
	const (
		million    = 1_000_000
		partitions = 4
	)
	brokers := kafkaBrokers(t)
	prefix := "m" + uuid.NewString()[:8] + "."
	produceMany(t, brokers, prefix+"waiting", partitions, million)
	for name, opts := range map[string][]events.HandlerOpt{
		"in any order": nil,
		"by key":       {events.WithOrdering(events.ByKey)},
	} {
		t.Run(name, func(t *testing.T) {
			before := liveHeap()
			lib := eventnodb.New()
			lib.SetPrefix(prefix)
			release := make(chan struct{})
			lib.ConsumeIdempotent(events.NewConsumerGroup(strings.ReplaceAll(name, " ", "-")), eventmodels.OnFailureBlock, "blocked",
				eventmodels.BindTopic[map[string]string]("waiting").Handler(func(context.Context, eventmodels.Event[map[string]string]) error {
					<-release
					return nil
				}), opts...)
			lib.ConfigureNoDB(nil, false, nil, nil, brokers)
			ctx, cancel := context.WithCancel(context.Background())
			stopped := lib.StartConsumingOrPanic(ctx)
			defer func() {
				close(release)
				cancel()
				<-stopped
				if err := lib.Shutdown(context.Background()); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
			}()
			// All that is taken is taken when no partition is fetched any more.
			deadline := time.After(2 * time.Minute)
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				if groups := lib.Health(ctx).Groups; len(groups) == 1 && groups[0].Paused == partitions {
					break
				}
				select {
				case <-tick.C:
				case <-deadline:
					t.Fatalf("the partitions are still fetched: %+v", lib.Health(ctx).Groups)
				}
			}
			used := (liveHeap() - before) >> 20
			t.Logf("%d MiB", used)
			if used > waitingLimit {
				t.Errorf("%d MiB are in use, and the limit is %d MiB", used, waitingLimit)
			}
		})
	}
}

// liveHeap is how many bytes are in use.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // what pools still held
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// produceMany makes a topic with small events of a thousand keys: the same batch
// again and again, since it is not the producer that is looked at.
func produceMany(t *testing.T, brokers []string, topic string, partitions int32, n int) {
	t.Helper()
	ctx := context.Background()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, partitions, -1, nil, topic); err != nil {
		t.Fatal(err)
	}
	const size = 10_000
	var records []recordbatch.Record
	for i := range size {
		records = append(records, recordbatch.Record{Key: fmt.Appendf(nil, "key-%d", i%1000), Value: fmt.Appendf(nil, `{"number":"%d"}`, i), Timestamp: time.Now()})
	}
	batch, err := recordbatch.AppendBatch(nil, recordbatch.NoProducer, recordbatch.NoSequence, records, recordbatch.None)
	if err != nil {
		t.Fatal(err)
	}
	metadata, err := admin.Metadata(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	detail := metadata.Topics[topic]
	for sent := 0; sent < n; sent += size {
		partition := int32(sent / size % int(partitions))
		request := kmsg.NewPtrProduceRequest()
		request.Acks, request.TimeoutMillis = -1, 10_000
		request.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, TopicID: detail.ID, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: batch}}}}
		response, err := client.Broker(int(detail.Partitions[partition].Leader)).RetriableRequest(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		if err := kerr.ErrorForCode(response.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode); err != nil {
			t.Fatal(err)
		}
	}
}
