package eventdb

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
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
