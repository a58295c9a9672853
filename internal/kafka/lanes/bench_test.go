package lanes_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
	"github.com/seed46dd6f11/events/internal/recordbatch"
	"github.com/twmb/franz-go/pkg/kgo"
)

// counter is a Report that lets a bounded number of rows be in flight.
type counter struct {
	b     *testing.B
	room  chan struct{}
	acked atomic.Int64
	all   chan struct{} // closed when b.N are acknowledged
}

func (c *counter) Acked(rows []*row, _ int32, _ int64) {
	if c.acked.Add(int64(len(rows))) == int64(c.b.N) {
		close(c.all)
	}
	for range rows {
		<-c.room
	}
}
func (c *counter) Refused(_ *row, err error)          { c.b.Error(err) }
func (c *counter) Returned([]*row)                    { c.b.Error("rows were returned") }
func (c *counter) Held(_ string, err error)           { c.b.Error(err) }
func (c *counter) Ready(string)                       {}
func (c *counter) Fenced(_ lanes.Identity, err error) { c.b.Error(err) }

// BenchmarkSend sends rows of 250 bytes in portions of 500, with at most 50,000
// not acknowledged, to 1 and 12 partitions of the embedded broker and, if
// EVENTS_KAFKA_BROKERS is set, of Kafka.
func BenchmarkSend(b *testing.B) {
	for _, partitions := range []int{1, 12} {
		b.Run(fmt.Sprintf("embedded/partitions=%d", partitions), func(b *testing.B) {
			broker := embed(b, eventembed.Topics(partitions, "bench"))
			benchmarkSend(b, dial(b, broker.Addrs()), "bench", 500)
		})
		b.Run(fmt.Sprintf("kafka/partitions=%d", partitions), func(b *testing.B) {
			if os.Getenv("EVENTS_KAFKA_BROKERS") == "" {
				b.Skip("EVENTS_KAFKA_BROKERS is not set")
			}
			k := connect(b)
			benchmarkSend(b, k.client, k.topic(partitions), 500)
		})
	}
	b.Run("embedded/one by one", func(b *testing.B) {
		broker := embed(b, eventembed.Topics(12, "bench"))
		benchmarkSend(b, dial(b, broker.Addrs()), "bench", 1)
	})
}

func benchmarkSend(b *testing.B, client *kgo.Client, topic string, portion int) {
	headers := recordbatch.AppendHeaders(nil, []recordbatch.Header{{Key: "ce_id", Value: []byte("0190f5e0-0000-7000-8000-000000000000")}, {Key: "ce_type", Value: []byte(topic)}})
	payload := bytes.Repeat([]byte("p"), 250)
	rows := make([]*row, b.N)
	for i := range rows {
		rows[i] = newRow(topic, fmt.Sprint("key-", i%1000))
		rows[i].Payload, rows[i].Headers = payload, headers
	}
	c := &counter{b: b, room: make(chan struct{}, 50_000), all: make(chan struct{})}
	id, err := lanes.InitProducerID(b.Context(), client)
	check(b, err)
	s, err := lanes.New(lanes.Config{Client: client, Report: c, Identity: id})
	check(b, err)
	defer s.Stop(context.Background())
	s.Start()
	b.SetBytes(250)
	b.ReportAllocs()
	b.ResetTimer()
	for len(rows) > 0 {
		n := min(portion, len(rows))
		for range n {
			c.room <- struct{}{}
		}
		s.Send(rows[:n])
		rows = rows[n:]
	}
	<-c.all
	b.StopTimer()
	stats := s.Stats()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(b.N)/float64(stats.Batches), "rows/batch")
	b.ReportMetric(float64(stats.Batches)/float64(stats.Requests), "batches/request")
}
