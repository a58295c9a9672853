package letters

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

func TestPartition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	counts := make(map[int32]int)
	for range 3000 {
		var id eventmodels.Mark
		for i := range id {
			id[i] = byte(r.Uint32())
		}
		p := Partition(id, 3)
		if p != Partition(id, 3) || Partition(id, 1) != 0 || Partition(id, 0) != 0 {
			t.Fatal("the partition is not a function of the id")
		}
		counts[p]++
	}
	for p := range int32(3) {
		if counts[p] < 800 {
			t.Errorf("of 3000 letters %d lie in partition %d", counts[p], p)
		}
	}
}

// What a letter is made of stays as it was, through any number of records.
func TestRecordKeepsTheEvent(t *testing.T) {
	place := kafka.TopicPartition{Topic: "p.orders.g.dead-letter", Partition: 4}
	event := &kafka.Record{
		Topic: "p.orders", Partition: 1, Offset: 9, Key: []byte{}, Value: nil, Timestamp: time.UnixMilli(12),
		Headers: []kafka.Header{{Key: "b", Value: []byte("2")}, {Key: "events-letterhead", Value: nil}, {Key: "b", Value: []byte("1")}},
	}
	r, made := event, full()
	made.Time = event.Timestamp.UTC()
	for range 3 {
		r = made.Record(place, r)
		h, own, err := Parse(r.Headers)
		if err != nil || !reflect.DeepEqual(h, made) || !reflect.DeepEqual(own, event.Headers) {
			t.Fatalf("%v: %+v, own headers %v", err, h, own)
		}
		if r.Topic != "p.orders.g.dead-letter" || r.Partition != 4 || r.Key == nil || r.Value != nil || !r.Timestamp.IsZero() || !h.EventTime(r).Equal(event.Timestamp) {
			t.Fatalf("the record is %+v", r)
		}
	}
	if len(event.Headers) != 3 {
		t.Error("the event's headers were changed")
	}
}
