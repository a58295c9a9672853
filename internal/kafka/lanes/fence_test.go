package lanes_test

import (
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestStoppedLeaderIsFenced: a sender that has a batch in its hands while its
// successor takes over writes nothing after the successor's first write.
func TestStoppedLeaderIsFenced(t *testing.T) {
	b := embed(t, eventembed.Topics(2, "a"))
	client := dial(t, b.Addrs())
	id := must[lanes.Identity](t)(lanes.InitProducerID(ctx(t), client))
	id.Epoch = 3
	old := start(t, dial(t, b.Addrs(), kgo.ClientID("old")), func(cfg *lanes.Config) { cfg.Identity = id })
	first := keyed("a", 50, 5)
	old.send(first...)
	old.settled()

	stall := b.Stall(eventembed.Match{Requests: produce, ClientID: "old"})
	late := keyed("a", 50, 5)
	old.send(late...)
	check(t, stall.Wait(ctx(t), 1))

	next := start(t, client, func(cfg *lanes.Config) { cfg.Identity = lanes.Identity{ProducerID: id.ProducerID, Epoch: id.Epoch + 1} })
	next.send(late...)
	more := keyed("a", 50, 5)
	next.send(more...)
	next.settled()
	stall.Remove()
	old.until("the old sender is fenced", func() bool { return len(old.fenced) > 0 })
	old.send(keyed("a", 50, 5)...) // is not sent
	if len(old.acked) != 50 || len(old.fenced) != 1 || old.fenced[0] != id {
		t.Errorf("%d acknowledged, fenced %v", len(old.acked), old.fenced)
	}
	if len(next.fenced) > 0 {
		t.Errorf("the new sender is fenced")
	}
	all := append(append(first, late...), more...)
	if again := stored(t, must[[]*kgo.Record](t)(b.Records("a")), all); again > 0 {
		t.Errorf("%d records are stored again", again)
	}
}

// TestIdentify: with the next epoch everything continues, in its order.
func TestIdentify(t *testing.T) {
	for _, e := range []*kerr.Error{kerr.InvalidProducerEpoch, kerr.UnknownProducerID, kerr.OutOfOrderSequenceNumber, kerr.ProducerFenced} {
		t.Run(e.Message, func(t *testing.T) {
			b := embed(t, eventembed.Topics(3, "a"))
			r := start(t, dial(t, b.Addrs()))
			r.onFenced = func(id lanes.Identity) {
				id.Epoch++
				r.sender.Identify(id)
			}
			rows := keyed("a", 900, 20)
			r.send(rows[:300]...)
			r.settled()
			fault := b.Fail(eventembed.Match{Requests: produce, Count: 1}, e)
			r.send(rows[300:600]...)
			r.send(rows[600:]...)
			r.settled()
			fault.Remove()
			if len(r.fenced) != 1 {
				t.Errorf("fenced %v", r.fenced)
			}
			if again := stored(t, must[[]*kgo.Record](t)(b.Records("a")), rows); again > 0 {
				t.Errorf("%d records are stored again", again)
			}
		})
	}
}

// TestIdentifyWhileUnknown: a batch whose outcome is not known is written again
// under the new identity. It can be there twice; its order is kept.
func TestIdentifyWhileUnknown(t *testing.T) {
	b := embed(t, eventembed.Topics(1, "a"))
	id := must[lanes.Identity](t)(lanes.InitProducerID(ctx(t), dial(t, b.Addrs())))
	r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) { cfg.Identity = id; cfg.HoldAfter = time.Minute })
	lost := b.DropResponse(eventembed.Match{Requests: produce})
	rows := keyed("a", 100, 5)
	r.send(rows[:50]...)
	check(t, lost.Wait(ctx(t), 2))
	r.send(rows[50:]...)
	r.sender.Identify(lanes.Identity{ProducerID: id.ProducerID, Epoch: id.Epoch + 1})
	check(t, lost.Wait(ctx(t), lost.Hits()+2))
	lost.Remove()
	r.settled()
	if again := stored(t, must[[]*kgo.Record](t)(b.Records("a")), rows); again != 50 {
		t.Errorf("%d records are stored again, want the 50 of unknown outcome", again)
	}
	if len(r.fenced) > 0 {
		t.Errorf("fenced %v", r.fenced)
	}
}

// TestIdentifyBackwards is ignored: brokers would take what comes for
// repetitions.
func TestIdentifyBackwards(t *testing.T) {
	b := embed(t, eventembed.Topics(1, "a"))
	id := must[lanes.Identity](t)(lanes.InitProducerID(ctx(t), dial(t, b.Addrs())))
	id.Epoch = 5
	r := start(t, dial(t, b.Addrs()), func(cfg *lanes.Config) { cfg.Identity = id })
	rows := keyed("a", 3, 1)
	for _, row := range rows {
		r.send(row)
		r.settled()
		r.sender.Identify(id)
		r.sender.Identify(lanes.Identity{ProducerID: id.ProducerID, Epoch: 4})
	}
	if stored(t, must[[]*kgo.Record](t)(b.Records("a")), rows) > 0 || len(r.fenced) > 0 {
		t.Errorf("fenced %v", r.fenced)
	}
}

// TestAnotherProducerID: the epochs of an id are used up.
func TestAnotherProducerID(t *testing.T) {
	b := embed(t, eventembed.Topics(2, "a"))
	client := dial(t, b.Addrs())
	r := start(t, client)
	rows := keyed("a", 200, 5)
	r.send(rows[:100]...)
	r.settled()
	r.sender.Identify(must[lanes.Identity](t)(lanes.InitProducerID(ctx(t), client)))
	r.send(rows[100:]...)
	r.settled()
	stored(t, must[[]*kgo.Record](t)(b.Records("a")), rows)
}
