package delivery

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// endless is a source of n records, which are made beforehand.
type endless struct {
	next, n int64
	records []*kafka.Record
}

func (s *endless) Poll(ctx context.Context, maxRecords int) ([]kafka.Fetched, error) {
	n := min(int64(maxRecords), s.n-s.next)
	if n == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	f := kafka.Fetched{TopicPartition: at("orders", 0), Records: make([]*kafka.Record, n)}
	for i := range f.Records {
		r := s.records[s.next%int64(len(s.records))]
		r.Offset = s.next
		f.Records[i] = r
		s.next++
	}
	f.Next.At = s.next
	return []kafka.Fetched{f}, nil
}
func (s *endless) Pause([]kafka.TopicPartition)  {}
func (s *endless) Resume([]kafka.TopicPartition) {}
func (s *endless) Commit(context.Context, map[kafka.TopicPartition]kafka.Offset) error {
	return nil
}

// BenchmarkDelivery is the way of an event from a poll to its
// acknowledgement, without decoding, with a handler that does nothing.
func BenchmarkDelivery(b *testing.B) {
	for _, handlers := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("handlers=%d", handlers), func(b *testing.B) {
			var handled atomic.Int64
			done := make(chan struct{})
			total := int64(b.N * handlers)
			cfg := Config{
				Group: "billing", Slots: NewSlots(20),
				Decode: func(_ *kafka.Record, into *eventmodels.Message) error {
					into.ID = "1"
					return nil
				},
			}
			for i := range handlers {
				cfg.Handlers = append(cfg.Handlers, &Handler{
					Name: fmt.Sprint(i), Topic: "orders", WireTopic: "orders", OnFailure: eventmodels.OnFailureDiscard,
					Run: func(context.Context, []*eventmodels.Message) error {
						if handled.Add(1) == total {
							close(done)
						}
						return nil
					},
				})
			}
			e, err := New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			src := &endless{n: int64(b.N)}
			for range 1 << 15 {
				src.records = append(src.records, &kafka.Record{Topic: "orders", Value: make([]byte, 250)})
			}
			b.ReportAllocs()
			b.ResetTimer()
			e.Assigned(context.Background(), []kafka.TopicPartition{at("orders", 0)})
			e.Start(src, src)
			<-done
			b.StopTimer()
			b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "deliveries/s")
			e.Drain(context.Background())
			e.Stop()
		})
	}
}
