package memorydb

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
)

// store implements [eventmodels.OutboxStore] over a client.
type store struct{ client *Client }

var _ eventmodels.OutboxStore = store{}

// run runs a statement without an answer.
func (o store) run(ctx context.Context, statement func(*Server) error) error {
	_, err := ask(ctx, o.client, func(s *Server) (struct{}, error) { return struct{}{}, statement(s) })
	return err
}

// maxEpoch is where the epochs of a producer id end.
const maxEpoch = 32_000

// AcquireLease implements [eventmodels.OutboxStore].
func (o store) AcquireLease(ctx context.Context, scope, owner, clusterID string, ttl time.Duration) (eventmodels.Lease, bool, error) {
	l, err := ask(ctx, o.client, func(s *Server) (eventmodels.Lease, error) {
		is, ok := s.leases[scope]
		switch {
		case !ok:
			is.ClusterID, is.ProducerID = clusterID, -1
		case is.ClusterID != clusterID:
			return eventmodels.Lease{}, &eventmodels.ClusterMismatchError{Scope: scope, Recorded: is.ClusterID, Connected: clusterID}
		case is.Owner != owner && is.expires.After(s.now()):
			return eventmodels.Lease{Owner: is.Owner}, nil
		}
		is.Scope, is.Owner, is.Epoch = scope, owner, is.Epoch+1
		if is.Epoch > maxEpoch {
			is.Epoch, is.ProducerID = 0, -1
		}
		is.expires = s.now().Add(ttl)
		s.leases[scope] = is
		return is.Lease, nil
	})
	return l, err == nil && l.Owner == owner, err
}

// change changes a lease that still is l.
func (o store) change(ctx context.Context, l eventmodels.Lease, edit func(s *Server, row *leaseRow)) error {
	return o.run(ctx, func(s *Server) error {
		is, ok := s.leases[l.Scope]
		if !ok || is.Owner != l.Owner || is.Epoch != l.Epoch {
			return fmt.Errorf("scope %q, epoch %d: %w", l.Scope, l.Epoch, eventmodels.ErrLeaseLost)
		}
		edit(s, &is)
		s.leases[l.Scope] = is
		return nil
	})
}

// SetProducer implements [eventmodels.OutboxStore].
func (o store) SetProducer(ctx context.Context, l eventmodels.Lease, producerID int64, epoch int16) (eventmodels.Lease, error) {
	err := o.change(ctx, l, func(_ *Server, row *leaseRow) { row.ProducerID, row.Epoch = producerID, epoch })
	if err != nil {
		return eventmodels.Lease{}, err
	}
	l.ProducerID, l.Epoch = producerID, epoch
	return l, nil
}

// RenewLease implements [eventmodels.OutboxStore].
func (o store) RenewLease(ctx context.Context, l eventmodels.Lease, ttl time.Duration) error {
	return o.change(ctx, l, func(s *Server, row *leaseRow) {
		row.expires, row.DoneTo = s.now().Add(ttl), l.DoneTo
	})
}

// ReleaseLease implements [eventmodels.OutboxStore].
func (o store) ReleaseLease(ctx context.Context, l eventmodels.Lease) error {
	return o.run(ctx, func(s *Server) error {
		if is, ok := s.leases[l.Scope]; ok && is.Owner == l.Owner && is.Epoch == l.Epoch {
			is.expires, is.DoneTo = time.Time{}, l.DoneTo
			s.leases[l.Scope] = is
		}
		return nil
	})
}

// LookLease implements [eventmodels.OutboxStore].
func (o store) LookLease(ctx context.Context, scope string) (eventmodels.LeaseState, error) {
	return ask(ctx, o.client, func(s *Server) (eventmodels.LeaseState, error) {
		is := s.leases[scope]
		return eventmodels.LeaseState{Owner: is.Owner, Live: is.expires.After(s.now()), DoneTo: is.DoneTo}, nil
	})
}

// ReadOutbox implements [eventmodels.OutboxStore].
func (o store) ReadOutbox(ctx context.Context, read eventmodels.OutboxRead) (eventmodels.OutboxPage, error) {
	return ask(ctx, o.client, func(s *Server) (eventmodels.OutboxPage, error) {
		page := eventmodels.OutboxPage{Proof: eventmodels.ProofXID, Drawn: s.nextXID}
		page.Xmin, page.Xmax, page.Running = s.snapshot()
		for _, xid := range read.Blockers {
			if _, running := slices.BinarySearch(page.Running, xid); xid < page.Xmax && !running {
				page.Ended = true
				return page, nil
			}
		}
		weight := 0
		for _, r := range s.outbox {
			asked := r.Seq > read.Hint || slices.ContainsFunc(read.Gaps, func(g eventmodels.SeqRange) bool { return g.Lo <= r.Seq && r.Seq <= g.Hi })
			if r.scope != read.Scope || !asked {
				continue
			}
			if len(page.Rows) == read.Limit {
				return page, nil
			}
			row := r.OutboxRow
			if slices.Contains(read.Held, row.Topic) {
				row.Key, row.Headers, row.Payload = nil, nil, nil
			}
			page.Rows = append(page.Rows, row)
			if weight += row.Weight(); read.MaxBytes > 0 && weight >= read.MaxBytes {
				page.Cut = true
				return page, nil
			}
		}
		return page, nil
	})
}

// DeleteOutbox implements [eventmodels.OutboxStore].
func (o store) DeleteOutbox(ctx context.Context, scope string, keys []eventmodels.OutboxKey) error {
	keys = slices.Clone(keys) // it may take effect after the caller's return
	return o.run(ctx, func(s *Server) error {
		for _, k := range keys {
			s.take(scope, k)
		}
		return nil
	})
}

// ParkOutbox implements [eventmodels.OutboxStore].
func (o store) ParkOutbox(ctx context.Context, scope string, key eventmodels.OutboxKey, reason string) error {
	return o.run(ctx, func(s *Server) error {
		if row, ok := s.take(scope, key); ok {
			p := parkedRow{scope: scope, headers: row.Headers, payload: row.Payload}
			p.OutboxRow, p.PayloadSize, p.Error, p.ParkedAt = row.OutboxRow, len(row.Payload), reason, s.now()
			p.Headers, p.Payload = nil, nil
			s.parked = append(s.parked, p)
		}
		return nil
	})
}

// ListParked implements [eventmodels.OutboxStore].
func (o store) ListParked(ctx context.Context, scope string, after eventmodels.ParkedKey, limit int) ([]eventmodels.ParkedRow, error) {
	return ask(ctx, o.client, func(s *Server) ([]eventmodels.ParkedRow, error) {
		var rows []eventmodels.ParkedRow
		for _, p := range s.parked {
			if p.scope == scope && (after == (eventmodels.ParkedKey{}) || comparePlaces(p.ParkedKey(), after) < 0) {
				rows = append(rows, p.ParkedRow)
			}
		}
		slices.SortFunc(rows, func(a, b eventmodels.ParkedRow) int { return comparePlaces(b.ParkedKey(), a.ParkedKey()) })
		return rows[:min(limit, len(rows))], nil
	})
}

func comparePlaces(a, b eventmodels.ParkedKey) int {
	return cmp.Or(a.ParkedAt.Compare(b.ParkedAt), cmp.Compare(a.Seq, b.Seq), slices.Compare(a.ID[:], b.ID[:]))
}

// RequeueParked implements [eventmodels.OutboxStore].
func (o store) RequeueParked(ctx context.Context, scope string, ids []uuid.UUID) (int, error) {
	return ask(ctx, o.client, func(s *Server) (int, error) {
		n := 0
		for _, p := range s.unpark(scope, ids) {
			s.nextSeq++
			p.Seq, p.Headers, p.Payload = s.nextSeq, p.headers, p.payload
			s.store(outboxRow{scope, p.OutboxRow})
			n++
		}
		return n, nil
	})
}

// DiscardParked implements [eventmodels.OutboxStore].
func (o store) DiscardParked(ctx context.Context, scope string, ids []uuid.UUID) (int, error) {
	return ask(ctx, o.client, func(s *Server) (int, error) {
		return len(s.unpark(scope, ids)), nil
	})
}

// unpark removes parked rows and returns them in the order of their seqs; mu
// must be held.
func (s *Server) unpark(scope string, ids []uuid.UUID) (rows []parkedRow) {
	s.parked = slices.DeleteFunc(s.parked, func(p parkedRow) bool {
		if p.scope != scope || !slices.Contains(ids, p.ID) {
			return false
		}
		rows = append(rows, p)
		return true
	})
	slices.SortFunc(rows, func(a, b parkedRow) int { return cmp.Compare(a.Seq, b.Seq) })
	return rows
}

// Stats implements [eventmodels.OutboxStore].
func (o store) Stats(ctx context.Context, scope string, doneTo int64) (eventmodels.OutboxStats, error) {
	return ask(ctx, o.client, func(s *Server) (eventmodels.OutboxStats, error) {
		var stats eventmodels.OutboxStats
		for _, r := range s.outbox {
			if r.scope != scope || r.Seq <= doneTo {
				continue
			}
			if stats.Rows++; stats.Rows == 1 {
				stats.OldestAge = max(s.now().Sub(r.CreatedAt), 0)
			}
		}
		for _, p := range s.parked {
			if p.scope == scope {
				stats.Parked++
			}
		}
		return stats, nil
	})
}

// DeleteMarks implements [eventmodels.OutboxStore].
func (o store) DeleteMarks(ctx context.Context, age time.Duration, limit int) (int, error) {
	return ask(ctx, o.client, func(s *Server) (int, error) {
		n := 0
		for m, done := range s.marks {
			if n < limit && s.now().Sub(done) > age {
				delete(s.marks, m)
				n++
			}
		}
		return n, nil
	})
}

// Concerns implements [eventmodels.OutboxStore].
func (o store) Concerns(context.Context) ([]string, error) { return nil, nil }

// Wake implements [eventmodels.OutboxStore].
func (o store) Wake(ctx context.Context, _ string) error {
	return o.run(ctx, func(s *Server) error {
		for _, ear := range s.ears {
			ear()
		}
		return nil
	})
}

// Listen implements [eventmodels.OutboxStore].
func (o store) Listen(ctx context.Context, _ string, listening chan<- struct{}, wake func()) error {
	lost, err := o.client.connect(ctx)
	if err != nil {
		return err
	}
	if err := o.client.travel(ctx, lost); err != nil {
		return err
	}
	heard := make(chan struct{}, 1)
	s := o.client.server
	s.mu.Lock()
	s.nextEar++
	me := s.nextEar
	s.ears[me] = func() {
		select {
		case heard <- struct{}{}:
		default:
		}
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.ears, me)
	}()
	close(listening)
	for {
		select {
		case <-heard:
			if err := o.client.travel(ctx, lost); err != nil {
				return err
			}
			wake()
		case <-lost:
			return errLost
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close implements [eventmodels.OutboxStore].
func (o store) Close() error { return nil }
