package lanes_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
	"github.com/seed46dd6f11/events/internal/recordbatch"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// strange are rows that are easily stored in another way than they are.
func strange(topic string) []*row {
	bare := func(edit func(*row)) *row {
		r := newRow(topic, "key")
		edit(r)
		return r
	}
	return []*row{
		bare(func(r *row) { r.Key = []byte{} }),
		bare(func(r *row) { r.Key = []byte("\x00\xff") }),
		bare(func(r *row) { r.Key = []byte("tombstone"); r.Payload = nil }),
		bare(func(r *row) { r.Key = []byte("empty"); r.Payload = []byte{} }),
		bare(func(r *row) { r.Payload = []byte(strings.Repeat("long", 50_000)) }),
		bare(func(r *row) { r.CreatedAt = r.CreatedAt.Add(-time.Hour) }),
		bare(func(r *row) { r.CreatedAt = r.CreatedAt.Add(time.Nanosecond) }),
		bare(func(r *row) {
			r.Headers = recordbatch.AppendHeaders(nil, []recordbatch.Header{{Key: "", Value: nil}, {Key: "\x00\xff", Value: []byte{}}, {Key: "id", Value: []byte(strings.Repeat("x", 300))}})
		}),
	}
}

func TestSendStoresRowsAsTheyAre(t *testing.T) {
	for c := recordbatch.None; c <= recordbatch.Zstd; c++ {
		t.Run(c.String(), func(t *testing.T) {
			b := embed(t, eventembed.Brokers(3), eventembed.Topics(5, "a"), eventembed.Topics(1, "b"))
			r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) { cfg.Compression = c })
			rows := map[string][]*row{}
			for _, topic := range []string{"a", "b"} {
				rows[topic] = append(strange(topic), keyed(topic, 2000, 17)...)
				for range 100 {
					none := newRow(topic, "")
					none.Key = nil
					rows[topic] = append(rows[topic], none)
				}
			}
			for i := 0; i < len(rows["a"]); i += 50 {
				end := min(i+50, len(rows["a"]))
				r.send(append(rows["a"][i:end:end], rows["b"][i:end]...)...)
			}
			r.settled()
			for topic, rows := range rows {
				records := must[[]*kgo.Record](t)(b.Records(topic))
				if again := stored(t, records, rows); again > 0 {
					t.Errorf("%d records are stored again", again)
				}
				pick := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
				partitions := map[string]int{"a": 5, "b": 1}[topic]
				for _, rec := range records {
					if want := pick.Partition(rec, partitions); rec.Key != nil && int(rec.Partition) != want {
						t.Fatalf("key %q is in partition %d, want %d", rec.Key, rec.Partition, want)
					}
				}
			}
		})
	}
}

// TestOldBrokers sends with the protocol versions of brokers that do not know
// topics by their ids.
func TestOldBrokers(t *testing.T) {
	for name, versions := range map[string]*kversion.Versions{"2.4": kversion.V2_4_0(), "3.9": kversion.V3_9_0()} {
		t.Run(name, func(t *testing.T) {
			b := embed(t, eventembed.Brokers(2), eventembed.Topics(3, "a"))
			r := start(t, dial(t, b.Addrs(), kgo.MaxVersions(versions)))
			rows := keyed("a", 500, 9)
			for i := 0; i < len(rows); i += 100 {
				r.send(rows[i : i+100]...)
				check(t, b.MoveLeader("a", 0, int32(i/100%2)))
			}
			r.settled()
			if again := stored(t, must[[]*kgo.Record](t)(b.Records("a")), rows); again > 0 {
				t.Errorf("%d records are stored again", again)
			}
		})
	}
}

// TestAckedOrder: the reports of a partition come in the order of its log.
func TestAckedOrder(t *testing.T) {
	b := embed(t, eventembed.Topics(3, "a"))
	r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) { cfg.MaxBatchRecords = 3 })
	r.send(keyed("a", 600, 10)...)
	r.settled()
	var want []string
	for _, rec := range must[[]*kgo.Record](t)(b.Records("a")) {
		want = append(want, fmt.Sprint(rec.Partition, string(rec.Value)))
	}
	var got []string
	pick := kgo.StickyKeyPartitioner(nil).ForTopic("a")
	for p := range 3 {
		for _, row := range r.acked {
			if pick.Partition(&kgo.Record{Key: row.Key}, 3) == p {
				got = append(got, fmt.Sprint(p, string(row.Payload)))
			}
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("acknowledged in the order %v, stored in the order %v", got, want)
	}
}

// TestSpread: rows without key use all partitions, and not one for each row.
func TestSpread(t *testing.T) {
	b := embed(t, eventembed.Topics(4, "a"))
	r := start(t, dial(t, b.Addrs()))
	for range 40 {
		var rows []*row
		for range 25 {
			row := newRow("a", "")
			row.Key = nil
			rows = append(rows, row)
		}
		r.send(rows...)
		r.settled()
	}
	for p, end := range must[map[int32]int64](t)(b.EndOffsets("a")) {
		if end < 100 || end > 500 {
			t.Errorf("partition %d has %d of 1000 records", p, end)
		}
	}
	if s := r.sender.Stats(); s.Batches > 200 {
		t.Errorf("%d batches for 40 times 25 rows", s.Batches)
	}
}

func TestStopWaitsForWhatIsInFlight(t *testing.T) {
	b := embed(t, eventembed.Topics(1, "a"))
	r := start(t, dial(t, b.Addrs()))
	stall := b.StallResponse(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}})
	first, second := newRow("a", "k"), newRow("a", "k")
	r.send(first)
	check(t, stall.Wait(ctx(t), 1))
	r.send(second) // queued behind the first
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop(ctx(t))
	}()
	for before := -1; r.sender.Stats().Rows != before; runtime.Gosched() {
		// Stop has begun once rows are dropped.
		before = r.sender.Stats().Rows
		r.sender.Send([]*row{newRow("a", "k")})
	}
	select {
	case <-stopped:
		t.Error("Stop has not waited")
	default:
	}
	stall.Remove()
	<-stopped
	if len(r.acked) != 1 || r.acked[0] != first {
		t.Errorf("%d rows were acknowledged, want the one in flight", len(r.acked))
	}
	if n := len(must[[]*kgo.Record](t)(b.Records("a"))); n != 1 {
		t.Errorf("%d records are stored, want 1", n)
	}
	r.sender.Stop(ctx(t)) // again
}

func TestStopGivesUpWithItsContext(t *testing.T) {
	b := embed(t, eventembed.Topics(1, "a"))
	r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) {
		cfg.EnsureTopic = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
	})
	stall := b.StallResponse(eventembed.Match{Requests: []kmsg.Key{kmsg.Produce}})
	defer stall.Remove()
	r.send(newRow("a", "k"), newRow("missing", "k"))
	check(t, stall.Wait(ctx(t), 1))
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	r.stop(ended)
	if len(r.acked)+len(r.refused)+len(r.back) > 0 {
		t.Errorf("after giving up, acked %v, refused %v, returned %v", r.acked, r.refused, r.back)
	}
}

func TestLifeCycle(t *testing.T) {
	b := embed(t, eventembed.Topics(1, "a"))
	client := dial(t, b.Addrs())
	r := &relay{t: t, changed: make(chan struct{}), out: make(map[*row]bool)}
	cfg := lanes.Config{Client: client, Report: r}

	t.Run("rows before Start are queued", func(t *testing.T) {
		s := must[*lanes.Sender](t)(lanes.New(cfg))
		first := newRow("a", "k")
		r.out[first] = true
		s.Send([]*row{first})
		if s.Stats().Rows != 1 {
			t.Errorf("%+v", s.Stats())
		}
		s.Start()
		s.Start()
		r.until("the row is acknowledged", func() bool { return len(r.acked) == 1 })
		s.Stop(ctx(t))
		s.Start()
		s.Send([]*row{newRow("a", "k")})
		s.Resume("a")
		s.Identify(lanes.Identity{ProducerID: 9})
		if got := s.Stats(); got.Rows != 0 || got.Acked != 1 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("Stop before Start", func(t *testing.T) {
		s := must[*lanes.Sender](t)(lanes.New(cfg))
		s.Send([]*row{newRow("a", "k")})
		s.Stop(ctx(t))
		s.Stop(ctx(t))
		s.Start()
	})
}

func TestConfigIsChecked(t *testing.T) {
	b := embed(t)
	client := dial(t, b.Addrs())
	good := lanes.Config{Client: client, Report: &relay{t: t}}
	for field, edit := range map[string]option{
		"Client":         func(c *lanes.Config) { c.Client = nil },
		"Report":         func(c *lanes.Config) { c.Report = nil },
		"Identity":       func(c *lanes.Config) { c.Identity.Epoch = -1 },
		"Compression":    func(c *lanes.Config) { c.Compression = 9 },
		"HoldAfter":      func(c *lanes.Config) { c.HoldAfter = -1 },
		"MaxBackoff":     func(c *lanes.Config) { c.MaxBackoff = 1 },
		"RequestTimeout": func(c *lanes.Config) { c.RequestTimeout = 1 },
		"MetadataMaxAge": func(c *lanes.Config) { c.MetadataMaxAge = -1 },
		"MaxInFlight":    func(c *lanes.Config) { c.MaxInFlight = -1 },
	} {
		cfg := good
		edit(&cfg)
		if _, err := lanes.New(cfg); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: error %v", field, err)
		}
	}
}

func TestInitProducerID(t *testing.T) {
	b := embed(t)
	client := dial(t, b.Addrs())
	first := must[lanes.Identity](t)(lanes.InitProducerID(ctx(t), client))
	second := must[lanes.Identity](t)(lanes.InitProducerID(ctx(t), client))
	if first.ProducerID == second.ProducerID || first.Epoch != 0 {
		t.Errorf("%v, then %v", first, second)
	}
	fail := b.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.InitProducerID}}, kerr.ClusterAuthorizationFailed)
	defer fail.Remove()
	if _, err := lanes.InitProducerID(ctx(t), client); !errors.Is(err, kerr.ClusterAuthorizationFailed) {
		t.Errorf("error %v", err)
	}
}

func TestAcksOfTheClient(t *testing.T) {
	client := dial(t, embed(t).Addrs(), kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	if _, err := lanes.New(lanes.Config{Client: client, Report: &relay{t: t}}); err == nil || !strings.Contains(err.Error(), "AllISRAcks") {
		t.Errorf("error %v", err)
	}
}

// blocked is a Report that does not come back from Acked.
type blocked struct {
	lanes.Report
	entered, leave chan struct{}
}

func (b *blocked) Acked([]*row, int32, int64) {
	select {
	case b.entered <- struct{}{}:
	default:
	}
	<-b.leave
}

// What is reported takes as long as it takes; others' rows are sent meanwhile.
func TestSendWhileAReportBlocks(t *testing.T) {
	b := embed(t, eventembed.Topics(1, "a", "b"))
	client := dial(t, b.Addrs())
	report := &blocked{entered: make(chan struct{}, 1), leave: make(chan struct{})}
	s := must[*lanes.Sender](t)(lanes.New(lanes.Config{Client: client, Report: report}))
	defer s.Stop(ctx(t))
	defer close(report.leave)
	s.Start()
	stall := b.StallResponse(eventembed.Match{Requests: produce, Count: 1})
	s.Send([]*row{newRow("a", "k")})
	check(t, stall.Wait(ctx(t), 1))
	s.Send([]*row{newRow("a", "k")}) // for the time when the first is acknowledged
	stall.Remove()
	<-report.entered
	requests := b.Observe(eventembed.Match{Requests: produce, Topic: "b"})
	s.Send([]*row{newRow("b", "k")})
	check(t, requests.Wait(ctx(t), 1))
}
