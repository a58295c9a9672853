package lanes

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestWithdraw(t *testing.T) {
	s := newPatient(t, func(c *Config) { c.MaxBatchRecords = 3 })
	rows := rowsOf(8)
	s.m.send(s.now, rows, byKey)
	s.expect(3, 0)
	withdraw := func(rows []*row, want int) {
		t.Helper()
		if got := s.m.withdraw(rows); len(got) != want {
			t.Errorf("%d rows are withdrawn, want %d", len(got), want)
		}
	}
	withdraw(append(rows[1:3:3], rows[4], rows[6]), 2) // two are flying
	withdraw(rows[4:5], 0)
	s.answer(kerr.InvalidRecord, 1)
	s.expect(1, 0)
	withdraw(rows[2:3], 1) // a part
	s.answer(kerr.RequestTimedOut)
	withdraw(rows, 4) // 1, 3, 5 and 7; 0 may be written
	s.wait(time.Second)
	s.expect(1, 0)
	s.answer(kerr.NotEnoughReplicas)
	s.wait(time.Minute)
	s.expect(1, 0)
	s.answer(nil)
	s.expect(0, 0)
	s.told("failing0 acked1 well0 ")
	if s.m.stats.Rows != 0 {
		t.Errorf("%d rows are left", s.m.stats.Rows)
	}
}

// A lane that had to wait goes on waiting when there is something to send again.
func TestWithdrawKeepsTheBackoff(t *testing.T) {
	s := newPatient(t, func(*Config) {})
	s.found(1, 2)
	l := s.m.topics["t"].lanes[1]
	rows := rowsOf(1)
	s.m.send(s.now, rows, 1)
	s.expect(1, 0)
	s.answer(kerr.NotEnoughReplicas)
	s.m.withdraw(rows)
	if l.state != idle {
		t.Fatalf("the lane is %v", l.state)
	}
	s.m.send(s.now, rowsOf(2), 1)
	s.expect(0, 0)
	s.wait(time.Second)
	s.expect(2, 0)
}

// A lane without leader is looked up again for what comes while it waits.
func TestWithdrawFromALaneWithoutLeader(t *testing.T) {
	s := newPatient(t, func(c *Config) { c.MinBackoff, c.MaxBackoff = time.Second, time.Second })
	electing := topicInfo{id: topicID{1}, partitions: []partitionInfo{{leader: noLeader}}}
	rows := rowsOf(1)
	s.m.send(s.now, rows, byKey)
	s.expect(1, 0)
	s.answer(kerr.NotEnoughReplicas)
	s.m.withdraw(rows)
	s.m.advance(s.now)
	s.m.found(s.now, "t", electing) // for nobody, so that there is no next lookup
	s.m.send(s.now, rowsOf(2), byKey)
	looked := false
	for range 10 {
		w := s.m.advance(s.now)
		if looked = len(w.lookups) > 0; looked {
			break
		}
		if w.wake.IsZero() {
			t.Fatal("rows wait for a leader that nobody looks for")
		}
		s.now = w.wake
	}
	if !looked {
		t.Fatal("it is not looked up")
	}
	s.m.looking = false
	s.found(1, 1)
	s.wait(time.Second)
	s.expect(2, 0)
}

// What was found out for rows that are withdrawn says nothing about those that
// come later: the topic may have been created since.
func TestWithdrawForgetsWhatWasMissing(t *testing.T) {
	s := newPatient(t, func(*Config) {})
	rows := rowsOf(1)
	s.m.send(s.now, rows, byKey)
	s.expect(1, 0)
	s.answer(kerr.UnknownTopicID)
	s.m.advance(s.now)
	s.m.looking = false
	s.m.unknown(s.now, "t", kerr.UnknownTopicOrPartition)
	s.m.withdraw(rows)
	s.wait(time.Hour)
	s.m.advance(s.now) // the last lookup that was to come
	s.m.looking = false
	s.m.unknown(s.now, "t", kerr.UnknownTopicOrPartition)
	s.m.advance(s.now)
	s.wait(time.Hour)
	s.m.send(s.now, rowsOf(2), byKey)
	s.expect(2, 0)
	s.answer(kerr.UnknownTopicID)
	s.m.advance(s.now)
	s.told("")
	s.m.looking = false
	s.found(2, 1)
	s.wait(time.Second)
	s.expect(2, 0)
	s.answer(nil)
	s.told("recreated0 acked2 ")
}

// silent is a Report that is called by nobody.
type silent struct {
	Report
	t *testing.T
}

func (s silent) Fenced(Identity, error) {
	s.t.Error("who withdraws has to report what concerns others")
}

// Whoever withdraws has no more time: what is to be reported is left to others.
func TestWithdrawReportsNothing(t *testing.T) {
	client, err := kgo.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s, err := New(Config{Client: client, Report: silent{t: t}, Patient: true})
	if err != nil {
		t.Fatal(err)
	}
	rows := rowsOf(3)
	s.Send(rows)
	s.mu.Lock()
	s.m.fence(errSequenceLost)
	s.mu.Unlock()
	if got := s.Withdraw(rows); len(got) != 3 {
		t.Errorf("%d rows are withdrawn, want 3", len(got))
	}
	s.mu.Lock()
	s.m.notices = nil
	s.mu.Unlock()
	s.Stop(t.Context())
	if got := s.Withdraw(rows); got != nil {
		t.Errorf("%d rows are withdrawn from a sender that is stopped", len(got))
	}
}
