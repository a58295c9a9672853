package eventdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
)

// table is a database with one scope, in memory. All stores of a test share
// it. Its clock is time.Now.
type table struct {
	mu      sync.Mutex
	rows    []eventmodels.OutboxRow // ordered by seq
	last    int64                   // the last seq that was drawn
	parked  []parkedRow
	lease   eventmodels.Lease
	expires time.Time
	reads   []eventmodels.OutboxRead
	proof   eventmodels.ProofKind
	ears    map[int]func() // those who listen
	nextEar int
	// concerns are set before a relay starts.
	concerns []string
	// wrong is what no relay may say.
	wrong []string
}

func newTable() *table {
	return &table{proof: eventmodels.ProofSerial, lease: eventmodels.Lease{ProducerID: -1}, ears: make(map[int]func())}
}

// draw takes the next seq, as a transaction does before it commits.
func (t *table) draw() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	return t.last
}

// put commits a row whose seq was drawn before.
func (t *table) put(seq int64, topic, key string, payload []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	row := eventmodels.OutboxRow{Seq: seq, ID: uuid.New(), Topic: topic, Key: []byte(key), Headers: []byte{0}, Payload: payload, CreatedAt: time.Now()}
	at, _ := slices.BinarySearchFunc(t.rows, seq, func(r eventmodels.OutboxRow, seq int64) int { return cmp.Compare(r.Seq, seq) })
	t.rows = slices.Insert(t.rows, at, row)
}

// add commits n rows of a topic and returns the seq of the last.
func (t *table) add(topic string, n int) (last int64) {
	for range n {
		last = t.draw()
		t.put(last, topic, "k", fmt.Append(nil, last))
	}
	return last
}

func (t *table) left() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.rows)
}

// mustBeRight fails if a relay has said something wrong.
func (t *table) mustBeRight(tb testing.TB) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.wrong) > 0 {
		tb.Errorf("%d times, the first: %s", len(t.wrong), t.wrong[0])
		t.wrong = nil
	}
}

func (t *table) readCount() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.reads)
}

func (t *table) holder() (l eventmodels.Lease, live bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lease, t.expires.After(time.Now())
}

// steal gives the lease to another owner, as the end of its time would.
func (t *table) steal() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lease.Owner = "thief"
	t.lease.Epoch++
	t.expires = time.Now().Add(time.Hour)
}

// store is one process's way to a table.
type store struct {
	*table
	// after is called when an operation has taken effect, before its result
	// is seen. It is set before the relay starts, or nil.
	after func(op string)

	failMu  sync.Mutex
	failing map[string]error // by operation; "" is all
	closed  atomic.Bool
}

func (t *table) open() *store { return &store{table: t, failing: make(map[string]error)} }

// fail makes an operation fail from now on; "" is all, nil ends it. With
// errHangs it does not return before its ctx ends.
func (s *store) fail(op string, err error) {
	s.failMu.Lock()
	defer s.failMu.Unlock()
	s.failing[op] = err
}

// errHangs is for [store.fail].
var errHangs = errors.New("the operation hangs")

func (s *store) do(ctx context.Context, op string, work func() error) error {
	s.failMu.Lock()
	err := cmp.Or(s.failing[op], s.failing[""])
	s.failMu.Unlock()
	if err == errHangs {
		<-ctx.Done()
	}
	if err := cmp.Or(ctx.Err(), err); err != nil {
		return err
	}
	s.mu.Lock()
	err = work()
	s.mu.Unlock()
	if err == nil && s.after != nil {
		s.after(op)
	}
	return err
}

func (s *store) AcquireLease(ctx context.Context, scope, owner, clusterID string, ttl time.Duration) (l eventmodels.Lease, held bool, err error) {
	err = s.do(ctx, "acquire", func() error {
		switch {
		case s.lease.ClusterID != "" && s.lease.ClusterID != clusterID:
			return &eventmodels.ClusterMismatchError{Scope: scope, Recorded: s.lease.ClusterID, Connected: clusterID}
		case s.lease.Owner != owner && s.expires.After(time.Now()):
			l = eventmodels.Lease{Owner: s.lease.Owner}
			return nil
		}
		s.lease = eventmodels.Lease{Scope: scope, Owner: owner, ClusterID: clusterID, Epoch: s.lease.Epoch + 1, ProducerID: s.lease.ProducerID, DoneTo: s.lease.DoneTo}
		s.expires = time.Now().Add(ttl)
		l, held = s.lease, true
		return nil
	})
	return l, held, err
}

// mine is called with the lock.
func (s *store) mine(l eventmodels.Lease) error {
	if s.lease.Owner != l.Owner || s.lease.Epoch != l.Epoch {
		return eventmodels.ErrLeaseLost
	}
	return nil
}

func (s *store) SetProducer(ctx context.Context, l eventmodels.Lease, producerID int64, epoch int16) (set eventmodels.Lease, err error) {
	err = s.do(ctx, "producer", func() error {
		if err := s.mine(l); err != nil {
			return err
		}
		s.lease.ProducerID, s.lease.Epoch = producerID, epoch
		set = s.lease
		return nil
	})
	return set, err
}

func (s *store) RenewLease(ctx context.Context, l eventmodels.Lease, ttl time.Duration) error {
	return s.do(ctx, "renew", func() error {
		if err := s.mine(l); err != nil {
			return err
		}
		s.expires = time.Now().Add(ttl)
		s.record(l)
		return nil
	})
}

// record notes up to where a lease's holder says that nothing is left, and is
// called with the lock. No row can be there.
func (s *store) record(l eventmodels.Lease) {
	s.lease.DoneTo = l.DoneTo
	if len(s.rows) > 0 && s.rows[0].Seq <= l.DoneTo {
		s.wrong = append(s.wrong, fmt.Sprintf("%s says that nothing is left up to %d, and %d is", l.Owner, l.DoneTo, s.rows[0].Seq))
	}
}

func (s *store) ReleaseLease(ctx context.Context, l eventmodels.Lease) error {
	return s.do(ctx, "release", func() error {
		if s.mine(l) == nil {
			s.expires = time.Time{}
			s.record(l)
		}
		return nil
	})
}

func (s *store) LookLease(ctx context.Context, scope string) (state eventmodels.LeaseState, err error) {
	err = s.do(ctx, "look", func() error {
		state = eventmodels.LeaseState{Owner: s.lease.Owner, Live: s.expires.After(time.Now()), DoneTo: s.lease.DoneTo}
		return nil
	})
	return state, err
}

func (s *store) ReadOutbox(ctx context.Context, read eventmodels.OutboxRead) (page eventmodels.OutboxPage, err error) {
	err = s.do(ctx, "read", func() error {
		read.Gaps = slices.Clone(read.Gaps)
		s.reads = append(s.reads, read)
		page.Proof = s.proof
		weight := 0
		for _, row := range s.rows {
			asked := row.Seq > read.Hint || slices.ContainsFunc(read.Gaps, func(g eventmodels.SeqRange) bool { return g.Lo <= row.Seq && row.Seq <= g.Hi })
			if !asked {
				continue
			}
			if slices.Contains(read.Held, row.Topic) {
				row.Key, row.Headers, row.Payload = nil, nil, nil
			}
			if page.Rows = append(page.Rows, row); len(page.Rows) == read.Limit {
				break
			}
			if weight += row.Weight(); read.MaxBytes > 0 && weight >= read.MaxBytes {
				page.Cut = true
				break
			}
		}
		return nil
	})
	return page, err
}

// remove is called with the lock.
func (s *store) remove(key eventmodels.OutboxKey) (eventmodels.OutboxRow, bool) {
	at := slices.IndexFunc(s.rows, func(r eventmodels.OutboxRow) bool { return r.OutboxKey() == key })
	if at < 0 {
		return eventmodels.OutboxRow{}, false
	}
	row := s.rows[at]
	s.rows = slices.Delete(s.rows, at, at+1)
	return row, true
}

func (s *store) DeleteOutbox(ctx context.Context, scope string, keys []eventmodels.OutboxKey) error {
	return s.do(ctx, "delete", func() error {
		for _, key := range keys {
			s.remove(key)
		}
		return nil
	})
}

func (s *store) ParkOutbox(ctx context.Context, scope string, key eventmodels.OutboxKey, reason string) error {
	return s.do(ctx, "park", func() error {
		if row, ok := s.remove(key); ok {
			s.parked = append(s.parked, parkedRow{OutboxRow: row, Error: reason})
		}
		return nil
	})
}

func (s *store) ListParked(context.Context, string, eventmodels.ParkedKey, int) ([]eventmodels.ParkedRow, error) {
	return nil, errors.ErrUnsupported
}

func (s *store) RequeueParked(context.Context, string, []uuid.UUID) (int, error) {
	return 0, errors.ErrUnsupported
}

func (s *store) DiscardParked(context.Context, string, []uuid.UUID) (int, error) {
	return 0, errors.ErrUnsupported
}

func (s *store) Stats(context.Context, string, int64) (eventmodels.OutboxStats, error) {
	return eventmodels.OutboxStats{}, errors.ErrUnsupported
}

func (s *store) Concerns(context.Context) ([]string, error) { return s.concerns, nil }

func (s *store) DeleteMarks(context.Context, time.Duration, int) (int, error) {
	return 0, errors.ErrUnsupported
}

func (s *store) Wake(ctx context.Context, scope string) error {
	var ears []func()
	err := s.do(ctx, "wake", func() error {
		for _, ear := range s.ears {
			ears = append(ears, ear)
		}
		return nil
	})
	for _, ear := range ears {
		ear()
	}
	return err
}

func (s *store) Listen(ctx context.Context, scope string, listening chan<- struct{}, wake func()) error {
	var me int
	if err := s.do(ctx, "listen", func() error {
		s.nextEar++
		me = s.nextEar
		s.ears[me] = wake
		return nil
	}); err != nil {
		return err
	}
	close(listening)
	<-ctx.Done()
	s.mu.Lock()
	delete(s.ears, me)
	s.mu.Unlock()
	return ctx.Err()
}

func (s *store) Close() error {
	s.closed.Store(true)
	return nil
}

// parkedRow is a row that was moved to the parked ones.
type parkedRow struct {
	eventmodels.OutboxRow
	Error string
}
