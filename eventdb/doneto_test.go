package eventdb

import (
	"slices"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// hints are those of the reads from the nth on, but for audits.
func (t *table) hints(n int) (hints []int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, read := range t.reads[n:] {
		if read.Hint < 1<<40 {
			hints = append(hints, read.Hint)
		}
	}
	return hints
}

// Who relays next does not look where nothing is left, and finds everything
// else.
func TestSuccessorStartsWhereNothingIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		table, log := newTable(), &kafkaLog{}
		first := newProcess(t, "first", table, log, script{})
		first.start()
		first.commit("t", 1000)
		until(t, "an empty outbox", func() bool { return table.left() == 0 })
		first.Stop()
		before := table.readCount()
		table.add("t", 10)
		second := newProcess(t, "second", table, log, script{})
		second.start()
		until(t, "an empty outbox", func() bool { return table.left() == 0 })
		if hints := table.hints(before); hints[0] != 1000 {
			t.Errorf("the successor reads above %d, want 1000", hints[0])
		}
		if got := log.seqs(""); !slices.Equal(got, sequence(1, 1010)) {
			t.Errorf("stored %d rows", len(got))
		}
	})
}

// What is recorded while a process relays lies below what is in flight, gaps
// that may be filled, and the rows of topics that cannot be written.
func TestDoneToIsBelowWhatIsLeft(t *testing.T) {
	type scene struct {
		p *process
		t *testing.T
	}
	for _, c := range []struct {
		name string
		want int64
		play func(s scene)
	}{
		{"all is done", 20, func(s scene) { s.p.sender().ack(20) }},
		{"in flight", 5, func(s scene) { s.p.sender().ack(5) }},
		{"a gap", 20, func(s scene) {
			s.p.sender().ack(20)
			s.p.table.draw() // 21
			s.p.commit("t", 3)
			until(s.t, "the rows", func() bool { return s.p.sender().queued() == 3 })
			s.p.sender().ack(3)
		}},
		{"a held topic", 20, func(s scene) {
			s.p.sender().ack(20)
			s.p.sender().hold("forbidden", errAway)
			s.p.commit("forbidden", 2)
			s.p.commit("t", 3)
			until(s.t, "the rows", func() bool { return s.p.sender().queued() == 3 })
			s.p.sender().ack(3)
		}},
		{"returned", 0, func(s scene) {
			s.p.sender().hold("t", errAway)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newProcess(t, "me", newTable(), &kafkaLog{}, script{
					sender: func(s *sender) { s.manual = true },
					config: func(c *RelayConfig) { c.GapPatience = time.Hour },
				})
				p.table.proof = eventmodels.ProofClock
				p.table.add("t", 20)
				p.start()
				until(t, "the rows to be sent", func() bool { return p.sender() != nil && p.sender().queued() == 20 })
				c.play(scene{p, t})
				time.Sleep(time.Minute)
				p.table.mu.Lock()
				got := p.table.lease.DoneTo
				p.table.mu.Unlock()
				if got != c.want {
					t.Errorf("nothing is said to be left up to %d, want %d", got, c.want)
				}
			})
		})
	}
}
