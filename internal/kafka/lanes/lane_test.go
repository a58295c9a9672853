package lanes

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// script drives a machine by hand, with one topic that has one partition.
type script struct {
	t   *testing.T
	m   *machine
	now time.Time
	r   *request
}

func newScript(t *testing.T, edit func(*Config)) *script {
	cfg := Config{Identity: Identity{ProducerID: 9, Epoch: 1}}
	edit(&cfg)
	cfg = cfg.withDefaults()
	s := &script{t: t, m: newMachine(&cfg, func() float64 { return 0 }), now: time.Unix(1000, 0)}
	s.found(1, 1)
	return s
}

func (s *script) found(id byte, partitions int) {
	info := topicInfo{id: topicID{id}}
	for range partitions {
		info.partitions = append(info.partitions, partitionInfo{leader: 1})
	}
	s.m.found(s.now, "t", info)
}

// expect expects a request with n rows from a sequence number on; n 0: none.
func (s *script) expect(n int, seq int32) {
	s.t.Helper()
	w := s.m.advance(s.now)
	if len(w.requests) == 0 && n == 0 {
		return
	}
	if len(w.requests) != 1 || len(w.requests[0].batches) != 1 {
		s.t.Fatalf("%d requests, want one of %d rows", len(w.requests), n)
	}
	s.r = w.requests[0]
	if b := s.r.batches[0]; len(b.rows) != n || b.sealed.seq != seq {
		s.t.Fatalf("%d rows from sequence number %d, want %d from %d", len(b.rows), b.sealed.seq, n, seq)
	}
}

// answer answers the last request.
func (s *script) answer(err *kerr.Error, bad ...int32) {
	a := answer{hint: partitionInfo{leader: noLeader}, answered: true, named: true, bad: bad}
	if err != nil {
		a.verdict, a.err = judge(err.Code), err
	}
	s.m.answered(s.now, s.r, []answer{a})
}

// told expects notices, by kind and number of rows.
func (s *script) told(want string) {
	s.t.Helper()
	got := ""
	for _, n := range s.m.notices {
		got += fmt.Sprint([]string{"acked", "refused", "returned", "held", "ready", "fenced", "recreated", "grown", "failing", "well"}[n.kind], len(n.rows), " ")
	}
	s.m.notices = nil
	if got != want {
		s.t.Fatalf("told %q, want %q", got, want)
	}
}

func (s *script) wait(d time.Duration) { s.now = s.now.Add(d) }

func TestSequencesAreContiguous(t *testing.T) {
	s := newScript(t, func(c *Config) { c.MaxBatchRecords = 4 })
	s.m.send(s.now, rowsOf(11), byKey)
	s.expect(4, 0)
	s.expect(0, 0) // one in flight
	s.answer(nil)
	s.expect(4, 4)
	s.answer(kerr.InvalidRecord, 1) // row 5
	s.expect(1, 4)
	s.answer(nil)
	s.expect(1, 5)
	s.answer(kerr.InvalidRecord)
	s.expect(2, 5) // 6, 7
	s.answer(nil)
	s.expect(3, 7)
	s.answer(nil)
	s.told("acked4 acked1 refused1 acked2 acked3 ")
}

func TestRetrySendsTheSameBytes(t *testing.T) {
	s := newScript(t, func(*Config) {})
	s.m.send(s.now, rowsOf(3), byKey)
	s.expect(3, 0)
	b := s.r.batches[0]
	if err := b.encode(0); err != nil {
		t.Fatal(err)
	}
	first := string(b.encoded.bytes)
	s.answer(kerr.RequestTimedOut)
	s.m.send(s.now, rowsOf(5), byKey)
	s.expect(0, 0) // not before its time
	s.wait(time.Second)
	s.expect(3, 0)
	if again := s.r.batches[0]; again != b || string(again.encoded.bytes) != first {
		t.Error("another batch, or other bytes")
	}
	s.answer(kerr.DuplicateSequenceNumber)
	s.expect(5, 3)
	s.told("acked3 ")
}

// TestDuplicateOfAnother: what is taken for a repetition at the first attempt is
// not stored; the identity is somebody else's, too.
func TestDuplicateOfAnother(t *testing.T) {
	s := newScript(t, func(*Config) {})
	s.m.send(s.now, rowsOf(3), byKey)
	s.expect(3, 0)
	s.answer(kerr.DuplicateSequenceNumber)
	s.expect(0, 0)
	s.told("fenced0 ")
	s.m.identify(s.now, Identity{ProducerID: 9, Epoch: 2})
	s.expect(3, 0)
}

func TestHoldKeepsWhatMayBeWritten(t *testing.T) {
	s := newScript(t, func(c *Config) { c.MaxBatchRecords = 4 })
	s.m.send(s.now, rowsOf(10), byKey)
	s.expect(4, 0)
	s.answer(kerr.RequestTimedOut)
	s.wait(time.Second)
	s.expect(4, 0)
	s.wait(2 * time.Second)
	s.answer(kerr.NotEnoughReplicas) // of the second attempt; the first is still unknown
	s.expect(0, 0)
	s.told("held0 returned6 ")
	if back := s.m.send(s.now, rowsOf(7), byKey); len(back) != 7 {
		t.Errorf("%d rows came back, want 7", len(back))
	}
	s.wait(time.Second)
	s.expect(4, 0)
	s.answer(nil)
	s.told("acked4 ready0 ")
	if back := s.m.send(s.now, rowsOf(7), byKey); len(back) != 7 {
		t.Errorf("%d rows came back before Resume, want 7", len(back))
	}
	s.m.resume("t")
	s.m.send(s.now, rowsOf(2), byKey)
	s.expect(2, 4)
}

func TestHoldProbesWithOneRow(t *testing.T) {
	s := newScript(t, func(c *Config) { c.MaxBatchRecords = 4 })
	s.m.send(s.now, rowsOf(10), byKey)
	s.expect(4, 0)
	s.answer(kerr.TopicAuthorizationFailed)
	s.told("held0 returned9 ")
	for range 20 {
		s.wait(5 * time.Second)
		s.expect(1, 0)
		s.answer(kerr.TopicAuthorizationFailed)
	}
	s.wait(5 * time.Second)
	s.expect(1, 0)
	s.answer(nil)
	s.told("acked1 ready0 ")
}

// TestGivenUpBatch: after a batch that may have been written was given up, none
// with as many records follows, which the broker could take for it.
func TestGivenUpBatch(t *testing.T) {
	s := newScript(t, func(c *Config) { c.MaxBatchRecords = 4 })
	s.m.send(s.now, rowsOf(4), byKey)
	s.expect(4, 0)
	s.answer(kerr.RequestTimedOut)
	s.m.send(s.now, rowsOf(40), byKey)
	s.wait(time.Second)
	s.expect(4, 0)
	s.answer(kerr.InvalidRecord, 0, 1, 2, 3)
	for range 4 {
		s.expect(1, 0)
		s.answer(kerr.InvalidRecord)
	}
	s.expect(3, 0)
	s.answer(nil)
	s.expect(1, 3) // what was cut off
	s.answer(nil)
	s.expect(4, 4)
	s.told("refused1 refused1 refused1 refused1 acked3 acked1 ")
}

func TestGivenUpRow(t *testing.T) {
	s := newScript(t, func(*Config) {})
	s.m.send(s.now, rowsOf(1), byKey)
	s.expect(1, 0)
	s.answer(kerr.RequestTimedOut)
	s.wait(time.Second)
	s.expect(1, 0)
	s.answer(kerr.InvalidTimestamp) // it has become too old meanwhile
	s.m.send(s.now, rowsOf(3), byKey)
	s.expect(0, 0)
	s.told("refused1 fenced0 ")
	s.m.identify(s.now, Identity{ProducerID: 9, Epoch: 2})
	s.expect(3, 0)
}

// TestTopicThatComesBack: a broker that lags behind says that the topic is the
// one before. The sequence of each log goes on where it was.
func TestTopicThatComesBack(t *testing.T) {
	s := newScript(t, func(*Config) {})
	for _, step := range []struct {
		id  byte
		seq int32
	}{{1, 0}, {2, 0}, {1, 3}, {2, 3}, {2, 6}, {3, 0}, {2, 9}} {
		s.found(step.id, 1)
		s.m.send(s.now, rowsOf(3), byKey)
		s.expect(3, step.seq)
		s.answer(nil)
	}
}

func TestSequenceNumbersWrap(t *testing.T) {
	s := newScript(t, func(*Config) {})
	s.m.send(s.now, rowsOf(1), byKey)
	s.expect(1, 0)
	s.answer(nil)
	s.m.topics["t"].lanes[0].seq = 1<<31 - 3
	s.m.send(s.now, rowsOf(5), byKey)
	s.expect(5, 1<<31-3)
	s.answer(nil)
	s.m.send(s.now, rowsOf(5), byKey)
	s.expect(5, 2)
}

// What was given up with an unknown outcome while topics were named by their
// names, under the first sequence numbers of all, is not forgotten when the
// brokers begin to know topics by their ids: the log is the same.
func TestEnterRemembersWhatWasGivenUp(t *testing.T) {
	l := &lane{topic: &topic{}}
	l.queue = []*row{{}, {}, {}}
	l.take(1<<20, 10).uncertain = true
	l.forsake()
	l.release()
	l.enter(topicID{1})
	if l.below != 3 {
		t.Errorf("a batch of %d records would be taken for a repetition of the one that was given up", 3)
	}
}
