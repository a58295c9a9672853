package eventdb

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/seed46dd6f11/events/eventmodels"
)

// stopTime stops a relay and returns how long that took.
func stopTime(p *process) time.Duration {
	began := time.Now()
	p.Stop()
	return time.Since(began)
}

// Stop sends what was committed before it, and releases the lease.
func TestStopMakesLastPass(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{sender: func(s *sender) { s.latency = 100 * time.Millisecond }, config: func(c *RelayConfig) { c.Poll = time.Hour }})
		until(t, "a leader", p.Leading)
		p.table.add("t", 1500) // of another process: nobody wakes the relay
		p.Stop()
		if p.table.left() != 0 {
			t.Errorf("%d rows left", p.table.left())
		}
		if got := p.log.seqs(""); !slices.Equal(got, sequence(1, 1500)) {
			t.Errorf("stored %d rows", len(got))
		}
		if _, live := p.table.holder(); live {
			t.Error("the lease is not released")
		}
		if !p.store.closed.Load() {
			t.Error("the store is open")
		}
		p.Stop() // again
	})
}

// A held topic does not keep a relay from stopping soon.
func TestStopWithHeldTopic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{sender: func(s *sender) { s.manual = true }})
		until(t, "a leader", p.Leading)
		p.commit("ill", 3)
		settle()
		p.sender().hold("ill", errAway)
		settle()
		if took := stopTime(p); took > time.Second {
			t.Errorf("Stop took %v", took)
		}
		if p.table.left() != 3 {
			t.Errorf("%d rows left, want 3", p.table.left())
		}
	})
}

// Whatever hangs or fails, Stop comes back: within the limit of the last pass,
// that of the deletes, and the lease's time.
func TestStopIsBounded(t *testing.T) {
	for _, operation := range []string{"read", "delete", "renew", "release", "producer", "wake", "listen", "look", ""} {
		for _, failure := range []error{errAway, errHangs} {
			t.Run(operation+" "+failure.Error(), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					p := start(t, script{config: func(c *RelayConfig) { c.BatchSize = 5; c.MaxRows = 10 }})
					until(t, "a leader", p.Leading)
					p.store.fail(operation, failure)
					p.commit("t", 200)
					time.Sleep(time.Second)
					if took := stopTime(p); took > 35*time.Second {
						t.Errorf("Stop took %v", took)
					}
				})
			})
		}
	}
}

// Brokers that do not answer keep neither a relay that waits for the lease nor
// one that has it from stopping.
func TestStopWithoutBrokers(t *testing.T) {
	t.Run("not yet leading", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := start(t, script{config: func(c *RelayConfig) {
				c.ClusterID = func(ctx context.Context) (string, error) {
					<-ctx.Done()
					return "", ctx.Err()
				}
			}})
			p.commit("t", 1)
			time.Sleep(time.Minute)
			if took := stopTime(p); took > 15*time.Second {
				t.Errorf("Stop took %v", took)
			}
		})
	})
	t.Run("leading", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := start(t, script{sender: func(s *sender) { s.manual = true }})
			until(t, "a leader", p.Leading)
			p.commit("t", 1)
			settle()
			if took := stopTime(p); took > 15*time.Second {
				t.Errorf("Stop took %v", took)
			}
			if _, live := p.table.holder(); live {
				t.Error("the lease is not released")
			}
		})
	})
	t.Run("fenced", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := start(t, script{
				sender: func(s *sender) { s.manual = true },
				config: func(c *RelayConfig) {
					asked := false
					c.NewProducerID = func(ctx context.Context) (int64, error) {
						if !asked {
							asked = true
							return 1, nil
						}
						<-ctx.Done()
						return 0, ctx.Err()
					}
				},
			})
			until(t, "a leader", p.Leading)
			p.sender().fence(kerr.UnknownProducerID)
			settle()
			p.sender().fence(kerr.UnknownProducerID) // asks for a new id
			settle()
			if took := stopTime(p); took > 35*time.Second {
				t.Errorf("Stop took %v", took)
			}
		})
	})
}

// Missed says whether somebody has to look after a stopped relay.
func TestMissed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := start(t, script{})
		until(t, "a leader", p.Leading)
		p.commit("t", 3)
		p.Stop() // the last pass has seen the commit, whether it has woken the relay or not
		if p.Missed() {
			t.Error("Missed, but everything was relayed")
		}
		p.commit("t", 1)
		if !p.Missed() {
			t.Error("a commit after the stop is not noticed")
		}
	})
	bubble(t, func(t *testing.T) {
		// A relay that is stopped before it has begun.
		p := newProcess(t, "me", newTable(), &kafkaLog{}, script{})
		p.table.add("t", 1)
		p.start()
		p.Stop()
		if p.table.left() > 0 && !p.Missed() {
			t.Error("what was committed before the stop is left")
		}
	})
	bubble(t, func(t *testing.T) {
		// A commit behind the last read.
		var p *process
		p = newProcess(t, "me", newTable(), &kafkaLog{}, script{store: func(s *store) {
			s.after = func(op string) {
				if op == "release" {
					p.commit("t", 1)
				}
			}
		}})
		p.start()
		until(t, "a leader", p.Leading)
		p.Stop()
		if !p.Missed() {
			t.Error("a commit during the stop is not noticed")
		}
	})
}

// Stop is safe before Start and when called several times, and what Start has
// opened after it is closed.
func TestStopBeforeStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newProcess(t, "me", newTable(), &kafkaLog{}, script{})
		p.Stop()
		p.Stop()
		<-p.Done()
		if err := p.Start(context.Background()); err == nil {
			t.Error("Start after Stop succeeded")
		}
		if p.opened.Load() > 0 && !p.store.closed.Load() {
			t.Error("the store that Start has opened stays open")
		}
	})
	bubble(t, func(t *testing.T) {
		p := start(t, script{})
		if err := p.Start(context.Background()); err == nil {
			t.Error("a second Start succeeded")
		}
		if p.opened.Load() != 1 {
			t.Errorf("the second Start opened a store, too")
		}
		p.commit("t", 1)
		until(t, "an empty outbox", func() bool { return p.table.left() == 0 })
	})
}

// Once relays what is there and gives the lease back; in the way of another's
// live lease it wakes that one.
func TestOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newProcess(t, "me", newTable(), &kafkaLog{}, script{})
		defer p.Stop()
		for n := range int64(3) {
			p.table.add("t", 2)
			if err := p.Once(context.Background()); err != nil {
				t.Fatal(err)
			}
			if got := p.log.seqs(""); !slices.Equal(got, sequence(1, 2*(n+1))) || p.table.left() != 0 {
				t.Fatalf("stored %v, %d left", got, p.table.left())
			}
			if _, live := p.table.holder(); live {
				t.Fatal("it keeps the lease")
			}
		}
		if p.opened.Load() != 1 {
			t.Errorf("the store was opened %d times", p.opened.Load())
		}

		p.commit("ill", 1)
		p.store.fail("read", errAway)
		if err := p.Once(context.Background()); !errors.Is(err, errAway) {
			t.Errorf("a read that fails: %v", err)
		}
		if _, live := p.table.holder(); live {
			t.Error("it keeps the lease after a failure")
		}
		p.store.fail("read", nil)

		leader := newProcess(t, "leader", p.table, p.log, script{config: func(c *RelayConfig) { c.Poll = time.Hour; c.LeaseTime = time.Hour }})
		leader.start()
		until(t, "an empty outbox", func() bool { return p.table.left() == 0 })
		time.Sleep(3 * time.Hour)
		p.table.add("t", 1)
		if err := p.Once(context.Background()); err != nil {
			t.Error(err)
		}
		settle()
		if p.table.left() != 0 {
			t.Error("the leader was not woken")
		}
	})
}

// Once comes back with the reason when a topic is held or its ctx ends.
func TestOnceFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newProcess(t, "me", newTable(), &kafkaLog{}, script{sender: func(s *sender) {
			s.manual = true
			time.AfterFunc(time.Second, func() { s.hold("t", errAway) })
		}})
		defer p.Stop()
		p.table.add("t", 2)
		if err := p.Once(context.Background()); !errors.Is(err, errAway) {
			t.Errorf("a held topic: %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second/2)
		defer cancel()
		if err := p.Once(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the end of ctx: %v", err)
		}
		if _, live := p.table.holder(); live {
			t.Error("it keeps the lease")
		}
		time.Sleep(time.Second)
	})
}

// What another process has committed during a pass, and left to it since it had
// the lease, is not forgotten.
func TestOnceMissed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		table, log := newTable(), &kafkaLog{}
		p := newProcess(t, "p", table, log, script{sender: func(s *sender) { s.manual = true }})
		q := newProcess(t, "q", table, log, script{})
		defer p.Stop()
		defer q.Stop()
		table.add("t", 1)
		passed := make(chan error, 1)
		go func() { passed <- p.Once(context.Background()) }()
		until(t, "a row on its way", func() bool { return p.sender() != nil && p.sender().queued() == 1 })

		table.add("t", 1)
		if err := q.Once(context.Background()); err != nil || q.sender() != nil {
			t.Fatalf("a pass while another process has the lease: %v", err)
		}
		p.sender().ack(1)
		if err := <-passed; err != nil {
			t.Fatal(err)
		}
		if !p.Missed() || q.Missed() {
			t.Errorf("Missed says %v, and %v of the other one, with %d rows left", p.Missed(), q.Missed(), table.left())
		}

		passed = make(chan error, 1)
		go func() { passed <- p.Once(context.Background()) }()
		until(t, "the second row on its way", func() bool { return p.sender().queued() == 1 })
		p.sender().ack(1)
		if err := <-passed; err != nil || p.Missed() || table.left() != 0 {
			t.Errorf("the pass that follows: %v; Missed says %v, %d rows left", err, p.Missed(), table.left())
		}
	})
	bubble(t, func(t *testing.T) {
		// The same of a relay that stops, and its lease taken over or not.
		for _, taken := range []bool{false, true} {
			table, log := newTable(), &kafkaLog{}
			p := newProcess(t, "p", table, log, script{
				sender: func(s *sender) { s.manual = true },
				store: func(s *store) {
					s.after = func(op string) {
						if op == "release" {
							time.Sleep(2 * time.Second)
						}
					}
				},
			})
			q := newProcess(t, "q", table, log, script{store: func(s *store) {
				if !taken {
					s.fail("acquire", errAway)
				}
			}})
			p.start()
			until(t, "a leader", p.Leading)
			p.commit("t", 1)
			until(t, "a row on its way", func() bool { return p.sender().queued() == 1 })
			stopped := make(chan struct{})
			go func() { p.Stop(); close(stopped) }()
			time.Sleep(time.Second)
			table.add("t", 1)
			if taken {
				q.start()
			}
			time.Sleep(time.Second)
			p.sender().ack(1)
			<-stopped
			if p.Missed() == taken {
				t.Errorf("lease taken over %v: Missed says %v, with %d rows left", taken, p.Missed(), table.left())
			}
			q.Stop()
		}
	})
}

// A pass that cannot begin ends in time.
func TestOnceIsBounded(t *testing.T) {
	for name, s := range map[string]script{
		"brokers": {config: func(c *RelayConfig) {
			c.ClusterID = func(ctx context.Context) (string, error) { <-ctx.Done(); return "", context.Cause(ctx) }
		}},
		"opening": {config: func(c *RelayConfig) {
			c.Open = func(ctx context.Context) (eventmodels.OutboxStore, error) {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
		}},
		"producer id, then sending": {
			config: func(c *RelayConfig) {
				next := c.NewProducerID
				c.NewProducerID = func(ctx context.Context) (int64, error) { wait(ctx, 7*time.Second); return next(ctx) }
				c.LeaseTime = time.Minute
			},
			sender: func(s *sender) { s.manual = true },
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newProcess(t, "me", newTable(), &kafkaLog{}, s)
				defer p.Stop()
				p.table.add("t", 1)
				began := time.Now()
				err := p.Once(context.Background())
				if took := time.Since(began); !errors.Is(err, errStopLimit) || took > 12*time.Second {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}
