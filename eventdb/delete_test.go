package eventdb

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// A delete that fails is tried again from memory: the rows are neither read nor
// sent again, however long it takes.
func TestDeleteRetried(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{})
		until(t, "a leader", p.Leading)
		p.store.fail("delete", errAway)
		p.commit("t", 300)
		time.Sleep(time.Hour)
		settle()
		if p.failedTimes("delete") < 100 {
			t.Fatalf("%d attempts in an hour", p.failedTimes("delete"))
		}
		p.store.fail("delete", nil)
		until(t, "an empty outbox", func() bool { return p.table.left() == 0 })
		if got := p.log.seqs(""); !slices.Equal(got, sequence(1, 300)) {
			t.Errorf("stored %d rows for 300", len(got))
		}
	})
}

// A relay that ends between acknowledgement and delete loses nothing: the next
// one sends the same row, with the same id.
func TestDeleteLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		table, log := newTable(), &kafkaLog{}
		dying := newProcess(t, "dying", table, log, script{})
		dying.start()
		until(t, "a leader", dying.Leading)
		dying.store.fail("delete", errHangs)
		dying.commit("t", 2)
		until(t, "the acknowledgements", func() bool { return len(log.seqs("")) == 2 })
		dying.store.fail("", errHangs)

		next := newProcess(t, "next", table, log, script{})
		next.start()
		until(t, "an empty outbox", func() bool { return table.left() == 0 })
		if got, want := log.seqs(""), []int64{1, 2, 1, 2}; !slices.Equal(got, want) {
			t.Errorf("stored %v, want %v", got, want)
		}
		dying.store.fail("", nil)
		dying.store.fail("delete", nil)
	})
}

// A row that Kafka refuses for itself is parked with the reason, and the others
// go on, also while parking fails.
func TestRefusedIsParked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{sender: func(s *sender) { s.manual = true }})
		until(t, "a leader", p.Leading)
		p.commit("t", 3)
		settle()
		p.store.fail("park", errAway)
		p.sender().ack(1)
		p.sender().refuse(errors.New("it is too large"))
		p.sender().ack(1)
		time.Sleep(time.Minute)
		settle()
		if got := p.table.left(); got != 1 {
			t.Errorf("%d rows are left while parking fails", got)
		}
		p.store.fail("park", nil)
		until(t, "the parked row", func() bool { return p.table.left() == 0 })
		p.table.mu.Lock()
		defer p.table.mu.Unlock()
		if len(p.table.parked) != 1 || p.table.parked[0].Seq != 2 || p.table.parked[0].Error != "it is too large" {
			t.Errorf("parked %+v", p.table.parked)
		}
	})
}

// Parking that fails for long keeps nothing else in the table.
func TestDeleteWhileParkingFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{sender: func(s *sender) { s.manual = true }})
		until(t, "a leader", p.Leading)
		p.store.fail("park", errAway)
		p.commit("t", 1)
		settle()
		p.sender().refuse(errors.New("it is too large"))
		time.Sleep(time.Minute) // the pause between two attempts is long by now
		if p.failedTimes("park") == 0 || p.failedTimes("delete") > 0 {
			t.Errorf("%d failures to park, %d to delete", p.failedTimes("park"), p.failedTimes("delete"))
		}
		for range 10 {
			p.commit("t", 1)
			settle()
			p.sender().ack(1)
			settle()
			if left := p.table.left(); left != 1 {
				t.Fatalf("%d rows are left, want the one that is to be parked", left)
			}
		}
		p.store.fail("park", nil)
		until(t, "the parked row", func() bool { return p.table.left() == 0 })
	})
}

// While many rows wait to be deleted, the room that they take is bounded, and
// given back.
func TestUndeletedTakeRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{config: func(c *RelayConfig) { c.BatchSize = 50; c.MaxRows = 100 }})
		until(t, "a leader", p.Leading)
		p.store.fail("delete", errAway)
		p.commit("t", 1000)
		time.Sleep(time.Hour)
		settle()
		if got := len(p.log.seqs("")); got < 100 || got > 100+firstRead {
			t.Errorf("%d rows were sent without one being deleted, the limit is 100", got)
		}
		p.store.fail("delete", nil)
		until(t, "an empty outbox", func() bool { return p.table.left() == 0 })
		if got := p.log.seqs(""); !slices.Equal(got, sequence(1, 1000)) {
			t.Errorf("stored %d rows", len(got))
		}
	})
}

// keyBuckets are sorted and distinct, so that two transactions never wait for
// each other in a circle.
func TestKeyBuckets(t *testing.T) {
	var rows []eventmodels.OutboxRow
	for n := range 2000 {
		rows = append(rows, eventmodels.OutboxRow{Topic: "t", Key: []byte{byte(n), byte(n >> 8)}})
	}
	rows = append(rows, eventmodels.OutboxRow{Topic: "t"}, rows[0])
	buckets := keyBuckets(rows)
	if !slices.IsSorted(buckets) || len(slices.Compact(slices.Clone(buckets))) != len(buckets) {
		t.Error("not sorted, or not distinct")
	}
	if buckets[0] < 0 || buckets[len(buckets)-1] >= KeyBuckets || len(buckets) < KeyBuckets/2 {
		t.Errorf("%d buckets from %d to %d", len(buckets), buckets[0], buckets[len(buckets)-1])
	}
	if got := keyBuckets([]eventmodels.OutboxRow{{Topic: "t"}}); len(got) != 0 {
		t.Errorf("rows without key take locks: %v", got)
	}
	same := keyBuckets([]eventmodels.OutboxRow{{Topic: "t", Key: []byte("k")}, {Topic: "t", Key: []byte("k")}})
	if len(same) != 1 {
		t.Errorf("one key has buckets %v", same)
	}
}

func TestReason(t *testing.T) {
	for text, want := range map[string]string{
		"too large":                          "too large",
		"\x00 and \xff\xfe":                  "\uFFFD and \uFFFD",
		strings.Repeat("x", maxReason+1):     strings.Repeat("x", maxReason),
		strings.Repeat("ä", maxReason):       strings.Repeat("ä", maxReason/2),
		"x" + strings.Repeat("ä", maxReason): "x" + strings.Repeat("ä", maxReason/2-1) + "\uFFFD",
	} {
		if got := reasonOf(errors.New(text)); got != want {
			t.Errorf("%.40q: %.40q, of %d bytes", text, got, len(got))
		}
	}
}
