package kafka

import (
	"context"
	"math"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka/lanes"
)

// patience is how long a producer id may take before that is logged: callers may
// wait for it without a limit.
const patience = 2 * time.Second

// identity asks the brokers for a producer id, again as long as it fails with
// what can pass, of which trying is told.
func (p *producer) identity(ctx context.Context, trying func(error)) (lanes.Identity, error) {
	began := time.Now()
	for wait := (pause{}); ; wait.next(ctx) {
		id, err := lanes.InitProducerID(ctx, p.client.kgo)
		switch {
		case err == nil:
			return id, nil
		case ctx.Err() != nil:
			return id, context.Cause(ctx)
		}
		if err = p.client.cfg.explain("begin to produce", err); final(err) {
			return id, err
		}
		trying(err)
		if now := time.Now(); now.Sub(began) > patience {
			if leftOut, ok := p.warn.Allow("identity", now); ok {
				p.client.log.Warn("kafka: nothing can be produced before a broker has given a producer id; trying again", "error", err, "left_out", leftOut)
			}
		}
	}
}

// Fenced is for the sender: it needs another identity. With a larger epoch brokers
// refuse what may still be on its way with this one.
func (p *producer) Fenced(id lanes.Identity, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.identifying.Go(func() {
		p.client.log.Warn("kafka: the brokers refuse to go on with what was produced; it goes on from a new beginning, "+
			"and what was not acknowledged can be written twice", "error", err)
		id, ok := p.successor(id)
		if !ok {
			return
		}
		if s, ok := p.senders.cached(theSender); ok {
			s.Identify(id)
		}
	})
}

// successor is the identity after id; false: the producer is closed. Nothing is
// sent without one, so that it is asked for until there is one.
func (p *producer) successor(id lanes.Identity) (lanes.Identity, bool) {
	wait := pause{}
	wait.next(p.life) // a broker that refuses each identity is not asked all the time
	if id.Epoch < math.MaxInt16 {
		id.Epoch++
		return id, true
	}
	for ; p.life.Err() == nil; wait.next(p.life) {
		id, err := p.identity(p.life, func(error) {})
		if err == nil {
			return id, true
		}
		if leftOut, ok := p.warn.Allow("successor", time.Now()); ok && p.life.Err() == nil {
			p.client.log.Error("kafka: nothing can be produced without a producer id, and the brokers refuse to give one", "error", err, "left_out", leftOut)
		}
	}
	return id, false
}
