package eventdb

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

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
