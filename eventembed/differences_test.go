package eventembed_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/eventembed"
)

// What the package comment says about differences from Kafka. When one of these
// tests fails because the difference is gone, the comment has to lose it.

func TestDifferenceLogAppendTimeIsIgnored(t *testing.T) {
	b := start(t)
	if err := b.CreateTopic("orders", 1, map[string]string{"message.timestamp.type": "LogAppendTime"}); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	r := &kgo.Record{Topic: "orders", Value: []byte("a"), Timestamp: old}
	if err := client(t, b).ProduceSync(within(t), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	records, err := b.Records("orders")
	if err != nil {
		t.Fatal(err)
	}
	if !records[0].Timestamp.Equal(old) {
		t.Errorf("got %v", records[0].Timestamp)
	}
}

func TestDifferenceOffsetsOfAnUnknownGroupAreAnError(t *testing.T) {
	b := start(t, eventembed.Topics(1, "orders"))
	id, _ := b.TopicID("orders")
	topic := kmsg.NewOffsetFetchRequestGroupTopic()
	topic.Topic, topic.TopicID, topic.Partitions = "orders", id, []int32{0}
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group, group.Topics = "nobody", append(group.Topics, topic)
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Groups = append(req.Groups, group)
	resp, err := req.RequestWith(within(t), client(t, b))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "error", resp.Groups[0].ErrorCode, 69)
}

func TestDifferenceUnknownConfigurationsAreAccepted(t *testing.T) {
	b := start(t, eventembed.Config("no.such.thing", "x"))
	if err := b.CreateTopic("orders", 1, map[string]string{"no.such.thing": "x"}); err != nil {
		t.Error(err)
	}
}

func TestDifferenceTheControllerDoesNotMove(t *testing.T) {
	b := start(t, eventembed.Brokers(2))
	if err := b.Cut(1); err != nil {
		t.Fatal(err)
	}
	cl := client(t, b)
	req := kmsg.NewPtrMetadataRequest()
	resp, err := req.RequestWith(within(t), cl)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "controller", resp.ControllerID, 1)
}
