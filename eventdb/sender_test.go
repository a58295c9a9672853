package eventdb

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
)

// kafkaLog is a Kafka cluster that has one partition and stores rows.
type kafkaLog struct {
	mu     sync.Mutex
	stored []stored
	latest lanes.Identity // the last one that has written
}

type stored struct {
	seq   int64
	topic string
	by    lanes.Identity
}

// write stores rows, unless the identity has been replaced.
func (k *kafkaLog) write(by lanes.Identity, rows []*eventmodels.OutboxRow) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if by.ProducerID == k.latest.ProducerID && by.Epoch < k.latest.Epoch {
		return kerr.InvalidProducerEpoch
	}
	k.latest = by
	for _, row := range rows {
		k.stored = append(k.stored, stored{row.Seq, row.Topic, by})
	}
	return nil
}

// seqs are what is stored of a topic; "" is of all.
func (k *kafkaLog) seqs(topic string) []int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	var seqs []int64
	for _, s := range k.stored {
		if topic == "" || s.topic == topic {
			seqs = append(seqs, s.seq)
		}
	}
	return seqs
}

// sender is a scripted [Sender] that keeps the promises of lanes.Sender. By
// itself it writes what it gets to the log and acknowledges it after latency;
// with manual, the test does.
type sender struct {
	log     *kafkaLog
	report  lanes.Report
	latency time.Duration
	manual  bool

	mu      sync.Mutex
	id      lanes.Identity
	queue   []*eventmodels.OutboxRow // not yet written
	sent    []int64                  // all that Send was given
	held    map[string]bool          // returned by Send until Resume
	ready   map[string]bool
	resumed []string
	fenced  bool
	started bool
	stopped time.Time // zero until Stop was called
	working bool

	work    sync.WaitGroup
	ctx     context.Context
	abandon context.CancelFunc
}

func newSender(log *kafkaLog, id lanes.Identity, report lanes.Report) *sender {
	s := &sender{log: log, id: id, report: report, held: make(map[string]bool), ready: make(map[string]bool)}
	s.ctx, s.abandon = context.WithCancel(context.Background())
	return s
}

func (s *sender) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
}

func (s *sender) Send(rows []*eventmodels.OutboxRow) {
	s.mu.Lock()
	var returned []*eventmodels.OutboxRow
	for _, row := range rows {
		s.sent = append(s.sent, row.Seq)
		if s.held[row.Topic] {
			returned = append(returned, row)
		} else if s.stopped.IsZero() {
			s.queue = append(s.queue, row)
		}
	}
	s.goOn()
	s.mu.Unlock()
	if len(returned) > 0 {
		s.report.Returned(returned)
	}
}

// goOn is called with the lock.
func (s *sender) goOn() {
	if s.manual || s.working || s.fenced || len(s.queue) == 0 || !s.stopped.IsZero() {
		return
	}
	s.working = true
	s.work.Go(s.writeAll)
}

func (s *sender) writeAll() {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 || s.fenced || !s.stopped.IsZero() && s.ctx.Err() != nil {
			s.working = false
			s.mu.Unlock()
			return
		}
		batch, id := s.queue, s.id
		s.queue = nil
		s.mu.Unlock()
		wait(s.ctx, s.latency)
		if s.ctx.Err() != nil {
			continue
		}
		if err := s.log.write(id, batch); err != nil {
			s.mu.Lock()
			s.queue = append(batch, s.queue...)
			s.mu.Unlock()
			s.fence(err)
			continue
		}
		s.acked(batch)
	}
}

// acked reports rows as the lanes do, which have one for each topic.
func (s *sender) acked(rows []*eventmodels.OutboxRow) {
	for len(rows) > 0 {
		n := slices.IndexFunc(rows, func(r *eventmodels.OutboxRow) bool { return r.Topic != rows[0].Topic })
		if n < 0 {
			n = len(rows)
		}
		s.report.Acked(rows[:n], 0, -1)
		rows = rows[n:]
	}
}

// ack writes and acknowledges the first n rows of the queue.
func (s *sender) ack(n int) {
	s.mu.Lock()
	batch := slices.Clone(s.queue[:n])
	s.queue = slices.Clone(s.queue[n:])
	id := s.id
	s.mu.Unlock()
	if err := s.log.write(id, batch); err != nil {
		s.fence(err)
		return
	}
	s.acked(batch)
}

// refuse says that the first row of the queue cannot be stored.
func (s *sender) refuse(err error) {
	s.mu.Lock()
	row := s.queue[0]
	s.queue = slices.Clone(s.queue[1:])
	s.mu.Unlock()
	s.report.Refused(row, err)
}

// hold makes a topic one that cannot be written; what is queued of it comes
// back.
func (s *sender) hold(topic string, err error) {
	s.mu.Lock()
	s.held[topic] = true
	var returned, rest []*eventmodels.OutboxRow
	for _, row := range s.queue {
		if row.Topic == topic {
			returned = append(returned, row)
		} else {
			rest = append(rest, row)
		}
	}
	s.queue = rest
	s.mu.Unlock()
	s.report.Held(topic, err)
	if len(returned) > 0 {
		s.report.Returned(returned)
	}
}

// heal makes a held topic well again. It stays closed until Resume.
func (s *sender) heal(topic string) {
	s.mu.Lock()
	s.ready[topic] = true
	s.mu.Unlock()
	s.report.Ready(topic)
}

func (s *sender) Resume(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resumed = append(s.resumed, topic)
	if s.ready[topic] {
		delete(s.ready, topic)
		delete(s.held, topic)
	}
}

// fence says that the brokers refuse the identity.
func (s *sender) fence(err error) {
	s.mu.Lock()
	id, first := s.id, !s.fenced
	s.fenced = true
	s.mu.Unlock()
	if first {
		s.report.Fenced(id, err)
	}
}

func (s *sender) Identify(id lanes.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.fenced = id, false
	s.goOn()
}

func (s *sender) Stop(ctx context.Context) {
	s.mu.Lock()
	if s.stopped.IsZero() {
		s.stopped = time.Now()
	}
	s.mu.Unlock()
	defer context.AfterFunc(ctx, s.abandon)()
	s.work.Wait()
	s.abandon()
}

func (s *sender) identity() lanes.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

func (s *sender) sentSeqs() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

func (s *sender) queued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}

func (s *sender) stoppedAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

var errAway = errors.New("the server is away")
