package eventdb

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// A topic that cannot be written holds its own rows only, and when it is well
// they are all sent in their order, each once.
func TestHeldTopicGoesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{sender: func(s *sender) { s.manual = true }})
		until(t, "a leader", p.Leading)
		for range 5 {
			p.commit("ill", 1)
			p.commit("well", 1)
		}
		until(t, "the rows to be sent", func() bool { return p.sender().queued() == 10 })
		p.sender().ack(2) // 1 and 2
		p.sender().hold("ill", errAway)
		settle()
		for range 5 {
			p.commit("ill", 1)
			p.commit("well", 1)
		}
		until(t, "the well ones", func() bool { return p.sender().queued() == 9 })
		p.sender().ack(9)
		until(t, "their deletion", func() bool { return p.table.left() == 9 })

		p.sender().heal("ill")
		p.commit("ill", 1)
		until(t, "the others", func() bool { return p.sender().queued() == 10 })
		p.sender().ack(10)
		until(t, "an empty outbox", func() bool { return p.table.left() == 0 })
		if got, want := p.log.seqs("ill"), []int64{1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21}; !slices.Equal(got, want) {
			t.Errorf("stored %v, want %v", got, want)
		}
		if got := p.log.seqs("well"); !slices.IsSorted(got) || len(got) != 10 {
			t.Errorf("stored %v of the other topic", got)
		}
	})
}

// What comes of a topic between its Held and its Ready never overtakes what
// was returned, however the reports and the reads fall together.
func TestHeldTopicKeepsOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{
			config: func(c *RelayConfig) { c.BatchSize = 3 },
			sender: func(s *sender) { s.latency = 2 * time.Millisecond },
		})
		until(t, "a leader", p.Leading)
		for n := range 300 {
			p.commit(fmt.Sprint("t", n%3), 1+n%4)
			switch n % 20 {
			case 5:
				p.sender().hold("t1", errAway)
			case 11:
				p.sender().heal("t1")
			}
			time.Sleep(time.Duration(n%5) * time.Millisecond)
		}
		until(t, "an empty outbox", func() bool { return p.table.left() == 0 })
		for n := range 3 {
			// The sender of this test acknowledges what it has taken before
			// Held, so that a row may not come twice.
			if got := p.log.seqs(fmt.Sprint("t", n)); !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Errorf("topic t%d: out of order or twice: %v", n, got)
			}
		}
	})
}

// However many rows of a held topic there are, they neither fill the room nor
// bring their payloads into memory, and the others go on.
func TestHeldTopicLeavesRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{config: func(c *RelayConfig) { c.BatchSize = 10; c.MaxRows = 20 }})
		until(t, "a leader", p.Leading)
		p.sender().hold("ill", errAway)
		p.commit("ill", 500)
		p.commit("well", 500)
		until(t, "the well ones", func() bool { return p.table.left() == 500 })
		if got := len(p.log.seqs("well")); got != 500 {
			t.Errorf("%d rows of the other topic are stored", got)
		}
		p.table.mu.Lock()
		read := p.table.reads[len(p.table.reads)-1]
		p.table.mu.Unlock()
		if !slices.Equal(read.Held, []string{"ill"}) {
			t.Errorf("the read leaves out %v", read.Held)
		}
		p.sender().heal("ill")
		until(t, "an empty outbox", func() bool { return p.table.left() == 0 })
		if got := p.log.seqs("ill"); !slices.Equal(got, sequence(1, 500)) {
			t.Errorf("stored %v", got)
		}
	})
}

// Rows in flight are bounded by count.
func TestRoomByRows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newProcess(t, "me", newTable(), &kafkaLog{}, script{
			config: func(c *RelayConfig) { c.BatchSize = 100; c.MaxRows = 250 },
			sender: func(s *sender) { s.manual = true },
		})
		p.table.add("t", 2000)
		p.start()
		time.Sleep(time.Minute)
		settle()
		// A read may bring one small page more than there is room for.
		if got := p.sender().queued(); got < 250 || got > 250+firstRead {
			t.Fatalf("%d rows are in flight, the limit is 250", got)
		}
		for p.table.left() > 0 {
			n := p.sender().queued()
			p.sender().ack(n)
			until(t, "more rows", func() bool { return p.sender().queued() > 0 || p.table.left() == 0 })
			if got := p.sender().queued(); got > 250+firstRead {
				t.Fatalf("%d rows are in flight, the limit is 250", got)
			}
		}
		if got := p.log.seqs(""); !slices.Equal(got, sequence(1, 2000)) {
			t.Errorf("stored %d rows out of order", len(got))
		}
	})
}

// Rows in flight are bounded by bytes, and a single row larger than the limit
// passes.
func TestRoomByBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const limit, size = 1 << 20, 10 << 10
		p := newProcess(t, "me", newTable(), &kafkaLog{}, script{
			config: func(c *RelayConfig) { c.MaxBytes = limit },
			sender: func(s *sender) { s.manual = true },
		})
		for range 1000 {
			p.table.put(p.table.draw(), "t", "k", make([]byte, size))
		}
		p.table.put(p.table.draw(), "t", "k", make([]byte, 2*limit))
		p.start()
		time.Sleep(time.Minute)
		settle()
		most := limit/size + firstRead
		if got := p.sender().queued(); got < limit/(2*size) || got > most {
			t.Fatalf("%d rows of 10 KiB are in flight, the limit is 1 MiB", got)
		}
		for p.table.left() > 0 {
			p.sender().ack(p.sender().queued())
			until(t, "more rows", func() bool { return p.sender().queued() > 0 || p.table.left() == 0 })
			if got := p.sender().queued(); got > most {
				t.Fatalf("%d rows of 10 KiB are in flight, the limit is 1 MiB", got)
			}
		}
		if got := p.log.seqs(""); !slices.Equal(got, sequence(1, 1001)) {
			t.Errorf("stored %d rows out of order", len(got))
		}
	})
}

// Large rows that come after many small ones, of which a read takes as many as
// it may, do not fill the memory either.
func TestRoomWhenRowsGrow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const limit, size = 1 << 20, 100 << 10
		p := newProcess(t, "me", newTable(), &kafkaLog{}, script{
			config: func(c *RelayConfig) { c.MaxBytes = limit },
			sender: func(s *sender) { s.manual = true },
		})
		p.start()
		for range 5 {
			p.commit("t", 500)
			until(t, "small rows", func() bool { return p.sender() != nil && p.sender().queued() == 500 })
			p.sender().ack(500)
		}
		for range 400 {
			p.table.put(p.table.draw(), "t", "k", make([]byte, size))
		}
		p.Wake()
		for p.table.left() > 0 {
			until(t, "large rows", func() bool { return p.sender().queued() > 0 || p.table.left() == 0 })
			time.Sleep(time.Second)
			got := p.sender().queued()
			if got*size > limit+limit/8+size {
				t.Fatalf("%d rows of 100 KiB are in flight, the limit is 1 MiB", got)
			}
			p.sender().ack(got)
		}
		if got := p.log.seqs(""); !slices.Equal(got, sequence(1, 2900)) {
			t.Errorf("stored %d rows out of order", len(got))
		}
	})
}
