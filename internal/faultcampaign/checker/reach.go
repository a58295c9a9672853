package checker

import (
	"fmt"
	"slices"
)

// checkReach asks whether every committed event has reached every handler of a
// group: once at least, and an exactly-once handler's effect just once.
func (h *history) checkReach(r *Report) {
	for _, handler := range h.handlers {
		if handler.Kind == Broadcast {
			continue
		}
		p := party{handler.Group, handler.Name}
		for _, c := range h.commits {
			ev := event{c.Topic, c.ID}
			if !slices.Contains(handler.Topics, c.Topic) || h.gone(ev) {
				continue
			}
			v := Violation{Group: handler.Group, Handler: handler.Name, Topic: c.Topic, Key: c.Key, ID: c.ID}
			doomed, isDoomed := h.doomed[call{p, ev}]
			effects := h.effects[call{p, ev}]
			switch {
			case isDoomed:
				// Where it keeps letters, the letter says that it arrived.
				if !handler.Letters && !doomed.Unseen && !h.delivered[call{p, ev}] {
					v.Rule, v.Text = Lost, "committed, and never delivered to a handler that would have failed"
					r.violated(v)
				}
			case handler.Kind == ExactlyOnce && effects == 0:
				v.Rule, v.Text = EffectMissing, "committed, and without effect"
				r.violated(v)
			case handler.Kind == Idempotent && !h.handled[call{p, ev}]:
				v.Rule, v.Text = Lost, "committed, and never delivered"
				if h.delivered[call{p, ev}] {
					v.Text = "committed, delivered, and never handled"
				}
				r.violated(v)
			}
		}
	}
	for _, c := range h.calls {
		n := h.effects[c]
		if n == 0 {
			continue
		}
		r.Effects += n
		v := Violation{Group: c.group, Handler: c.name, Topic: c.topic, Key: h.committed[c.event].Key, ID: c.id}
		if n > 1 {
			v.Rule, v.Text = EffectDoubled, fmt.Sprintf("%d effects", n)
			r.violated(v)
		}
		if _, ok := h.doomed[c]; ok {
			v.Rule, v.Text = EffectDoomed, "an effect of a call that failed"
			r.violated(v)
		}
	}
}

// checkPhantoms asks whether anything was seen that nobody has written. Each
// event is reported once.
func (h *history) checkPhantoms(r *Report) {
	seen := map[event]bool{}
	phantom := func(v Violation, where string) {
		ev := event{v.Topic, v.ID}
		if h.written(ev) || seen[ev] {
			return
		}
		seen[ev] = true
		v.Rule, v.Text = Phantom, "nobody has written it, and "+where
		if _, ok := h.rolledBack[ev]; ok {
			v.Text = "it was rolled back, and " + where
		}
		r.violated(v)
	}
	for _, e := range h.records {
		phantom(Violation{Topic: e.Topic, Key: e.Key, ID: e.ID}, "it is in Kafka")
	}
	for _, e := range h.deliveries {
		phantom(Violation{Group: e.Group, Handler: e.Handler, Instance: e.Instance, Topic: e.Topic, Key: e.Key, ID: e.ID}, "it was delivered")
	}
	for _, c := range h.calls {
		phantom(Violation{Group: c.group, Handler: c.name, Topic: c.topic, ID: c.id}, "it has an effect or a letter")
	}
}
