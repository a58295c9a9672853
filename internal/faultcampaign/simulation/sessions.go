package simulation

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/eventembed"
)

// sessions ends those of members of consumer groups that are gone, and
// rebalances that take too long, as Kafka does. The embedded broker (franz-go's
// kfake) does not always, and then the others wait for ever: a member whose
// answer to JoinGroup could not be delivered has no session timeout from then
// on; and a rebalance begins to count anew with each member that comes back, so
// that it does not end while one is missing, or was counted wrongly.
type sessions struct {
	world   *world
	prepare map[string]preparing // by group; of the world's goroutine

	mu    sync.Mutex
	heard map[string]time.Time // by member id: its last request
}

// preparing is a rebalance that waits for its members.
type preparing struct {
	epoch int32
	since time.Time
}

const (
	// silent is longer than the session timeout (20 s), with heartbeats each
	// second, of a member in a stable group.
	silent = 30 * time.Second
	// waiting is longer than the answer to a JoinGroup takes: the rebalance
	// timeout (60 s), and 10 s after which a client tries again.
	waiting = 80 * time.Second
	// stuck is longer than a rebalance takes, with a member that is missing.
	stuck = 100 * time.Second
	// look is the time between two looks at the groups.
	look = 5 * time.Second
)

// watchSessions begins to listen to the members.
func (w *world) watchSessions() *sessions {
	s := &sessions{world: w, prepare: make(map[string]preparing), heard: make(map[string]time.Time)}
	w.broker.Observe(eventembed.Match{
		Requests: []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat},
		When:     func(r kmsg.Request) bool { s.hear(r); return false },
	})
	return s
}

func (s *sessions) hear(r kmsg.Request) {
	var id string
	switch r := r.(type) {
	case *kmsg.JoinGroupRequest:
		id = r.MemberID
	case *kmsg.SyncGroupRequest:
		id = r.MemberID
	case *kmsg.HeartbeatRequest:
		id = r.MemberID
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard[id] = time.Now()
}

// expire throws the members out that are gone.
func (s *sessions) expire() {
	for _, name := range []string{shop.String(), search.String()} {
		g, _ := s.world.broker.Group(name)
		allowed := waiting
		if g.State == "Stable" {
			allowed = silent
		}
		over := s.over(name, g)
		leave := kmsg.NewPtrLeaveGroupRequest()
		leave.Group = name
		for _, m := range g.Members {
			if over || s.silence(m.ID) > allowed {
				member := kmsg.NewLeaveGroupRequestMember()
				member.MemberID = m.ID
				leave.Members = append(leave.Members, member)
			}
		}
		if len(leave.Members) == 0 {
			continue
		}
		s.world.steps.Go(func() {
			ctx, cancel := s.world.within()
			defer cancel()
			_, _ = s.world.stranger.plain.Request(ctx, leave) // what fails is tried again
		})
	}
}

// over says whether the group's rebalance has taken too long.
func (s *sessions) over(name string, g eventembed.Group) bool {
	p, ok := s.prepare[name]
	switch {
	case g.State != "PreparingRebalance":
		delete(s.prepare, name)
	case !ok || p.epoch != g.Epoch:
		s.prepare[name] = preparing{g.Epoch, time.Now()}
	case time.Since(p.since) > stuck:
		s.world.recorder.note("the rebalance of " + name + " does not end; its members are thrown out")
		delete(s.prepare, name)
		return true
	}
	return false
}

// silence is for how long nothing was heard of a member.
func (s *sessions) silence(id string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.heard[id]
	if !ok {
		last = time.Now()
		s.heard[id] = last
	}
	return time.Since(last)
}
