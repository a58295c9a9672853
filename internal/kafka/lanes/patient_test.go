package lanes

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

func newPatient(t *testing.T, edit func(*Config)) *script {
	return newScript(t, func(c *Config) {
		c.Patient = true
		edit(c)
	})
}

func TestPatientWaits(t *testing.T) {
	s := newPatient(t, func(c *Config) { c.MaxBatchRecords = 4 })
	s.m.send(s.now, rowsOf(10), byKey)
	for range 20 { // far beyond HoldAfter
		s.expect(4, 0)
		s.wait(10 * time.Second) // far beyond RequestTimeout
		s.m.advance(s.now)
		s.answer(kerr.NotLeaderForPartition)
		s.found(1, 1)
		s.wait(10 * time.Second)
	}
	s.told(strings.Repeat("failing0 ", 7)) // once a minute
	s.expect(4, 0)
	s.answer(nil)
	s.expect(4, 4)
	s.answer(nil)
	s.expect(2, 8)
	s.answer(nil)
	s.told("acked4 well0 acked4 acked2 ")
}

// Callers may wait without a limit, and nobody would know what for.
func TestPatientSaysWhatItWaitsFor(t *testing.T) {
	s := newPatient(t, func(*Config) {})
	fail := func() {
		t.Helper()
		s.expect(3, 0)
		s.answer(kerr.NotEnoughReplicas)
		s.wait(time.Second)
	}
	rows := rowsOf(3)
	s.m.send(s.now, rows, byKey)
	fail()
	fail()
	s.told("") // that passes
	s.wait(time.Second)
	s.expect(3, 0)
	n := s.m.notices[0]
	if n.topic != "t" || n.partition != 0 || n.lasting != 3*time.Second || !errors.Is(n.err, kerr.NotEnoughReplicas) {
		t.Errorf("said: %+v", n)
	}
	s.told("failing0 ")
	s.answer(kerr.RequestTimedOut)
	s.wait(30 * time.Second)
	fail()
	s.told("") // known
	s.wait(time.Minute)
	s.expect(3, 0)
	s.told("failing0 ")
	s.answer(nil)
	s.told("acked3 well0 ")

	// What nobody waits for any more is not complained of, and what is sent after
	// it does not begin as something that has failed for long.
	rows = rowsOf(3)
	s.m.send(s.now, rows, byKey)
	s.expect(3, 3)
	s.answer(kerr.NotEnoughReplicas)
	s.m.withdraw(rows)
	s.wait(time.Hour)
	s.m.advance(s.now)
	s.m.send(s.now, rowsOf(2), byKey)
	s.expect(2, 3)
	s.told("")
}

func TestPatientSaysThatATopicIsNotFound(t *testing.T) {
	s := newPatient(t, func(*Config) {})
	other := func() []*row {
		rows := rowsOf(2)
		for _, r := range rows {
			r.Topic = "other"
		}
		return rows
	}
	s.m.send(s.now, other(), byKey)
	s.m.advance(s.now)
	s.wait(3 * time.Second)
	s.m.advance(s.now)
	if n := s.m.notices[0]; n.topic != "other" || n.partition != -1 || n.err != errNotAnswered {
		t.Errorf("said: %+v", n)
	}
	s.told("failing0 ")
	s.m.looking = false
	s.m.missed(s.now, "other", errors.New("nobody answers"))
	s.wait(time.Minute)
	s.m.advance(s.now)
	s.told("failing0 ")
	s.m.found(s.now, "other", topicInfo{partitions: []partitionInfo{{leader: 1}}})
	s.told("well0 ")
}

func TestPatientGivesUpWhatIsForbidden(t *testing.T) {
	s := newPatient(t, func(c *Config) { c.MaxBatchRecords = 4 })
	s.m.send(s.now, rowsOf(10), byKey)
	s.expect(4, 0)
	s.answer(kerr.TopicAuthorizationFailed)
	var held *HeldError
	if err := s.m.notices[0].err; !errors.As(err, &held) || !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("error %v", err)
	}
	s.told("refused10 ")
	s.expect(0, 0)
	s.m.send(s.now, rowsOf(2), byKey) // it is tried again, at once
	s.expect(2, 0)
	s.answer(nil)
	s.told("acked2 ")
}

// A batch of unknown outcome that is given up has perhaps used its numbers.
func TestPatientGivesUpWhatMayBeWritten(t *testing.T) {
	s := newPatient(t, func(*Config) {})
	s.m.send(s.now, rowsOf(3), byKey)
	s.expect(3, 0)
	s.answer(kerr.RequestTimedOut)
	s.wait(time.Second)
	s.expect(3, 0)
	s.answer(kerr.TopicAuthorizationFailed)
	s.told("refused3 ")
	s.m.send(s.now, rowsOf(3), byKey)
	s.expect(2, 0) // with three, a broker could take them for those
	s.answer(kerr.OutOfOrderSequenceNumber)
	s.told("fenced0 ")
	s.m.identify(s.now, Identity{ProducerID: 9, Epoch: 2})
	s.expect(2, 0)
	s.answer(nil)
	s.expect(1, 2)
	s.answer(nil)
	s.told("acked2 acked1 ")
}

func TestPatientGivesUpWhatIsMissing(t *testing.T) {
	s := newPatient(t, func(*Config) {})
	advance := func() (looked bool) {
		w := s.m.advance(s.now)
		for _, r := range w.requests {
			s.r = r
			s.answer(kerr.UnknownTopicID)
		}
		return len(w.lookups) > 0
	}
	look := func(err error) {
		t.Helper()
		for i := 0; !advance(); i++ {
			if i == 100 {
				t.Fatal("it is not looked up")
			}
			s.wait(100 * time.Millisecond)
		}
		s.m.looking = false
		if err == nil {
			s.m.unknown(s.now, "t", kerr.UnknownTopicOrPartition)
		} else {
			s.m.missed(s.now, "t", err)
		}
	}
	s.m.send(s.now, rowsOf(3), byKey)
	s.expect(3, 0)
	s.answer(kerr.UnknownTopicID)
	look(nil)
	s.wait(time.Second)
	look(errors.New("nobody answers")) // from which nothing follows
	s.told("")
	look(nil)
	s.wait(time.Second)
	advance()
	s.told("failing0 ") // not missing for long enough
	s.wait(time.Second)
	advance()
	s.told("refused3 ")
	s.found(2, 1)
	s.m.send(s.now, rowsOf(3), byKey)
	s.expect(3, 0)
	s.answer(nil)
	s.told("recreated0 acked3 ")
}

func TestSendToAPartition(t *testing.T) {
	s := newPatient(t, func(*Config) {})
	s.found(1, 2)
	for _, partition := range []int32{1, 0, 1} {
		s.m.send(s.now, rowsOf(2), partition)
		if w := s.m.advance(s.now); len(w.requests) != 1 || w.requests[0].batches[0].lane.partition != partition {
			t.Fatalf("partition %d: %d requests", partition, len(w.requests))
		} else {
			s.r = w.requests[0]
		}
		s.answer(nil)
	}
	s.told("grown0 acked2 acked2 acked2 ")
	s.m.send(s.now, rowsOf(1), 2) // perhaps it is new
	s.m.send(s.now, rowsOf(1), 3)
	s.m.advance(s.now)
	s.told("")
	s.found(1, 3)
	s.told("grown0 refused1 ")
	s.expect(1, 0)
	s.answer(nil)
	s.told("acked1 ")
}

// A batch that was flying when its topic was created again with another number
// of partitions is not sent to the new one, whatever the answer is.
func TestStrayBatchIsReturned(t *testing.T) {
	for _, e := range []*kerr.Error{kerr.InvalidProducerEpoch, kerr.MessageTooLarge, kerr.RequestTimedOut} {
		t.Run(e.Message, func(t *testing.T) {
			s := newPatient(t, func(*Config) {})
			s.m.send(s.now, rowsOf(3), byKey)
			s.expect(3, 0)
			s.found(2, 2)
			s.answer(e)
			s.m.identify(s.now, Identity{ProducerID: 9, Epoch: 2})
			s.wait(time.Minute)
			s.expect(0, 0)
			returned := 0
			for _, n := range s.m.notices {
				if n.kind == noticeReturned {
					returned += len(n.rows)
				}
			}
			if returned != 3 || s.m.stats.Rows != 0 {
				t.Errorf("%d rows are returned, %d left", returned, s.m.stats.Rows)
			}
		})
	}
}
