package checker

import "slices"

// checkLetters asks whether the dead letters are what failed for good.
func (h *history) checkLetters(r *Report) {
	for _, handler := range h.handlers {
		if !handler.Letters {
			continue
		}
		p := party{handler.Group, handler.Name}
		for _, c := range h.commits {
			ev := event{c.Topic, c.ID}
			if _, doomed := h.doomed[call{p, ev}]; !doomed || !slices.Contains(handler.Topics, c.Topic) || h.gone(ev) {
				continue
			}
			if len(h.letters[call{p, ev}]) == 0 {
				r.violated(Violation{Rule: LetterMissing, Group: p.group, Handler: p.name, Topic: c.Topic, Key: c.Key, ID: c.ID, Text: "it failed for good, and is no dead letter"})
			}
		}
	}
	for _, c := range h.calls {
		ids := map[string]bool{}
		for _, l := range h.letters[c] {
			ids[l.LetterID] = true
		}
		r.Letters += len(ids)
		if _, doomed := h.doomed[c]; !doomed && len(ids) > 0 {
			r.violated(Violation{Rule: LetterUncalled, Group: c.group, Handler: c.name, Topic: c.topic, Key: h.committed[c.event].Key, ID: c.id, Text: "it is a dead letter, of: " + h.letters[c][0].Error})
		}
		if len(ids) > 1 {
			r.violated(Violation{Rule: LetterUncalled, Group: c.group, Handler: c.name, Topic: c.topic, Key: h.committed[c.event].Key, ID: c.id, Text: "one failure has two letter ids"})
		}
	}
}
