package kafka

import (
	"errors"
	"math"
	"slices"

	"github.com/seed46dd6f11/events/eventmodels"
)

// giveUp ends a call with err, except for the rows that have a result. Those
// that are withdrawn are not reported any more.
func (p *producer) giveUp(k *call, withdrawn []*eventmodels.OutboxRow, err error) {
	p.mu.Lock()
	if p.closed {
		withdrawn = nil // stop has settled them
	}
	var done *call
	for _, row := range withdrawn {
		done = p.settle(row, err)
	}
	if k.left > 0 {
		p.abandon(k, err)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	if done != nil {
		p.finish(done)
	}
	<-k.done
}

// enter makes the call known, so that its rows can be reported; false: the
// producer is closed.
func (p *producer) enter(k *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if n := len(p.free); n > 0 {
		k.slot = p.free[n-1]
		p.free = p.free[:n-1]
		p.calls[k.slot] = k
	} else {
		k.slot = len(p.calls)
		p.calls = append(p.calls, k)
	}
	for i := range k.rows {
		k.rows[i].Seq = int64(k.slot)<<32 | int64(i)
	}
	return true
}

// indexOf is a row's place in its call, which enter has written into its Seq
// beside the call's slot.
func indexOf(row *eventmodels.OutboxRow) int { return int(row.Seq & math.MaxUint32) }

// partitionOf is where a row of a call with placed records belongs.
func (k *call) partitionOf(row *eventmodels.OutboxRow) int32 { return k.placed[indexOf(row)].Partition }

// settle notes what became of a row that the sender had. If nothing of its call
// is left, it returns the call, which is to be told without the lock: whoever
// waits for it would only wait for the lock. mu is held.
func (p *producer) settle(row *eventmodels.OutboxRow, err error) (done *call) {
	k := p.calls[row.Seq>>32]
	k.settle(indexOf(row), err)
	if k.left > 0 {
		return nil
	}
	p.calls[k.slot] = nil
	p.free = append(p.free, k.slot)
	return k
}

// finish tells a call that nothing of it is left.
func (p *producer) finish(k *call) {
	p.room.Release(k.room)
	k.done <- struct{}{}
}

// abandon fails what a call waits for. The sender may still report it, until
// when it belongs to the call that stays in its slot: k becomes another one. mu is
// held.
func (p *producer) abandon(k *call, err error) {
	left := *k
	p.calls[k.slot] = &left
	k.lost = true
	k.errs, k.offsets = slices.Clone(k.errs), slices.Clone(k.offsets)
	k.fail(err)
}

// Acked is for the sender; see [lanes.Report].
func (p *producer) Acked(rows []*eventmodels.OutboxRow, _ int32, offset int64) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	done := p.done[:0]
	for i, row := range rows {
		if k := p.calls[row.Seq>>32]; k.placed != nil && offset >= 0 {
			k.offsets[indexOf(row)] = offset + int64(i)
		}
		if k := p.settle(row, nil); k != nil {
			done = append(done, k)
		}
	}
	p.mu.Unlock()
	for _, k := range done {
		p.finish(k)
	}
	clear(done)
	p.done = done
}

// Refused is for the sender.
func (p *producer) Refused(row *eventmodels.OutboxRow, err error) {
	p.mu.Lock()
	var done *call
	if !p.closed {
		done = p.settle(row, err)
	}
	p.mu.Unlock()
	if done != nil {
		p.finish(done)
	}
}

// errReplaced is the error of records whose partition has gone away while they
// were under way.
var errReplaced = errors.New("the topic was created again with another number of partitions")

// Returned is for the sender.
func (p *producer) Returned(rows []*eventmodels.OutboxRow) {
	for _, row := range rows {
		p.Refused(row, errReplaced)
	}
}

// Held is for the sender, which is patient, and so never calls it.
func (p *producer) Held(string, error) {}

// Ready is for the sender, which never calls it either.
func (p *producer) Ready(string) {}
