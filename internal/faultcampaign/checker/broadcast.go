package checker

import (
	"slices"
	"time"
)

// presence is an instance as far as broadcasts go. An instance that starts
// again has another name.
type presence struct {
	name      string
	from      time.Time // zero: it never was up
	until     time.Time // zero: it still is
	delivered map[call]bool
	handled   map[call]bool
	gaps      map[string]time.Time // the last one, by topic
}

// presences is all instances, in the order of the list.
type presences struct {
	list         []*presence
	of           map[string]*presence
	deliveries   int
	redeliveries int
	gaps         int
}

func (p *presences) named(instance string) *presence {
	i := p.of[instance]
	if i == nil {
		i = &presence{name: instance, delivered: map[call]bool{}, handled: map[call]bool{}, gaps: map[string]time.Time{}}
		p.of[instance] = i
		p.list = append(p.list, i)
	}
	return i
}

func (p *presences) up(e Up)     { p.named(e.Instance).from = e.At }
func (p *presences) down(e Down) { p.named(e.Instance).until = e.At }
func (p *presences) gap(e Gap) {
	p.gaps++
	p.named(e.Instance).gaps[e.Topic] = e.At
}

func (p *presences) delivered(e Delivered) {
	c := call{party{e.Group, e.Handler}, event{e.Topic, e.ID}}
	i := p.named(e.Instance)
	p.deliveries++
	if i.handled[c] {
		p.redeliveries++
	}
	i.delivered[c] = true
}

func (p *presences) handled(e Handled) {
	p.named(e.Instance).handled[call{party{e.Group, e.Handler}, event{e.Topic, e.ID}}] = true
}

// checkBroadcasts asks whether every instance saw what was written while it was
// up. What counts is what was certainly written after it was ready, and, for
// those that went down, appended a while before that.
func (h *history) checkBroadcasts(r *Report, options Options) {
	r.Deliveries += h.presences.deliveries
	r.Redeliveries += h.presences.redeliveries
	r.Gaps = h.presences.gaps
	appended := map[event]time.Time{}
	for _, e := range h.records {
		ev := event{e.Topic, e.ID}
		if old, ok := appended[ev]; !ok || e.At.Before(old) {
			appended[ev] = e.At
		}
	}
	for _, handler := range h.handlers {
		if handler.Kind != Broadcast {
			continue
		}
		p := party{handler.Group, handler.Name}
		for _, i := range h.presences.list {
			if i.from.IsZero() {
				continue
			}
			for _, c := range h.commits {
				ev := event{c.Topic, c.ID}
				if !slices.Contains(handler.Topics, c.Topic) || !c.At.After(i.from) || !i.asked(appended[ev], options) {
					continue
				}
				_, doomed := h.doomed[call{p, ev}]
				if doomed || i.handled[call{p, ev}] {
					continue
				}
				if gap, ok := i.gaps[c.Topic]; ok && !c.At.After(gap) {
					continue
				}
				v := Violation{Rule: BroadcastLost, Handler: handler.Name, Instance: i.name, Topic: c.Topic, Key: c.Key, ID: c.ID, Text: "the instance was up and did not see it"}
				if i.delivered[call{p, ev}] {
					v.Text = "the instance was up, and its handler did not get through with it"
				}
				r.violated(v)
			}
		}
	}
}

// asked says whether the instance should have seen what was appended then.
func (i *presence) asked(appended time.Time, options Options) bool {
	if i.until.IsZero() {
		return true
	}
	return options.Settling > 0 && !appended.IsZero() && appended.Add(options.Settling).Before(i.until)
}
