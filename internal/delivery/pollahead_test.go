package delivery

import (
	"context"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// As much may wait as was admitted in 50 ms; what is admitted no more waits
// for nobody, and then a partition may hold no more than a little.
func TestPollAhead(t *testing.T) {
	limits, err := Limits{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s := newScheduler(&Config{
		Limits: limits, Slots: NewSlots(1),
		Handlers: []*Handler{{Name: "h", Topic: "orders", WireTopic: "orders", OnFailure: eventmodels.OnFailureDiscard, QueueDepth: 1, Run: func(context.Context, []*eventmodels.Message) error { return nil }}},
	})
	s.handlers[0].pausedSince = time.Unix(1, 0) // so that nothing is admitted but here
	now := time.Unix(100, 0)
	p := s.assign(at("orders", 0), now)
	feed := func(n int) {
		f := kafka.Fetched{TopicPartition: p.TopicPartition}
		for range n {
			f.Records = append(f.Records, recordOf(p.position.At))
			p.position.At++
		}
		f.Next = p.position
		s.feedPartition(p, &f, now)
	}
	admit := func(n int) {
		for range n {
			record, _ := p.backlog.first()
			p.backlog.drop(sizeOf(record))
			s.flow.shrank(p, &s.limits, s.wake.poller)
		}
	}
	rang := func() bool {
		select {
		case <-s.wake.poller:
			return true
		default:
			return false
		}
	}
	polls := func(when string, after time.Duration, want bool) {
		t.Helper()
		now = now.Add(after)
		if got := s.plan(now).poll; got != want {
			t.Errorf("%s: polls is %t with %d records waiting, of which %d may", when, got, s.flow.waiting, s.flow.ahead)
		}
	}

	polls("at first", 0, true)
	feed(1000)
	polls("with a full backlog", 0, false)
	rang()
	admit(899)
	if rang() {
		t.Error("told to poll with 101 records waiting")
	}
	admit(1)
	if !rang() {
		t.Error("not told to poll with 100 records waiting")
	}
	polls("with a little", 0, true)
	feed(4000)
	admit(1000)
	polls("1,000 admitted in 10 ms, 3,100 wait", 10*time.Millisecond, true)
	feed(8000)
	polls("too many wait", 0, false)
	rang()
	admit(1600)
	if !rang() {
		t.Errorf("not told to poll with as many waiting as were admitted in 50 ms")
	}
	polls("as many wait as were admitted in 50 ms", 0, true)
	polls("nothing admitted for a while", time.Second, false)
	admit(p.backlog.len() - limits.LowBacklog)
	polls("with a little again", 0, true)
}
