//go:build synctests

package kafka

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/eventembed"
)

// virtualMember is a member that polls, in virtual time, and the warnings of its
// log. stop waits for it; it may have been closed before.
func (c *cluster) virtualMember(t *testing.T, d *eventembed.Dialer, edit func(*GroupConfig, *member)) (m *member, warnings *logged, stop func()) {
	t.Helper()
	m = &member{changed: make(chan struct{}), owned: make(map[TopicPartition]bool), next: make(map[TopicPartition]Offset)}
	warnings = new(logged)
	cfg := GroupConfig{Config: c.virtualConfig(t, d), Group: "g", Topics: []WireTopic{"t"}}
	cfg.Logger = warnings.logger(slog.LevelWarn)
	edit(&cfg, m)
	g, err := NewGroup(cfg, m)
	if err != nil {
		t.Fatal(err)
	}
	m.Group = g
	_, stopPolling := polling(g)
	return m, warnings, func() { g.Close(); stopPolling() }
}

// busyMember is one because of which a rebalance waits until done is closed.
func (c *cluster) busyMember(t *testing.T, n *eventembed.Network, done <-chan struct{}) (m *member, stop func()) {
	t.Helper()
	m, _, stop = c.virtualMember(t, n.Dialer("busy"), func(cfg *GroupConfig, m *member) {
		cfg.Balancers = []Balancer{Range()}
		m.onRevoked = func(context.Context, *member, []TopicPartition) { <-done }
	})
	return m, stop
}

// leaves calls Leave and Close and checks how long they take, up to a second.
func leaves(t *testing.T, m *member, limit, leave time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	err := m.Leave(ctx)
	if took := time.Since(began); took < leave || took >= leave+time.Second {
		t.Errorf("Leave took %v, which is not %v", took, leave)
	}
	began = time.Now()
	m.Group.Close()
	if took := time.Since(began); took >= time.Second {
		t.Errorf("Close took %v", took)
	}
	return err
}

func (c *cluster) members() int {
	g, _ := c.embed.Group("g")
	return len(g.Members)
}

// A member leaves while a rebalance waits for another one: at once, so that the
// rebalance ends without it.
func TestVirtualLeaveDuringRebalance(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster, n *eventembed.Network) {
		done := make(chan struct{})
		busy, stopBusy := c.busyMember(t, n, done)
		defer stopBusy()
		time.Sleep(5 * time.Second)
		goes, warnings, stopGoes := c.virtualMember(t, n.Dialer("goes"), func(cfg *GroupConfig, _ *member) { cfg.Balancers = []Balancer{Range()} })
		defer stopGoes()
		time.Sleep(5 * time.Second)
		if c.members() != 2 || goes.Joined() {
			t.Errorf("there is no rebalance that waits: %d members", c.members())
		}
		if err := leaves(t, goes, time.Minute, 0); err != nil {
			t.Error(err)
		}
		if c.members() != 1 {
			t.Errorf("%d members are left", c.members())
		}
		close(done)
		time.Sleep(5 * time.Second)
		if busy.holds() != 2 {
			t.Errorf("the other one has %d partitions", busy.holds())
		}
		if log := warnings.String(); log != "" {
			t.Errorf("it warned of\n%s", log)
		}
	})
}

// The same while the other one is dead, by a member that has a partition: it is
// told that it is revoked, and who stays gets it with those of the dead one.
func TestVirtualLeaveWithPartitionsDuringRebalance(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster, n *eventembed.Network) {
		dying := n.Dialer("dying")
		plain := func(*GroupConfig, *member) {}
		_, _, stopDead := c.virtualMember(t, dying, plain)
		defer stopDead()
		goes, warnings, stopGoes := c.virtualMember(t, n.Dialer("goes"), plain)
		defer stopGoes()
		time.Sleep(10 * time.Second)
		if goes.holds() != 1 {
			t.Fatalf("it has %d partitions", goes.holds())
		}
		dying.Cut()
		stays, _, stopStays := c.virtualMember(t, n.Dialer("stays"), plain)
		defer stopStays()
		time.Sleep(5 * time.Second)
		if err := leaves(t, goes, time.Minute, 0); err != nil {
			t.Error(err)
		}
		goes.mu.Lock()
		if last := goes.calls[len(goes.calls)-1]; last != "revoked 0" && last != "revoked 1" || len(goes.owned) != 0 {
			t.Errorf("it was told %v", goes.calls)
		}
		goes.mu.Unlock()
		time.Sleep(16 * time.Second) // 21 s after the other one's last heartbeat
		if stays.holds() != 2 {
			t.Errorf("who stays has %d partitions", stays.holds())
		}
		if log := warnings.String(); log != "" {
			t.Errorf("it warned of\n%s", log)
		}
	})
}

// Leaving in vain during a rebalance ends with ctx, if not before, and Close then
// ends at once: of a static member, too, which does not leave.
func TestVirtualLeaveDuringRebalanceInVain(t *testing.T) {
	for _, test := range []struct {
		name, instance string
		hinder         func(*eventembed.Dialer)
		limit, leave   time.Duration
	}{
		{name: "nobody answers", hinder: (*eventembed.Dialer).Stall, limit: 5 * time.Second, leave: 5 * time.Second},
		{name: "nobody is reached", hinder: (*eventembed.Dialer).Cut, limit: 5 * time.Second, leave: 0},
		{name: "static member", instance: "i", hinder: func(*eventembed.Dialer) {}, limit: 5 * time.Second, leave: 5 * time.Second},
		{name: "longer than the session", instance: "i", hinder: func(*eventembed.Dialer) {}, limit: time.Minute, leave: 20 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, c *cluster, n *eventembed.Network) {
				done := make(chan struct{})
				_, stopBusy := c.busyMember(t, n, done)
				defer stopBusy()
				defer close(done)
				time.Sleep(5 * time.Second)
				d := n.Dialer("goes")
				goes, _, stopGoes := c.virtualMember(t, d, func(cfg *GroupConfig, _ *member) {
					cfg.Balancers, cfg.InstanceID = []Balancer{Range()}, test.instance
				})
				defer stopGoes()
				time.Sleep(5 * time.Second)
				test.hinder(d)
				err := leaves(t, goes, test.limit, test.leave)
				if err == nil || test.leave > 0 && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Leave: %v", err)
				}
			})
		})
	}
}

// A coordinator that is only slow is waited for, and asked once.
func TestVirtualLeaveSlowly(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster, n *eventembed.Network) {
		m, _, stop := c.virtualMember(t, n.Dialer("goes"), func(*GroupConfig, *member) {})
		defer stop()
		time.Sleep(5 * time.Second)
		asked := c.embed.Delay(eventembed.Match{Requests: []kmsg.Key{kmsg.LeaveGroup}}, 8*time.Second)
		if err := leaves(t, m, time.Minute, 8*time.Second); err != nil {
			t.Error(err)
		}
		if asked.Hits() != 1 || c.members() != 0 {
			t.Errorf("asked %d times, %d members are left", asked.Hits(), c.members())
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if !slices.Equal(m.calls, []string{"assigned 0 1", "revoked 0 1"}) {
			t.Errorf("it was told %v", m.calls)
		}
	})
}
