package lanes

import (
	"fmt"
	"slices"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
)

// carry moves a request on: to its broker, or its answer back.
func (h *history) carry() {
	if len(h.lost) > 0 && h.rnd.IntN(4) == 0 {
		i := h.rnd.IntN(len(h.lost))
		c := h.lost[i]
		h.lost = slices.Delete(h.lost, i, i+1)
		before := h.cluster.rejected
		h.arrive(c)
		h.cluster.rejected = before // nobody hears of it
		// A topic's name does not say which log is meant: a late batch can be
		// the first of a topic that was created again, and sequence errors
		// follow from it. They lead to another identity, as they should.
		h.haunted = h.haunted || !h.cluster.byID
		return
	}
	if len(h.requests) == 0 {
		return
	}
	i := h.rnd.IntN(len(h.requests))
	c := h.requests[i]
	if !h.calm || h.down[c.r.leader] {
		switch n := h.rnd.IntN(20); {
		case n == 0 && c.answers == nil: // lost, but perhaps only late
			h.lost = append(h.lost, c)
			h.answer(i, transport(errNoAnswer, len(c.batches)))
			return
		case n == 1: // the answer is lost
			h.answer(i, transport(errNoAnswer, len(c.batches)))
			return
		case h.down[c.r.leader]:
			if c.answers == nil {
				h.answer(i, transport(syscall.ECONNREFUSED, len(c.batches)))
			} else {
				h.answer(i, transport(errNoAnswer, len(c.batches)))
			}
			return
		}
	}
	if c.answers == nil {
		h.arrive(c)
		return
	}
	h.answer(i, c.answers)
}

func (h *history) arrive(c *carried) {
	for _, s := range c.batches {
		c.answers = append(c.answers, h.cluster.produce(c.r.leader, s))
	}
}

func (h *history) answer(i int, answers []answer) {
	c := h.requests[i]
	h.requests = slices.Delete(h.requests, i, i+1)
	for j, a := range answers {
		if a.outcome == acked {
			s := c.batches[j]
			key := fmt.Sprintf("%x/%d", s.sealed.topic, s.partition)
			if h.cluster.byID {
				for _, r := range s.rows {
					h.acked[key] = append(h.acked[key], written{r, s.sealed.id})
				}
			}
		}
	}
	h.m.answered(h.now, c.r, answers)
}

func transport(err error, n int) []answer {
	a := answer{verdict: judgeTransport(err), err: err, hint: partitionInfo{leader: noLeader}}
	return slices.Repeat([]answer{a}, n)
}

// lookup answers a lookup: rightly, late or not at all.
func (h *history) lookup() {
	if len(h.lookups) == 0 {
		return
	}
	h.m.looking = false
	for _, name := range h.lookups {
		info := h.cluster.info(name)
		if stale := h.stale[name]; stale != nil && h.rnd.IntN(4) == 0 {
			info = stale
		}
		switch {
		case !h.calm && h.rnd.IntN(6) == 0:
			h.m.missed(h.now, name, kerr.RequestTimedOut)
		case info == nil:
			h.m.unknown(h.now, name, kerr.UnknownTopicOrPartition)
		default:
			h.m.found(h.now, name, *info)
		}
	}
	h.lookups = nil
}

// create runs EnsureTopic.
func (h *history) create() {
	if len(h.ensure) == 0 {
		return
	}
	name := h.ensure[0]
	h.ensure = h.ensure[1:]
	if !h.calm && h.rnd.IntN(3) == 0 {
		h.m.ensured(h.now, name, kerr.PolicyViolation)
		return
	}
	if h.cluster.topics[name] == nil {
		h.cluster.create(name, h.partitions(name), modelBrokers)
	}
	h.m.ensured(h.now, name, nil)
}

// trouble changes something about the cluster.
func (h *history) trouble() {
	name := []string{"a", "b", "c"}[h.rnd.IntN(3)]
	t := h.cluster.topics[name]
	if n := h.rnd.IntN(12); n == 0 {
		h.down[int32(h.rnd.IntN(modelBrokers))] = true
		return
	} else if n == 1 {
		clear(h.down)
		return
	} else if n == 2 {
		h.identify()
		return
	}
	if t == nil {
		h.cluster.create(name, h.partitions(name), modelBrokers)
		return
	}
	p := t.parts[h.rnd.IntN(len(t.parts))]
	h.stale[name] = h.cluster.info(name)
	switch h.rnd.IntN(10) {
	case 0, 1, 2:
		p.leader = int32(h.rnd.IntN(modelBrokers))
		p.epoch++
	case 3:
		p.leader = noLeader
		p.epoch++
	case 4:
		p.fewReplicas = !p.fewReplicas
	case 5:
		t.forbidden = !t.forbidden
	case 6:
		t.limit = 1 + h.rnd.IntN(8)
	case 7: // a rival takes the partition over
		if state := p.producers[1]; state != nil {
			h.epoch++
			*state = modelProducer{epoch: h.epoch, next: 1}
		}
	case 8:
		if h.growing {
			t.grow(len(t.parts)+1, modelBrokers, h.rnd)
		}
	case 9:
		h.checkLog(t)
		if h.rnd.IntN(2) == 0 && (h.m.cfg.EnsureTopic != nil || h.m.cfg.Patient) {
			delete(h.cluster.topics, name)
		} else {
			h.cluster.create(name, h.partitions(name), modelBrokers)
		}
	}
}

// heal makes the cluster well.
func (h *history) heal() {
	h.calm = true
	clear(h.down)
	for _, name := range []string{"a", "b", "c"} {
		t := h.cluster.topics[name]
		if t == nil {
			t = h.cluster.create(name, h.partitions(name), modelBrokers)
		}
		t.forbidden = false
		for _, p := range t.parts {
			p.fewReplicas = false
			if p.leader == noLeader {
				p.leader = 0
			}
			p.epoch++
		}
	}
	clear(h.stale)
}
