package checker

// checkTold asks whether the callers of transactions were told the truth.
func (h *history) checkTold(r *Report) {
	for _, e := range h.told {
		c, committed := h.committed[event{e.Topic, e.ID}]
		if committed == e.Committed {
			continue
		}
		v := Violation{Rule: Misreported, Instance: e.Instance, Topic: e.Topic, Key: c.Key, ID: e.ID}
		v.Text = "its transaction was reported as committed, and is not"
		if committed {
			v.Text = "its transaction was reported as failed (" + e.Error + "), and is committed"
		}
		r.violated(v)
	}
}
