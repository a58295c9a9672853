package eventembed_test

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/eventembed"
)

// A reader that meets a new leader, which has not stored anything yet, goes on
// where it was.
func TestMovingALeaderTruncatesNothing(t *testing.T) {
	b := start(t, eventembed.Brokers(2), eventembed.Topics(1, "orders"))
	writer := client(t, b)
	reader := client(t, b, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	produce(t, writer, "orders", "a", "b")
	consume(t, reader, 2)
	for i := range int32(4) {
		asked := b.Observe(eventembed.Match{Requests: []kmsg.Key{kmsg.OffsetForLeaderEpoch}})
		if err := b.MoveLeader("orders", 0, i%2); err != nil {
			t.Fatal(err)
		}
		reader.ForceMetadataRefresh()
		if err := asked.Wait(within(t), 1); err != nil {
			t.Fatal(err)
		}
		produce(t, writer, "orders", "c")
		fetches := reader.PollFetches(within(t))
		var lost *kgo.ErrDataLoss
		if err := fetches.Err(); errors.As(err, &lost) {
			t.Errorf("the reader was told of a loss: %v", err)
		}
		for _, r := range fetches.Records() {
			expect(t, "value", string(r.Value), "c")
			expect(t, "offset", r.Offset, int64(2+i))
		}
	}
}
