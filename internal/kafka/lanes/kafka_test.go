package lanes_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
	"github.com/seed46dd6f11/events/internal/recordbatch"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafka is a Kafka cluster, and topics of this test in it.
type kafka struct {
	t      testing.TB
	addrs  []string
	client *kgo.Client
	admin  *kadm.Client
}

// connect connects to the cluster that EVENTS_KAFKA_BROKERS names.
func connect(t testing.TB) *kafka {
	t.Helper()
	addrs := os.Getenv("EVENTS_KAFKA_BROKERS")
	if addrs == "" {
		if strings.Contains(os.Getenv("EVENTS_REQUIRE"), "kafka") {
			t.Fatal("EVENTS_REQUIRE wants Kafka, but EVENTS_KAFKA_BROKERS is not set")
		}
		t.Skip("skipped without Kafka: scripts/services up, then set EVENTS_KAFKA_BROKERS as it says")
	}
	k := &kafka{t: t, addrs: strings.Split(addrs, ",")}
	k.client = dial(t, k.addrs)
	k.admin = kadm.NewClient(k.client)
	return k
}

// topic creates a topic, and deletes it after the test.
func (k *kafka) topic(partitions int, configs ...string) string {
	k.t.Helper()
	name := fmt.Sprintf("lanes-%d-%s", time.Now().UnixNano(), strings.Map(func(r rune) rune {
		if strings.ContainsRune("/ =", r) {
			return '.'
		}
		return r
	}, k.t.Name()))
	k.create(name, partitions, configs...)
	k.t.Cleanup(func() { k.admin.DeleteTopic(ctx(k.t), name) })
	return name
}

func (k *kafka) create(name string, partitions int, configs ...string) {
	k.t.Helper()
	with := map[string]*string{}
	for i := 0; i+1 < len(configs); i += 2 {
		with[configs[i]] = &configs[i+1]
	}
	// A topic that was just deleted is in the way for a moment.
	for {
		_, err := k.admin.CreateTopic(ctx(k.t), int32(partitions), -1, with, name)
		if err == nil {
			break
		}
		if !errors.Is(err, kerr.TopicAlreadyExists) {
			k.t.Fatal(err)
		}
	}
}

// records reads what a topic stores, by partition and offset.
func (k *kafka) records(topic string) []*kgo.Record {
	k.t.Helper()
	ends := must[kadm.ListedOffsets](k.t)(k.admin.ListCommittedOffsets(ctx(k.t), topic))
	from := map[int32]kgo.Offset{}
	missing := map[int32]bool{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			from[o.Partition] = kgo.NewOffset().AtStart()
			missing[o.Partition] = true
		}
	})
	if len(missing) == 0 {
		return nil
	}
	consumer := dial(k.t, k.addrs, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer consumer.Close()
	var records []*kgo.Record
	for len(missing) > 0 {
		fetches := consumer.PollFetches(ctx(k.t))
		check(k.t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			records = append(records, r)
			if end, _ := ends.Lookup(topic, r.Partition); r.Offset+1 >= end.Offset {
				delete(missing, r.Partition)
			}
		})
	}
	slices.SortStableFunc(records, func(a, b *kgo.Record) int { return int(a.Partition - b.Partition) })
	return records
}

func TestKafkaStoresRowsAsTheyAre(t *testing.T) {
	k := connect(t)
	for c := recordbatch.None; c <= recordbatch.Zstd; c++ {
		t.Run(c.String(), func(t *testing.T) {
			k := &kafka{t: t, addrs: k.addrs, client: k.client, admin: k.admin}
			topic := k.topic(5)
			r := start(t, k.client, func(cfg *lanes.Config) { cfg.Compression = c })
			rows := append(strange(topic), keyed(topic, 3000, 23)...)
			for i := 0; i < len(rows); i += 100 {
				r.send(rows[i:min(i+100, len(rows))]...)
			}
			r.settled()
			records := k.records(topic)
			if again := stored(t, records, rows); again > 0 {
				t.Errorf("%d records are stored again", again)
			}
			pick := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
			for _, rec := range records {
				if want := pick.Partition(rec, 5); int(rec.Partition) != want {
					t.Fatalf("key %q is in partition %d, want %d", rec.Key, rec.Partition, want)
				}
			}
		})
	}
}

// TestKafkaTooLarge: to the byte, and with the limit lowered meanwhile.
func TestKafkaTooLarge(t *testing.T) {
	k := connect(t)
	const limit = 20_000
	topic := k.topic(1, "max.message.bytes", "20000")
	for _, known := range []int{limit, 1 << 20} {
		r := start(t, k.client, func(cfg *lanes.Config) { cfg.MaxMessageBytes = func(string) int { return known } })
		fits, exceeds := sized(t, topic, limit), sized(t, topic, limit+1)
		rows := keyed(topic, 500, 3)
		r.send(append(append(append([]*row{}, rows[:250]...), fits, exceeds), rows[250:]...)...)
		r.settled()
		if _, ok := errors.AsType[*lanes.TooLargeError](r.refused[exceeds]); !ok || len(r.refused) != 1 || len(r.fenced) > 0 {
			t.Errorf("refused %v, fenced %v", r.refused, r.fenced)
		}
		t.Log(r.refused[exceeds])
	}
	if n := len(k.records(topic)); n != 2*501 {
		t.Errorf("%d records are stored, want %d", n, 2*501)
	}
}

// TestKafkaRefusesRecords: for having no key in a compacted topic, for their
// headers, for their time.
func TestKafkaRefusesRecords(t *testing.T) {
	k := connect(t)
	for _, c := range []struct {
		name    string
		configs []string
		spoil   func(*row)
	}{
		{"no key in a compacted topic", []string{"cleanup.policy", "compact"}, func(r *row) { r.Key = nil }},
		{"malformed headers", nil, func(r *row) { r.Headers = []byte{200, 1, 2} }},
		{"headers that end early", nil, func(r *row) { r.Headers = []byte{2, 20, 'k'} }},
		{"too many bytes of headers", nil, func(r *row) { r.Headers = []byte{0, 0, 0} }},
		{"too old", []string{"message.timestamp.before.max.ms", "1000"}, func(r *row) { r.CreatedAt = time.Unix(1000, 0) }},
	} {
		for _, compression := range []recordbatch.Compression{recordbatch.None, recordbatch.LZ4} {
			t.Run(c.name+" "+compression.String(), func(t *testing.T) {
				k := &kafka{t: t, addrs: k.addrs, client: k.client, admin: k.admin}
				topic := k.topic(1, c.configs...)
				r := start(t, k.client, func(cfg *lanes.Config) { cfg.Compression = compression })
				rows := keyed(topic, 100, 3)
				for _, row := range rows {
					row.CreatedAt = time.Now().Add(time.Minute)
				}
				bad := []*row{newRow(topic, "key-1"), newRow(topic, "key-2")}
				for _, b := range bad {
					b.CreatedAt = rows[0].CreatedAt
					c.spoil(b)
				}
				r.send(append(append(append(append([]*row{}, rows[:50]...), bad[0]), rows[50:]...), bad[1])...)
				r.settled()
				if len(r.refused) != 2 || r.refused[bad[0]] == nil || r.refused[bad[1]] == nil || len(r.fenced) > 0 {
					t.Errorf("refused %v, fenced %v", r.refused, r.fenced)
				}
				t.Logf("%d requests: %v", r.sender.Stats().Requests, r.refused[bad[0]])
				if again := stored(t, k.records(topic), rows); again > 0 {
					t.Errorf("%d records are stored again", again)
				}
			})
		}
	}
}

// TestKafkaRecreated: the first batch of the new log is accepted.
func TestKafkaRecreated(t *testing.T) {
	k := connect(t)
	for _, c := range []struct {
		name          string
		before, after int
	}{{"same partitions", 3, 3}, {"more partitions", 2, 5}, {"fewer partitions", 5, 2}} {
		t.Run(c.name, func(t *testing.T) {
			k := &kafka{t: t, addrs: k.addrs, client: k.client, admin: k.admin}
			topic := k.topic(c.before)
			r := start(t, k.client)
			r.send(keyed(topic, 200, 20)...)
			r.settled()
			check(t, deleteTopic(ctx(t), k.admin, topic))
			k.create(topic, c.after)
			rows := keyed(topic, 400, 20)
			r.send(rows[:200]...)
			r.settled()
			r.send(rows[200:]...)
			r.settled()
			if again := stored(t, k.records(topic), rows); again > 0 {
				t.Errorf("%d records are stored again", again)
			}
			if len(r.fenced) > 0 {
				t.Errorf("fenced %v", r.fenced)
			}
		})
	}
}

// deleteTopic returns when the brokers do not know the topic any more. They
// delete a little later than they answer, and take what is written until then.
func deleteTopic(ctx context.Context, admin *kadm.Client, topic string) error {
	if _, err := admin.DeleteTopic(ctx, topic); err != nil {
		return err
	}
	for {
		// The error says the same again, of all partitions together.
		listed, _ := admin.ListEndOffsets(ctx, topic)
		if end, known := listed.Lookup(topic, 0); !known || end.Err != nil {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		<-time.After(10 * time.Millisecond)
	}
}

// TestKafkaMissingTopic is created while rows wait for it.
func TestKafkaMissingTopic(t *testing.T) {
	k := connect(t)
	topic := k.topic(1)
	check(t, deleteTopic(ctx(t), k.admin, topic))
	r := start(t, k.client, func(cfg *lanes.Config) {
		cfg.EnsureTopic = func(ctx context.Context, name string) error {
			_, err := k.admin.CreateTopic(ctx, 3, -1, nil, name)
			if errors.Is(err, kerr.TopicAlreadyExists) {
				return nil
			}
			return err
		}
	})
	rows := keyed(topic, 100, 10)
	r.send(rows...)
	r.settled()
	stored(t, k.records(topic), rows)
}

// TestKafkaFencesTheOld: an epoch that the client has chosen is accepted, and
// the one before it refused after the first write.
func TestKafkaFencesTheOld(t *testing.T) {
	k := connect(t)
	topic := k.topic(1)
	id := must[lanes.Identity](t)(lanes.InitProducerID(ctx(t), k.client))
	id.Epoch = 11
	way := eventembed.NewDialer("old", (&net.Dialer{}).DialContext)
	old := start(t, dial(t, k.addrs, kgo.Dialer(way.DialContext)), func(cfg *lanes.Config) { cfg.Identity = id; cfg.HoldAfter = time.Minute })
	first := keyed(topic, 50, 5)
	old.send(first...)
	old.settled()
	way.Stall() // the process is stopped, with a batch in its hands
	late := keyed(topic, 50, 5)
	old.send(late...)

	next := start(t, k.client, func(cfg *lanes.Config) { cfg.Identity = lanes.Identity{ProducerID: id.ProducerID, Epoch: id.Epoch + 1} })
	more := keyed(topic, 50, 5)
	next.send(late...)
	next.send(more...)
	next.settled()
	way.Restore()
	old.until("the old sender is fenced", func() bool { return len(old.fenced) > 0 })
	if len(next.fenced) > 0 {
		t.Error("the new sender is fenced")
	}
	if again := stored(t, k.records(topic), append(append(first, late...), more...)); again > 0 {
		t.Errorf("%d records are stored again", again)
	}
	// And it goes on with the epoch after.
	old.sender.Identify(lanes.Identity{ProducerID: id.ProducerID, Epoch: id.Epoch + 2})
	old.settled()
}

// TestKafkaConnectionsLost: the connections break again and again, and every row
// is stored once.
func TestKafkaConnectionsLost(t *testing.T) {
	k := connect(t)
	topic := k.topic(4)
	way := eventembed.NewDialer("relay", (&net.Dialer{}).DialContext)
	r := start(t, dial(t, k.addrs, kgo.Dialer(way.DialContext)), func(cfg *lanes.Config) { cfg.MaxBatchRecords = 20 })
	rows := keyed(topic, 6000, 40)
	for i := 0; i < len(rows); i += 100 {
		r.send(rows[i : i+100]...)
		if i%500 == 0 {
			r.until("something of it is stored", func() bool { return len(r.acked) > i/2 })
			way.Cut()
			way.Restore()
		}
	}
	r.settled()
	if again := stored(t, k.records(topic), rows); again > 0 {
		t.Errorf("%d records are stored again", again)
	}
	t.Logf("%+v, held %d times", r.sender.Stats(), r.holds)
}
