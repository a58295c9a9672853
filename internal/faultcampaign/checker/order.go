package checker

import "fmt"

// turn is a handler and a line of events that it is given one after the other.
type turn struct {
	party
	place
}

// checkOrder counts deliveries, and asks whether ordered handlers got the
// events of each key in the order of their commits, one after the other.
//
// Only the first delivery of an event counts: after a crash, a rebalance or a
// loss of the session an event that was not committed comes again, also to
// another instance. Each instance is given a partition's events without
// holes, from an offset on below which all is done; so the first deliveries of
// all instances together are in order, too, whatever the instances overlap.
func (h *history) checkOrder(r *Report) {
	ordered := map[party]bool{}
	for _, handler := range h.handlers {
		ordered[party{handler.Group, handler.Name}] = handler.Ordered
	}
	newest := map[turn]Committed{} // by Seq, of the first deliveries
	last := map[turn]Committed{}   // by time
	first := map[call]bool{}
	done := map[call]bool{}
	for _, e := range h.order {
		if e, ok := e.(Handled); ok {
			done[call{party{e.Group, e.Handler}, event{e.Topic, e.ID}}] = true
			continue
		}
		e := e.(Delivered)
		p, ev := party{e.Group, e.Handler}, event{e.Topic, e.ID}
		r.Deliveries++
		if done[call{p, ev}] {
			r.Redeliveries++
		}
		c := h.committed[ev]
		if !ordered[p] || c.Key == "" || c.Seq == 0 || h.moved(c, e.Partition) || first[call{p, ev}] {
			continue
		}
		first[call{p, ev}] = true
		t := turn{p, place{c.Topic, e.Partition, c.Key}}
		v := Violation{Group: e.Group, Handler: e.Handler, Instance: e.Instance, Topic: c.Topic, Key: c.Key, ID: c.ID}
		if newest := newest[t]; newest.Seq > c.Seq {
			v.Rule, v.Text = Disorder, fmt.Sprintf("seq %d was delivered after %d (%s)", c.Seq, newest.Seq, newest.ID)
			r.violated(v)
		} else if before, ok := last[t]; ok {
			b := call{p, event{before.Topic, before.ID}}
			if _, doomed := h.doomed[b]; !doomed && !done[b] {
				v.Rule, v.Text = Overtaken, fmt.Sprintf("seq %d was delivered before %d (%s) was handled", c.Seq, before.Seq, before.ID)
				r.violated(v)
			}
		}
		if newest[t].Seq < c.Seq {
			newest[t] = c
		}
		last[t] = c
	}
}
