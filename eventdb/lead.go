package eventdb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/gapset"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
)

// leadership is one term of a relay as the holder of the lease.
type leadership struct {
	relay  *Relay
	cfg    *RelayConfig
	store  eventmodels.OutboxStore
	keeper *keeper
	sender Sender
	flight *flight
	spans  *spans
	began  time.Time

	// passLimit bounds the last pass.
	passLimit time.Duration
	// finished: the last pass has come to its end.
	finished bool

	// Written and read by the reader alone:

	gaps     gapset.Set
	astray   bool // the last read has failed: gaps is to be made anew
	audit    audit
	ranges   []eventmodels.SeqRange
	seqs     []int64   // those of a page
	noted    time.Time // when the keeper was last told up to where nothing is left
	rowBytes int       // moving average of a row's size; 0: unknown
	refenced int       // refusals of the identity in a row
	ackedAt  uint64    // flight.acks at the last of them
}

// acquire takes the lease and prepares a leadership; nil if another owner
// holds it.
func (r *Relay) acquire(ctx context.Context) (*leadership, error) {
	k, err := takeLease(ctx, &r.cfg, r.store)
	if err != nil || k == nil {
		return nil, err
	}
	l := &leadership{relay: r, cfg: &r.cfg, store: r.store, keeper: k, flight: newFlight(), spans: newSpans(r.cfg.Tracer), began: time.Now(), passLimit: r.cfg.StopLimit}
	l.gaps.Reset(k.current().DoneTo)
	l.sender, err = r.cfg.NewSender(k.identity(), reportTo{l.flight, l.spans, r.cfg.Observer})
	if err != nil {
		k.release(ctx)
		return nil, fmt.Errorf("start the lanes: %w", err)
	}
	return l, nil
}

// lead relays until the lease is lost or stop is closed; then it makes a last
// pass. The error is why the lease was lost, or why the last pass left
// something behind.
func (l *leadership) lead(ctx context.Context, stop <-chan struct{}) error {
	leading, lost := context.WithCancelCause(ctx)
	l.keeper.lost = lost
	var keeping, deleting sync.WaitGroup
	keeping.Go(func() { l.keeper.keep(leading) })
	lastRow := make(chan struct{})
	finishing, giveUp := context.WithCancel(ctx)
	defer giveUp()
	deleting.Go(func() { l.keepUp(finishing, lastRow, l.deletes()) })
	deleting.Go(func() { l.keepUp(finishing, lastRow, l.parks()) })

	l.sender.Start()
	reading, end := expiring(leading, stop, l.passLimit)
	err := l.read(reading, stop)
	if err == nil {
		err = l.lastPass(reading)
	}
	if reading.Err() != nil && ctx.Err() == nil {
		err = context.Cause(reading) // the lease was lost, or the limit was over
	}
	end()
	// What is in flight gets a moment. A leader that has lost its lease gives
	// it up at once: its successor sends it.
	final, cancel := context.WithTimeout(leading, time.Second)
	l.sender.Stop(final)
	l.spans.endAll()
	cancel()
	lost(nil)
	keeping.Wait()
	close(lastRow)
	limit := time.AfterFunc(l.cfg.StopLimit, giveUp)
	deleting.Wait()
	limit.Stop()
	return err
}

// close releases the lease, so that another process takes over at once.
//
// A process that has committed since the last read, and runs no relay, may have
// found the lease taken and left its rows to this one. Nobody can any more after
// the release, so that this is the time to look for such rows.
func (l *leadership) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.LeaseTime)
	defer cancel()
	l.note()
	err := l.store.ReleaseLease(ctx, l.keeper.current())
	if err == nil && l.finished && l.overlooked(ctx) {
		signal(l.relay.wake) // for Missed
	}
	if err == nil {
		err = l.store.Wake(ctx, l.cfg.Scope)
	}
	if err != nil && !errors.Is(err, eventmodels.ErrLeaseLost) {
		l.relay.log.Debug("the lease was not released; it expires by itself", "error", err)
	}
}

// overlooked reports whether there are rows that this leadership has not read,
// and nobody else relays. It is called after the lease was released.
func (l *leadership) overlooked(ctx context.Context) bool {
	state, err := l.store.LookLease(ctx, l.cfg.Scope)
	if err != nil || state.Live {
		return false
	}
	q := l.gaps.Ask()
	l.rangesOf(q)
	page, err := l.store.ReadOutbox(ctx, eventmodels.OutboxRead{Scope: l.cfg.Scope, Gaps: l.ranges, Blockers: q.Blockers, Hint: q.Above, Limit: 1})
	return err == nil && (len(page.Rows) > 0 || page.Ended)
}

func jitter() float64 { return rand.Float64() }

// noteEvery is the shortest pause between two looks at what is in flight, for
// the keeper.
const noteEvery = 250 * time.Millisecond

// note tells the keeper up to which seq nothing is left.
func (l *leadership) note() {
	if !l.astray {
		l.keeper.done(l.doneTo())
	}
}

// doneTo returns a seq up to which nothing is in the outbox, or will be: no row
// can appear at or below the gaps' Floor, and of those that have, and were read,
// none is in the table any more but what is in flight or was passed over.
func (l *leadership) doneTo() int64 {
	return min(l.gaps.Floor(), l.flight.lowest()-1)
}

// begin makes the gaps anew after a read that has failed. The next answer may
// come from a server that was restored or has taken over: nothing that was
// known is taken for granted, but what that server itself has recorded. What was
// lost there was committed after all that the record is about; so were the draws
// of its seqs, and seqs that are drawn again are above it.
func (l *leadership) begin(ctx context.Context) error {
	if !l.astray {
		return nil
	}
	state, err := l.store.LookLease(ctx, l.cfg.Scope)
	if err != nil {
		return fmt.Errorf("look at the lease: %w", err)
	}
	l.keeper.done(state.DoneTo)
	l.gaps.Reset(state.DoneTo)
	l.audit = audit{}
	l.astray = false
	return nil
}

// attend does what the lanes have asked for: another identity, and reading
// again what they returned of topics that are ready.
func (l *leadership) attend(ctx context.Context) error {
	select {
	case <-l.flight.attention:
	default:
	}
	if f := l.flight.takeFence(); f != nil {
		if err := l.refence(ctx, f); err != nil {
			return err
		}
	}
	ready := l.flight.takeReady()
	if len(ready) == 0 {
		return nil
	}
	for _, topic := range ready {
		l.relay.log.Info("the topic can be written again", "wire_topic", topic)
		// Resume comes before reading goes back: rows that were read before
		// come back as returned until then, so that none of them overtakes
		// an older one.
		l.sender.Resume(topic)
	}
	to := l.doneTo() // first: it is below those, too, that are returned from now on
	l.flight.readAgain()
	l.gaps.Reset(to)
	return nil
}

// refence goes on with the next epoch, or with a new producer id if that has
// not helped.
func (l *leadership) refence(ctx context.Context, f *fence) error {
	if acks := l.flight.ackCount(); acks != l.ackedAt {
		l.refenced, l.ackedAt = 0, acks
	}
	l.refenced++
	id, err := l.keeper.reidentify(ctx, l.refenced > 1)
	if err != nil {
		if errors.Is(err, eventmodels.ErrLeaseLost) {
			l.keeper.lost(err)
		} else {
			l.flight.putFenceBack(f)
		}
		return err
	}
	l.relay.log.Warn("the brokers refused the relay's producer epoch; it goes on with another. Events in flight may be written twice, with the same id",
		"producer", f.id.ProducerID, "epoch", f.id.Epoch, "next_producer", id.ProducerID, "next_epoch", id.Epoch, "error", f.err)
	l.sender.Identify(lanes.Identity{ProducerID: id.ProducerID, Epoch: id.Epoch})
	return nil
}
