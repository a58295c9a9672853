package eventdb

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// What is committed reaches Kafka once, in order, and leaves the outbox.
func TestRelaySendsAndDeletes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{sender: func(s *sender) { s.latency = 3 * time.Millisecond }})
		for range 10 {
			p.commit("t", 70)
			time.Sleep(2 * time.Millisecond)
		}
		until(t, "an empty outbox", func() bool { return p.table.left() == 0 })
		if got := p.log.seqs(""); !slices.Equal(got, sequence(1, 700)) {
			t.Errorf("stored %d rows, not 1 to 700 in order: %v", len(got), got)
		}
	})
}

// What endangers events is said when the relay starts, once.
func TestConcernsAreLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{store: func(s *store) { s.concerns = []string{"fsync is off"} }})
		time.Sleep(time.Hour)
		if n := strings.Count(p.lines.String(), "fsync is off"); n != 1 {
			t.Errorf("said %d times: %s", n, p.lines)
		}
	})
}

// A commit wakes an idle relay; a row of another process is found by polling.
func TestRelayWakesUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{config: func(c *RelayConfig) { c.Poll = time.Minute; c.LeaseTime = time.Hour }})
		time.Sleep(10 * time.Minute) // the poll has slowed down
		began := time.Now()
		p.commit("t", 1)
		settle()
		if p.table.left() != 0 || !time.Now().Equal(began) {
			t.Errorf("the commit did not wake the relay: %d rows left", p.table.left())
		}

		time.Sleep(10 * time.Minute)
		p.table.add("t", 1) // nobody says so
		time.Sleep(time.Minute)
		settle()
		if p.table.left() != 0 {
			t.Error("polling has not found the row within the sleep time")
		}
	})
}

// An idle relay slows down to its poll time.
func TestRelayIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{config: func(c *RelayConfig) { c.Poll = time.Second }})
		time.Sleep(time.Minute)
		settle()
		if reads := p.table.readCount(); reads < 50 || reads > 80 {
			t.Errorf("%d reads of an empty outbox in a minute with a poll of a second", reads)
		}
	})
}

// Wake-ups of another process come through the database.
func TestRelayHearsOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		table, log := newTable(), &kafkaLog{}
		slow := func(c *RelayConfig) { c.Poll = time.Hour; c.LeaseTime = time.Hour }
		leader := newProcess(t, "leader", table, log, script{config: slow})
		leader.start()
		until(t, "a leader", leader.Leading)
		standby := newProcess(t, "standby", table, log, script{config: slow})
		standby.start()
		time.Sleep(3 * time.Hour)

		standby.commit("t", 5)
		settle()
		if table.left() != 0 {
			t.Errorf("%d rows left: the leader was not woken", table.left())
		}
		if standby.Leading() || standby.sender() != nil {
			t.Error("the other process sent them itself")
		}
	})
}

// What was said while nobody listened is looked for when somebody does.
func TestRelayListensAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{
			config: func(c *RelayConfig) { c.Poll = time.Hour; c.LeaseTime = 10 * time.Hour },
			store:  func(s *store) { s.fail("listen", errAway) },
		})
		time.Sleep(3 * time.Hour)
		p.table.add("t", 1)
		if err := p.table.open().Wake(context.Background(), "scope"); err != nil {
			t.Fatal(err)
		}
		p.store.fail("listen", nil)
		time.Sleep(10 * time.Second)
		settle()
		if p.table.left() != 0 {
			t.Error("the row waits for the poll")
		}
	})
}

// A process that stands by is woken by every commit of the others, and does not
// ask for the lease that often.
func TestStandbyRests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		table, log := newTable(), &kafkaLog{}
		leader := newProcess(t, "leader", table, log, script{})
		leader.start()
		until(t, "a leader", leader.Leading)
		var looks atomic.Int64
		standby := newProcess(t, "standby", table, log, script{store: func(s *store) {
			s.after = func(op string) {
				if op == "look" {
					looks.Add(1)
				}
			}
		}})
		standby.start()
		for range 10_000 {
			standby.commit("t", 1)
			time.Sleep(time.Millisecond)
		}
		if n := looks.Load(); n > 10_000/50+10 {
			t.Errorf("%d looks at the lease in ten seconds", n)
		}
		leader.Stop()
		time.Sleep(standbyRest)
		settle()
		if !standby.Leading() {
			t.Error("it does not take over at once")
		}
	})
}

// A seq whose transaction commits late is sent late, and none is lost, where
// only time can prove that a gap stays one.
func TestRelayReadsGaps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newProcess(t, "me", newTable(), &kafkaLog{}, script{config: func(c *RelayConfig) { c.GapPatience = time.Minute }})
		p.table.proof = eventmodels.ProofClock
		first := p.table.draw()
		p.commit("t", 2) // 2 and 3
		never := p.table.draw()
		p.commit("t", 1) // 5
		p.start()
		until(t, "three rows", func() bool { return len(p.log.seqs("")) == 3 })
		time.Sleep(30 * time.Second)
		p.table.put(first, "t", "k", nil)
		until(t, "the late row", func() bool { return p.table.left() == 0 })
		if got, want := p.log.seqs(""), []int64{2, 3, 5, 1}; !slices.Equal(got, want) {
			t.Errorf("stored %v, want %v", got, want)
		}
		time.Sleep(2 * time.Minute)
		settle()
		p.table.mu.Lock()
		last := p.table.reads[len(p.table.reads)-1]
		p.table.mu.Unlock()
		if len(last.Gaps) != 0 {
			t.Errorf("seq %d is still asked for after the patience: %v", never, last.Gaps)
		}
	})
}

// All of an idle outbox is looked at again now and then: a row that was taken
// for one that will never come is sent after all.
func TestRelayAudits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newProcess(t, "me", newTable(), &kafkaLog{}, script{config: func(c *RelayConfig) { c.Rescan = time.Hour }})
		lost := p.table.draw()
		p.table.add("t", 1)
		p.start() // ProofSerial: the gap is closed at once
		until(t, "an empty outbox", func() bool { return p.table.left() == 0 })
		p.table.put(lost, "t", "k", nil)
		time.Sleep(30 * time.Minute)
		if p.table.left() != 1 {
			t.Fatal("the row was found before the audit")
		}
		time.Sleep(31 * time.Minute)
		settle()
		if p.table.left() != 0 {
			t.Error("the audit has not found the row")
		}
		p.table.mu.Lock()
		defer p.table.mu.Unlock()
		p.table.wrong = nil // the table, and not the relay
	})
}

// A row that is deleted while a page with it is on its way is not sent again.
func TestRelayRowDeletedDuringRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var (
			p      *process
			anew   atomic.Bool // the next read is one from the beginning
			during atomic.Bool // that page is on its way no more
		)
		p = newProcess(t, "me", newTable(), &kafkaLog{}, script{
			store: func(s *store) {
				s.after = func(op string) {
					if op == "read" && anew.CompareAndSwap(true, false) {
						// The page has rows 1 to 3, which are in flight.
						p.sender().ack(3)
						time.Sleep(time.Second)
						if left := s.left(); left != 0 {
							t.Errorf("%d rows are not deleted while the page is on its way", left)
						}
						during.Store(true)
					}
				}
			},
			sender: func(s *sender) { s.manual = true },
		})
		p.table.add("t", 3)
		p.start()
		until(t, "the rows to be sent", func() bool { return p.sender() != nil && p.sender().queued() == 3 })
		p.store.fail("read", errAway)
		p.Wake()
		until(t, "a failed read", func() bool { return p.failedTimes("read") > 0 })
		anew.Store(true)
		p.store.fail("read", nil)
		until(t, "the read from the beginning", during.Load)
		p.commit("t", 1)
		until(t, "the next row", func() bool { return p.sender().queued() > 0 })
		if got := p.sender().sentSeqs(); !slices.Equal(got, sequence(1, 4)) {
			t.Errorf("sent %v, want each row once", got)
		}
		p.sender().ack(1)
	})
}

// After a failed read all is read from the beginning, and what is in flight is
// not sent a second time.
func TestRelayReadsAnewAfterError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{sender: func(s *sender) { s.manual = true }})
		until(t, "a leader", p.Leading)
		p.commit("t", 5)
		until(t, "the rows to be sent", func() bool { return p.sender().queued() == 5 })
		before := p.table.readCount()
		p.store.fail("read", errAway)
		p.commit("t", 2)
		until(t, "failures", func() bool { return p.failedTimes("read") > 3 })
		p.store.fail("read", nil)
		until(t, "the new rows", func() bool { return p.sender().queued() == 7 })
		p.table.mu.Lock()
		first := p.table.reads[before]
		p.table.mu.Unlock()
		if first.Hint != 0 {
			t.Errorf("the relay went on above %d: a server that was restored could have older rows", first.Hint)
		}
		if got := p.sender().sentSeqs(); !slices.Equal(got, sequence(1, 7)) {
			t.Errorf("sent %v, want 1 to 7 once each", got)
		}
		p.sender().ack(7)
		until(t, "an empty outbox", func() bool { return p.table.left() == 0 })
	})
}

// A read that fails is not tried again with each commit.
func TestRelayRestsAfterError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{})
		until(t, "a leader", p.Leading)
		p.store.fail("read", errAway)
		for range 10_000 {
			p.commit("t", 1)
			time.Sleep(time.Millisecond)
		}
		if n := p.failedTimes("read"); n > 20 {
			t.Errorf("%d attempts in ten seconds", n)
		}
		p.store.fail("read", nil)
		until(t, "an empty outbox", func() bool { return p.table.left() == 0 })
	})
}

// A relay that is pointed at another cluster sends nothing and says why.
func TestRelayClusterMismatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		table, log := newTable(), &kafkaLog{}
		first := newProcess(t, "production", table, log, script{})
		first.start()
		until(t, "a leader", first.Leading)
		first.Stop()
		wrong := newProcess(t, "staging", table, log, script{config: func(c *RelayConfig) {
			c.ClusterID = func(context.Context) (string, error) { return "another", nil }
		}})
		wrong.start()
		wrong.commit("t", 3)
		time.Sleep(time.Hour)
		settle()
		if len(log.seqs("")) != 0 || table.left() != 3 || wrong.sender() != nil {
			t.Error("events were sent to the wrong cluster")
		}
		if wrong.failedTimes("lease") == 0 {
			t.Error("the observer was not told")
		}
		for _, word := range []string{"cluster", "another", "events_lease"} {
			if !strings.Contains(wrong.lines.String(), word) {
				t.Errorf("the log does not say %q:\n%s", word, wrong.lines)
			}
		}
		err := wrong.onceElsewhere()
		if mismatch, ok := errors.AsType[*eventmodels.ClusterMismatchError](err); !ok || mismatch.Recorded != "cluster" || mismatch.Connected != "another" {
			t.Errorf("Once: %v, want a ClusterMismatchError", err)
		}
	})
}

// onceElsewhere is Once of a relay of the same configuration.
func (p *process) onceElsewhere() error {
	r := NewRelay(p.cfg)
	defer r.Stop()
	return r.Once(context.Background())
}

// A store that cannot be opened is told at once.
func TestRelayStartFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newProcess(t, "me", newTable(), &kafkaLog{}, script{config: func(c *RelayConfig) {
			c.Open = func(context.Context) (eventmodels.OutboxStore, error) { return nil, errAway }
		}})
		if err := p.Start(context.Background()); !errors.Is(err, errAway) {
			t.Errorf("Start: %v", err)
		}
		p.Stop()
		if err := p.Start(context.Background()); err == nil {
			t.Error("Start after Stop succeeded")
		}
	})
}
