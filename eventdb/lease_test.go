package eventdb

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/seed46dd6f11/events/internal/kafka/lanes"
)

// Of two relays one works at a time, and every row is sent once.
func TestLeaseTwoRelays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		table, log := newTable(), &kafkaLog{}
		one := newProcess(t, "one", table, log, script{})
		two := newProcess(t, "two", table, log, script{})
		one.start()
		two.start()
		for n := range 100 {
			[]*process{one, two}[n%2].commit("t", 3)
			time.Sleep(20 * time.Millisecond)
			if one.Leading() && two.Leading() {
				t.Fatal("both relays lead")
			}
		}
		until(t, "an empty outbox", func() bool { return table.left() == 0 })
		if got := log.seqs(""); !slices.Equal(got, sequence(1, 300)) {
			t.Errorf("stored %v", got)
		}
	})
}

// A standby takes over within the lease's time of a relay that is gone without
// a word, and a little more than that at most.
func TestLeaseTakenOverAfterCrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		table, log := newTable(), &kafkaLog{}
		crash := newProcess(t, "crash", table, log, script{})
		crash.start()
		until(t, "a leader", crash.Leading)
		standby := newProcess(t, "standby", table, log, script{})
		standby.start()
		time.Sleep(time.Minute)

		crash.store.fail("", errHangs) // for everybody else it is gone
		gone := time.Now()
		table.add("t", 1)
		until(t, "the standby to relay", func() bool { return table.left() == 0 })
		if took := time.Since(gone); took > 11*time.Second {
			t.Errorf("the takeover took %v, the lease's time is 10 s", took)
		}
		crash.store.fail("", nil)
		until(t, "the old leader to stand by", func() bool { return !crash.Leading() })
	})
}

// Whose lease a process stands by for is said once for each holder.
func TestStandbyIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		table, log := newTable(), &kafkaLog{}
		leader := newProcess(t, "killed", table, log, script{})
		leader.start()
		until(t, "a leader", leader.Leading)
		standby := newProcess(t, "again", table, log, script{})
		standby.start()
		said := func() int { return strings.Count(standby.lines.String(), "stands by and takes over") }
		time.Sleep(time.Minute)
		if said() != 1 || !strings.Contains(standby.lines.String(), "owner=killed") {
			t.Errorf("said %d times in a minute: %s", said(), standby.lines)
		}

		leader.Stop()
		until(t, "the standby to relay", standby.Leading)
		table.steal()
		until(t, "the end of its lead", func() bool { return !standby.Leading() })
		time.Sleep(5 * time.Second)
		if said() != 2 || !strings.Contains(standby.lines.String(), "owner=thief") {
			t.Errorf("said %d times of two holders: %s", said(), standby.lines)
		}
	})
}

// After a graceful stop the standby takes over at once.
func TestLeaseTakenOverAfterStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		table, log := newTable(), &kafkaLog{}
		leader := newProcess(t, "leader", table, log, script{})
		leader.start()
		until(t, "a leader", leader.Leading)
		standby := newProcess(t, "standby", table, log, script{config: func(c *RelayConfig) { c.LeaseTime = time.Hour }})
		standby.start()
		time.Sleep(time.Minute + time.Millisecond/2)
		leader.Stop()
		stopped := time.Now()
		settle()
		if !standby.Leading() || !time.Now().Equal(stopped) {
			t.Error("the standby has not taken over at once")
		}
		if _, live := table.holder(); !live {
			t.Error("nobody holds the lease")
		}
	})
}

// A relay that cannot renew its lease stops sending before the database lets
// another one begin.
func TestLeaseNotRenewed(t *testing.T) {
	for _, failure := range []error{errAway, errHangs} {
		t.Run(failure.Error(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := start(t, script{sender: func(s *sender) { s.manual = true }})
				until(t, "a leader", p.Leading)
				time.Sleep(time.Minute)
				p.commit("t", 1)
				settle()
				p.store.fail("renew", failure)
				p.table.mu.Lock()
				expires := p.table.expires
				p.table.mu.Unlock()
				s := p.sender()
				until(t, "the end of sending", func() bool { return !s.stoppedAt().IsZero() })
				if stopped := s.stoppedAt(); stopped.After(expires) {
					t.Errorf("it sent for %v after its lease", stopped.Sub(expires))
				} else if early := expires.Sub(stopped); early > time.Second {
					t.Errorf("it gave up %v before its lease's end", early)
				}
				p.store.fail("renew", nil)
				until(t, "it to lead again", func() bool { return p.Leading() && p.sender() != s && p.sender().queued() == 1 })
				p.sender().ack(1)
			})
		})
	}
}

// A few failing renewals cost nothing.
func TestLeaseRenewedLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{})
		until(t, "a leader", p.Leading)
		first := p.sender()
		for range 20 {
			p.store.fail("renew", errAway)
			time.Sleep(6 * time.Second)
			p.store.fail("renew", nil)
			time.Sleep(6 * time.Second)
		}
		if p.sender() != first || !p.Leading() {
			t.Error("the lease was given up")
		}
	})
}

// A refused identity takes the next epoch; refused again, with nothing
// acknowledged between, a new producer id.
func TestFencedTakesAnotherIdentity(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{sender: func(s *sender) { s.manual = true }})
		until(t, "a leader", p.Leading)
		s := p.sender()
		began := s.identity()
		if began != (lanes.Identity{ProducerID: 101, Epoch: 0}) {
			t.Fatalf("began with %v", began)
		}
		refused := func(want lanes.Identity) {
			t.Helper()
			s.fence(kerr.OutOfOrderSequenceNumber)
			settle()
			if got := s.identity(); got != want {
				t.Fatalf("went on with %v, want %v", got, want)
			}
			if l, _ := p.table.holder(); l.ProducerID != want.ProducerID || l.Epoch != want.Epoch {
				t.Fatalf("the lease says %v, want %v", l, want)
			}
		}
		refused(lanes.Identity{ProducerID: 101, Epoch: 1})
		refused(lanes.Identity{ProducerID: 102, Epoch: 0})
		refused(lanes.Identity{ProducerID: 103, Epoch: 0})
		p.commit("t", 1)
		settle()
		s.ack(1)
		refused(lanes.Identity{ProducerID: 103, Epoch: 1})
		// The renewals know the new epoch.
		time.Sleep(time.Minute)
		if p.sender() != s || !p.Leading() {
			t.Error("the lease was lost by its holder's own change")
		}
	})
}

// A leader that is refused because another has the lease sends nothing more.
func TestFencedBySuccessor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{sender: func(s *sender) { s.manual = true }})
		until(t, "a leader", p.Leading)
		s := p.sender()
		p.commit("t", 1)
		settle()
		before := s.identity()
		p.table.steal()
		s.fence(kerr.InvalidProducerEpoch)
		settle()
		if s.stoppedAt().IsZero() || p.Leading() {
			t.Error("it goes on")
		}
		if s.identity() != before {
			t.Errorf("it took the identity %v without the lease", s.identity())
		}
		if l, _ := p.table.holder(); l.Owner != "thief" {
			t.Errorf("it took the lease back: %v", l)
		}
	})
}

// The database being away when the identity is refused delays the answer.
func TestFencedWhileDatabaseIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{sender: func(s *sender) { s.manual = true }})
		until(t, "a leader", p.Leading)
		s := p.sender()
		p.store.fail("producer", errAway)
		s.fence(kerr.UnknownProducerID)
		time.Sleep(5 * time.Second)
		p.store.fail("producer", nil)
		until(t, "another identity", func() bool { return s.identity() != (lanes.Identity{ProducerID: 101}) })
		if p.sender() != s {
			t.Error("the lease was given up")
		}
	})
}

// Kafka's epochs are 16 bits: before they end there is a new producer id, at a
// takeover and when an identity is refused.
func TestEpochsEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newProcess(t, "me", newTable(), &kafkaLog{}, script{sender: func(s *sender) { s.manual = true }})
		p.table.lease.ProducerID, p.table.lease.Epoch = 7, lastEpoch-1
		p.start()
		until(t, "a leader", p.Leading)
		if got, want := p.sender().identity(), (lanes.Identity{ProducerID: 7, Epoch: lastEpoch}); got != want {
			t.Fatalf("began with %v, want %v", got, want)
		}
		p.sender().fence(kerr.OutOfOrderSequenceNumber)
		settle()
		if got, want := p.sender().identity(), (lanes.Identity{ProducerID: 101, Epoch: 0}); got != want {
			t.Errorf("went on with %v, want %v", got, want)
		}
		p.Stop()

		p.table.mu.Lock()
		p.table.lease.Epoch = lastEpoch
		p.table.mu.Unlock()
		next := newProcess(t, "next", p.table, p.log, script{})
		next.start()
		until(t, "a leader", next.Leading)
		if got, want := next.sender().identity(), (lanes.Identity{ProducerID: 101, Epoch: 0}); got != want {
			t.Errorf("the successor began with %v, want %v", got, want)
		}
	})
}

// A stopped leader that wakes up writes nothing after its successor's first
// write, and nothing is lost.
func TestStoppedLeaderIsFenced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		table, log := newTable(), &kafkaLog{}
		old := newProcess(t, "old", table, log, script{sender: func(s *sender) { s.manual = true }})
		old.start()
		until(t, "a leader", old.Leading)
		old.commit("t", 3)
		settle() // a batch is in its hands
		s := old.sender()
		table.steal()
		table.mu.Lock()
		table.expires = time.Time{}
		table.mu.Unlock()

		successor := newProcess(t, "successor", table, log, script{})
		successor.start()
		until(t, "the successor's writes", func() bool { return table.left() == 0 })
		stored := len(log.seqs(""))
		s.ack(3) // the old one's request arrives
		settle()
		if got := len(log.seqs("")); got != stored {
			t.Errorf("the old leader wrote %d rows", got-stored)
		}
		if old.Leading() {
			t.Error("the old leader goes on")
		}
	})
}

// A lease that is free is not taken when the brokers do not answer.
func TestLeaseNeedsBrokers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{config: func(c *RelayConfig) {
			c.NewProducerID = func(context.Context) (int64, error) { return 0, errAway }
		}})
		until(t, "failures", func() bool { return p.failedTimes("lease") > 2 })
		if _, live := p.table.holder(); live {
			t.Error("it holds a lease with which it can do nothing")
		}
	})
	bubble(t, func(t *testing.T) {
		// Nor is it kept when the time for the whole is over.
		p := newProcess(t, "me", newTable(), &kafkaLog{}, script{config: func(c *RelayConfig) {
			c.NewProducerID = func(ctx context.Context) (int64, error) { <-ctx.Done(); return 0, context.Cause(ctx) }
			c.LeaseTime = time.Hour
		}})
		defer p.Stop()
		if err := p.Once(t.Context()); !errors.Is(err, errStopLimit) {
			t.Errorf("a pass without producer id: %v", err)
		}
		if _, live := p.table.holder(); live {
			t.Error("it keeps a lease with which it has done nothing")
		}
	})
}

// While brokers do not answer who is asked for another producer id, the lease is
// renewed; and when it cannot be, it is given up in time.
func TestLeaseWhileIdentityIsAskedFor(t *testing.T) {
	for _, renewed := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			answer := make(chan struct{})
			asked := 0
			p := start(t, script{
				sender: func(s *sender) { s.manual = true },
				config: func(c *RelayConfig) {
					c.NewProducerID = func(ctx context.Context) (int64, error) {
						if asked++; asked > 1 {
							select {
							case <-answer:
							case <-ctx.Done():
								return 0, ctx.Err()
							}
						}
						return int64(asked), nil
					}
				},
			})
			until(t, "a leader", p.Leading)
			s := p.sender()
			s.fence(kerr.UnknownProducerID) // takes the next epoch
			settle()
			s.fence(kerr.UnknownProducerID) // asks for a new id
			settle()
			if !renewed {
				p.store.fail("renew", errAway)
				p.table.mu.Lock()
				expires := p.table.expires
				p.table.mu.Unlock()
				until(t, "the end of sending", func() bool { return !s.stoppedAt().IsZero() })
				if stopped := s.stoppedAt(); stopped.After(expires) {
					t.Errorf("it sent for %v after its lease", stopped.Sub(expires))
				}
				p.store.fail("renew", nil)
				close(answer)
				return
			}
			time.Sleep(time.Minute)
			close(answer)
			settle()
			if !p.Leading() || p.sender() != s {
				t.Error("the lease was lost meanwhile")
			}
			if got, want := s.identity(), (lanes.Identity{ProducerID: 2}); got != want {
				t.Errorf("went on with %v, want %v", got, want)
			}
		})
	}
}

// A page that comes when the lease is over, since the process stood still, is
// not sent: its rows are the successor's, who may have sent and deleted them.
func TestLeaseOverWhenPageComes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var p *process
		var stand atomic.Bool
		p = newProcess(t, "me", newTable(), &kafkaLog{}, script{store: func(s *store) {
			s.after = func(op string) {
				if op == "read" && stand.CompareAndSwap(true, false) {
					s.fail("renew", errAway)
					time.Sleep(time.Minute)
					p.table.steal()
				}
			}
		}})
		p.start()
		until(t, "a leader", p.Leading)
		stand.Store(true)
		p.commit("t", 3)
		until(t, "the end of the leadership", func() bool { return !p.Leading() })
		if sent := p.sender().sentSeqs(); len(sent) > 0 {
			t.Errorf("sent %v without the lease", sent)
		}
	})
}
