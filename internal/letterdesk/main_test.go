package letterdesk

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/goleak"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const group = "billing"

func letterName(topic string) string { return topic + "." + group + ".dead-letter" }

// office is a cluster with a desk and a service that writes letters.
type office struct {
	*Desk
	t      testing.TB
	client *kafka.Client
	prefix string
}

// onClusters runs the test on the embedded broker and on real Kafka.
func onClusters(t *testing.T, test func(t *testing.T, o *office)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		b, err := eventembed.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		test(t, newOffice(t, b.Addrs()))
	})
	t.Run("kafka", func(t *testing.T) {
		brokers := os.Getenv("EVENTS_KAFKA_BROKERS")
		if brokers == "" {
			if strings.Contains(os.Getenv("EVENTS_REQUIRE"), "kafka") {
				t.Fatal("EVENTS_KAFKA_BROKERS is not set, and EVENTS_REQUIRE wants Kafka")
			}
			t.Skip("no real Kafka: EVENTS_KAFKA_BROKERS is not set; scripts/services up starts one")
		}
		test(t, newOffice(t, strings.Split(brokers, ",")))
	})
}

func newOffice(t testing.TB, brokers []string) *office {
	t.Helper()
	client, err := kafka.New(kafka.Config{Brokers: brokers, MetadataMinAge: 10 * time.Millisecond, FetchMaxWait: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	o := &office{t: t, client: client, prefix: "desk-" + uuid.NewString()[:8] + "."}
	o.Desk = New(Config{Client: client, Prefix: o.prefix, Group: group, Name: letterName, Topics: []string{"orders"}})
	return o
}

// topic creates the dead-letter topic of a topic.
func (o *office) topic(topic string, partitions int32) kafka.WireTopic {
	o.t.Helper()
	wire := kafka.WireTopic(o.prefix + letterName(topic))
	if err := o.client.EnsureTopics(timeout(o.t), []kafka.TopicSpec{{Topic: wire, Partitions: partitions, ReplicationFactor: 1}}); err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() {
		if _, err := kadm.NewClient(o.client.Kgo()).DeleteTopics(context.Background(), string(wire)); err != nil {
			o.t.Log(err) // of real Kafka, it is only room
		}
	})
	return wire
}

// write appends records as they are.
func (o *office) write(records ...*kafka.Record) {
	o.t.Helper()
	if err := o.client.ProducePlaced(timeout(o.t), records); err != nil {
		o.t.Fatal(err)
	}
}

// written makes the first record of the letter number n.
func written(topic kafka.WireTopic, partitions, n int) *kafka.Record {
	h := header(n)
	h.Kind, h.Error, h.Cause, h.Attempts = letters.Letter, fmt.Sprint("error ", n), fmt.Sprint("cause ", n%3), 3
	h.First, h.Last = time.Now().Add(-time.Minute), time.Now()
	h.Origin = letters.Origin{Topic: "orders", Partition: 1, Offset: int64(n)}
	place := kafka.TopicPartition{Topic: topic, Partition: letters.Partition(h.ID, partitions)}
	return h.Record(place, &kafka.Record{Key: fmt.Append(nil, "key", n), Value: fmt.Append(nil, "event ", n), Timestamp: time.Now(),
		Headers: []kafka.Header{{Key: "own", Value: fmt.Append(nil, n)}}})
}

func header(n int) letters.Header {
	return letters.Header{ID: idOf(n), Group: group, Handler: "invoice", Topic: "orders", Follows: letters.NoRecord}
}

func idOf(n int) id {
	u := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n))
	return eventmodels.Mark(u)
}

// follow makes a record of the same letter that follows another one.
func follow(r *kafka.Record, kind letters.Kind, edit func(*letters.Header)) *kafka.Record {
	h, _, err := letters.Parse(r.Headers)
	if err != nil {
		panic(err)
	}
	h = letters.Header{Kind: kind, ID: h.ID, Group: h.Group, Handler: h.Handler, Topic: h.Topic, Follows: r.Offset}
	if edit != nil {
		edit(&h)
	}
	event := &kafka.Record{Key: r.Key, Timestamp: time.Now()}
	if kind == letters.Letter || kind == letters.Copy {
		event.Value = r.Value
	}
	return h.Record(kafka.TopicPartition{Topic: kafka.WireTopic(r.Topic), Partition: r.Partition}, event)
}

// list is all that the desk lists.
func (o *office) list(q Query) []Item {
	o.t.Helper()
	var items []Item
	for item, err := range o.Scan(timeout(o.t), q) {
		if err != nil {
			o.t.Fatal(err)
		}
		items = append(items, item)
	}
	return items
}

// find is what is listed of one letter.
func (o *office) find(n int) Item {
	o.t.Helper()
	for _, item := range o.list(Query{}) {
		if !item.Foreign && item.Header.ID == idOf(n) {
			return item
		}
	}
	o.t.Fatalf("letter %d is not listed", n)
	return Item{}
}

func timeout(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
