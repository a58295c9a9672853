package lanes_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
	"github.com/seed46dd6f11/events/internal/recordbatch"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// sized returns a row that, alone in a batch, makes it so large.
func sized(t testing.TB, topic string, size int) *row {
	r := newRow(topic, "key-1")
	for {
		rec := recordbatch.Record{Key: r.Key, Value: r.Payload, Timestamp: r.CreatedAt}
		missing := size - recordbatch.BatchSize([]recordbatch.Record{rec})
		if missing == 0 {
			return r
		}
		if missing < 0 {
			t.Fatalf("no row has %d bytes", size)
		}
		r.Payload = append(r.Payload, strings.Repeat("x", max(1, missing-10))...)
	}
}

// TestTooLarge: a record that is too large, among others, is refused alone, with
// the limit; one byte less goes through.
func TestTooLarge(t *testing.T) {
	const limit = 20_000
	for _, c := range []struct {
		name string
		// known is what MaxMessageBytes says.
		known int
	}{{"limit known", limit}, {"limit lowered", 1 << 20}} {
		t.Run(c.name, func(t *testing.T) {
			b := embed(t)
			check(t, b.CreateTopic("a", 1, map[string]string{"max.message.bytes": "20000"}))
			r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) { cfg.MaxMessageBytes = func(string) int { return c.known } })
			fits, exceeds := sized(t, "a", limit), sized(t, "a", limit+1)
			rows := keyed("a", 1000, 3)
			good := append(append(append([]*row{}, rows[:500]...), fits), rows[500:]...)
			r.send(append(append(append([]*row{}, rows[:500]...), fits, exceeds), rows[500:]...)...)
			r.settled()
			if again := stored(t, must[[]*kgo.Record](t)(b.Records("a")), good); again > 0 {
				t.Errorf("%d records are stored again", again)
			}
			var tooLarge *lanes.TooLargeError
			if len(r.refused) != 1 || !errors.As(r.refused[exceeds], &tooLarge) {
				t.Fatalf("refused: %v", r.refused)
			}
			if tooLarge.Size != limit+1 || tooLarge.Limit != c.known || tooLarge.Topic != "a" || !errors.Is(tooLarge, kerr.MessageTooLarge) {
				t.Errorf("%+v", tooLarge)
			}
			if r.holds > 0 || len(r.fenced) > 0 {
				t.Errorf("held %d times, fenced %v", r.holds, r.fenced)
			}
		})
	}
}

// TestTooLargeForAnyRequest: what would cost the connection is not sent.
func TestTooLargeForAnyRequest(t *testing.T) {
	b := embed(t, eventembed.Topics(1, "a"))
	r := start(t, dial(t, b.Addrs(), kgo.BrokerMaxWriteBytes(1<<20), kgo.ProducerBatchMaxBytes(1<<19)), func(cfg *lanes.Config) {
		cfg.MaxMessageBytes = func(string) int { return 1 << 30 }
	})
	huge, small := sized(t, "a", 2<<20+100), newRow("a", "key-1")
	r.send(huge, small)
	r.settled()
	if _, ok := errors.AsType[*lanes.TooLargeError](r.refused[huge]); !ok || len(r.acked) != 1 {
		t.Errorf("refused: %v, %d acknowledged", r.refused, len(r.acked))
	}
}

// TestInvalidRecord: the broker refuses a record for itself.
func TestInvalidRecord(t *testing.T) {
	b := embed(t, eventembed.Topics(1, "a"))
	r := start(t, dial(t, b.Addrs()))
	for _, e := range []*kerr.Error{kerr.InvalidRecord, kerr.InvalidTimestamp} {
		// One batch with several records, then one with one.
		for range 2 {
			fault := b.Fail(eventembed.Match{Requests: produce, Count: 1}, e)
			rows := keyed("a", 4, 2)
			r.send(rows...)
			r.settled()
			fault.Remove()
		}
		fault := b.Fail(eventembed.Match{Requests: produce, Count: 1}, e)
		row := newRow("a", "k")
		r.send(row)
		r.settled()
		fault.Remove()
		if refused, ok := errors.AsType[*lanes.RefusedError](r.refused[row]); !ok || !errors.Is(refused, e) || refused.Topic != "a" {
			t.Errorf("refused: %v", r.refused)
		}
	}
	if len(r.refused) != 2 || len(r.fenced) > 0 {
		t.Errorf("%d refused, fenced %v", len(r.refused), r.fenced)
	}
	if n := len(must[[]*kgo.Record](t)(b.Records("a"))); n != 16 {
		t.Errorf("%d records are stored, want 16", n)
	}
}

// TestCorruptForEver: a batch that never arrives as it was sent is wrong.
func TestCorruptForEver(t *testing.T) {
	b := embed(t, eventembed.Topics(1, "a"))
	r := start(t, dial(t, b.Addrs()))
	fault := b.Fail(eventembed.Match{Requests: produce}, kerr.CorruptMessage)
	row := newRow("a", "k")
	r.send(row)
	r.settled()
	fault.Remove()
	if r.refused[row] == nil || fault.Hits() != 3 {
		t.Errorf("refused: %v after %d attempts", r.refused, fault.Hits())
	}
}
