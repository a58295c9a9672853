package letterdesk

import (
	"bytes"
	"context"
	"flag"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

var (
	letterCount   = flag.Int("letters", 20_000, "how many letters BenchmarkScan lists")
	letterPayload = flag.Int("payload", 1000, "the size of their payloads in bytes")
)

// BenchmarkScan lists letters of which a tenth was discarded: the first page,
// and all. With EVENTS_KAFKA_BROKERS on real Kafka.
func BenchmarkScan(b *testing.B) {
	var brokers []string
	if text := os.Getenv("EVENTS_KAFKA_BROKERS"); text != "" {
		brokers = strings.Split(text, ",")
	} else {
		broker, err := eventembed.Start()
		if err != nil {
			b.Fatal(err)
		}
		defer broker.Close()
		brokers = broker.Addrs()
	}
	o := newOffice(b, brokers)
	topic := o.topic("orders", 2)
	payload := bytes.Repeat([]byte("payload "), *letterPayload/8)
	for done := 0; done < *letterCount; {
		var batch, discards []*kafka.Record
		for ; len(batch) < 2000 && done < *letterCount; done++ {
			r := written(topic, 2, done)
			r.Value = payload
			batch = append(batch, r)
		}
		o.write(batch...)
		for i := 0; i < len(batch); i += 10 {
			discards = append(discards, follow(batch[i], letters.Discard, nil))
		}
		o.write(discards...)
	}
	b.Run("first page", func(b *testing.B) {
		for b.Loop() {
			n := 0
			for _, err := range o.Scan(context.Background(), Query{}) {
				if n++; err != nil || n == 50 {
					break
				}
			}
			if n != 50 {
				b.Fatal(n, "letters")
			}
		}
	})
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			start, n, live := time.Now(), 0, uint64(0)
			for _, err := range o.Scan(context.Background(), Query{}) {
				if err != nil {
					b.Fatal(err)
				}
				if n++; n == *letterCount*9/10 { // the readers are still at work
					runtime.GC()
					runtime.ReadMemStats(&after)
					live = after.HeapAlloc
				}
			}
			if n != *letterCount {
				b.Fatal(n, "letters")
			}
			b.ReportMetric(time.Since(start).Seconds(), "s/list")
			b.ReportMetric((float64(live)-float64(before.HeapAlloc))/float64(n*9/10), "B/letter")
		}
	})
}
