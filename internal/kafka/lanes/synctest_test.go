//go:build synctests

package lanes_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// virtual runs a test in virtual time, with two brokers and a topic led by each,
// and the sender's own defaults.
func virtual(t *testing.T, run func(*testing.T, *eventembed.Broker, *relay), options ...option) {
	synctest.Test(t, func(t *testing.T) {
		var network eventembed.Network
		b := embed(t, eventembed.Brokers(2), eventembed.OnNetwork(&network), eventembed.Topics(1, "near", "far"))
		check(t, b.MoveLeader("near", 0, 0))
		check(t, b.MoveLeader("far", 0, 1))
		defaults := func(cfg *lanes.Config) { cfg.HoldAfter, cfg.MinBackoff, cfg.MaxBackoff = 0, 0, 0 }
		r := start(t, dial(t, b.Addrs(), kgo.Dialer(network.DialContext)), append([]option{defaults}, options...)...)
		run(t, b, r)
	})
}

// TestTenMinutesWithoutABroker: the other's topics go on, the one's take no
// memory and are tried every five seconds, and all is sent when it is back.
func TestTenMinutesWithoutABroker(t *testing.T) {
	virtual(t, func(t *testing.T, b *eventembed.Broker, r *relay) {
		far, near := keyed("far", 10, 3), keyed("near", 10, 3)
		r.send(append(far[:10:10], near...)...)
		r.settled()
		check(t, b.Cut(1))
		begin, requests := time.Now(), r.sender.Stats().Requests
		for time.Since(begin) < 10*time.Minute {
			more, others := keyed("far", 1000, 3), keyed("near", 10, 3)
			far, near = append(far, more...), append(near, others...)
			r.send(append(more, others...)...)
			r.ackedOf("near", len(near))
			time.Sleep(10 * time.Second)
			if s := r.sender.Stats(); s.Rows > 1000 {
				t.Fatalf("%d rows are kept", s.Rows)
			}
		}
		if r.holds != 1 {
			t.Errorf("held %d times", r.holds)
		}
		// 60 for near, and for far one in four to five seconds after the first
		// few: the pauses of five seconds are up to a fifth shorter.
		if n := r.sender.Stats().Requests - requests; n > 60+170 {
			t.Errorf("%d requests", n)
		}
		check(t, b.Restore(1))
		restored := time.Now()
		r.settled()
		if d := time.Since(restored); d > 6*time.Second {
			t.Errorf("sent %v after the broker was back", d)
		}
		for topic, rows := range map[string][]*row{"far": far, "near": near} {
			if again := stored(t, must[[]*kgo.Record](t)(b.Records(topic)), rows); again > 0 {
				t.Errorf("%d records are stored again in %s", again, topic)
			}
		}
	})
}

// TestHoldAfter: errors that go away hold a topic after two seconds, a broker
// that does not answer after five.
func TestHoldAfter(t *testing.T) {
	held := func(t *testing.T, r *relay, want time.Duration) {
		t.Helper()
		begin := time.Now()
		r.send(keyed("far", 10, 3)...)
		r.until("far is held", func() bool { return r.held["far"] != nil })
		if d := time.Since(begin); d < want || d > want+2*time.Second {
			t.Errorf("held after %v, want %v", d, want)
		}
	}
	t.Run("errors", func(t *testing.T) {
		virtual(t, func(t *testing.T, b *eventembed.Broker, r *relay) {
			fault := b.Fail(eventembed.Match{Requests: produce, Topic: "far"}, kerr.NotEnoughReplicas)
			held(t, r, 2*time.Second)
			fault.Remove()
			r.settled()
		})
	})
	t.Run("silence", func(t *testing.T) {
		virtual(t, func(t *testing.T, b *eventembed.Broker, r *relay) {
			stall := b.Stall(eventembed.Match{Requests: produce, Topic: "far"})
			held(t, r, 5*time.Second)
			stall.Remove()
			r.settled()
		})
	})
}

// TestPatienceIsLogged: a partition that fails for minutes is worth a line in each
// of them, and one when it is well.
func TestPatienceIsLogged(t *testing.T) {
	var log strings.Builder // written to by the sender, which reports one thing at a time
	virtual(t, func(t *testing.T, b *eventembed.Broker, r *relay) {
		fault := b.Fail(eventembed.Match{Requests: produce, Topic: "far"}, kerr.NotEnoughReplicas)
		r.send(keyed("far", 10, 3)...)
		r.send(keyed("near", 10, 3)...)
		r.ackedOf("near", 10)
		time.Sleep(9*time.Minute + 30*time.Second)
		fault.Remove()
		r.settled()
		synctest.Wait()
		for line, want := range map[string]int{
			"cannot be written": 10, "can be written again": 1, "wire_topic=far partition=0": 11, "NOT_ENOUGH_REPLICAS": 10, "near": 0,
		} {
			if n := strings.Count(log.String(), line); n != want {
				t.Errorf("%q is said %d times, want %d:\n%s", line, n, want, log.String())
			}
		}
	}, func(cfg *lanes.Config) {
		cfg.Patient, cfg.Logger = true, slog.New(slog.NewTextHandler(&log, nil))
	})
}
