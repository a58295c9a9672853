package checker

import (
	"cmp"
	"slices"
	"time"
)

// Options is what a run allows.
type Options struct {
	// Settling is how long before it goes down an instance may have missed
	// broadcasts: as long as it could have been cut off. Zero asks nothing of
	// an instance that went down.
	Settling time.Duration
}

// event identifies an event, party a handler of a group, place a key's line in
// a partition.
type (
	event struct{ topic, id string }
	party struct{ group, name string }
	call  struct {
		party
		event
	}
	place struct {
		topic     string
		partition int32
		key       string
	}
)

// history is the entries by what the rules ask.
type history struct {
	handlers   []Handler
	committed  map[event]Committed
	commits    []Committed // in the order of the list, each event once
	uncertain  map[event]bool
	rolledBack map[event]RolledBack
	told       []Told
	doomed     map[call]Doomed
	deliveries []Delivered // in the order of the list
	delivered  map[call]bool
	handled    map[call]bool
	effects    map[call]int
	logged     map[event]bool
	standsIn   map[event]int32 // the last partition in the list
	scattered  map[event]bool  // in several partitions: see moved
	otherwise  map[event]bool  // written by the run itself
	records    []Logged        // by topic, partition, offset
	grown      map[string]bool
	arrived    map[place]int64 // Seq of the first event of a key in a partition
	trimmed    map[string]bool
	letters    map[call][]Letter
	order      []Entry // Delivered and Handled of consumer groups, in the order of the list
	presences  presences
	calls      []call // those with an effect or a letter, in the order of the list, for reports that are the same each time
}

// Check says what was violated, in the order of the rules.
func Check(entries []Entry, options Options) Report {
	h := read(entries)
	var r Report
	r.Committed, r.Uncertain = len(h.commits), len(h.uncertain)
	for e := range h.rolledBack {
		if _, ok := h.committed[e]; !ok {
			r.RolledBack++
		}
	}
	h.checkTold(&r)
	h.checkReach(&r)
	h.checkPhantoms(&r)
	h.checkOrder(&r)
	h.checkLog(&r)
	h.checkBroadcasts(&r, options)
	h.checkLetters(&r)
	return r
}

func read(entries []Entry) *history {
	h := &history{
		committed:  map[event]Committed{},
		uncertain:  map[event]bool{},
		rolledBack: map[event]RolledBack{},
		doomed:     map[call]Doomed{},
		delivered:  map[call]bool{},
		handled:    map[call]bool{},
		effects:    map[call]int{},
		logged:     map[event]bool{},
		standsIn:   map[event]int32{},
		scattered:  map[event]bool{},
		otherwise:  map[event]bool{},
		grown:      map[string]bool{},
		arrived:    map[place]int64{},
		trimmed:    map[string]bool{},
		letters:    map[call][]Letter{},
		presences:  presences{of: map[string]*presence{}},
	}
	for _, e := range entries {
		h.add(e)
	}
	slices.SortStableFunc(h.records, func(a, b Logged) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	h.arrive()
	return h
}

func (h *history) add(e Entry) {
	switch e := e.(type) {
	case Handler:
		h.handlers = append(h.handlers, e)
	case Committed:
		ev := event{e.Topic, e.ID}
		if _, ok := h.committed[ev]; !ok {
			h.commits = append(h.commits, e)
		}
		h.committed[ev] = e
	case Uncertain:
		h.uncertain[event{e.Topic, e.ID}] = true
	case RolledBack:
		h.rolledBack[event{e.Topic, e.ID}] = e
	case Told:
		h.told = append(h.told, e)
	case Doomed:
		h.doomed[call{party{e.Group, e.Handler}, event{e.Topic, e.ID}}] = e
	case Delivered:
		h.deliveries = append(h.deliveries, e)
		h.delivered[call{party{e.Group, e.Handler}, event{e.Topic, e.ID}}] = true
		if e.Group == "" {
			h.presences.delivered(e)
		} else {
			h.order = append(h.order, e)
		}
	case Handled:
		h.handled[call{party{e.Group, e.Handler}, event{e.Topic, e.ID}}] = true
		if e.Group == "" {
			h.presences.handled(e)
		} else {
			h.order = append(h.order, e)
		}
	case Effect:
		c := call{party{e.Group, e.Handler}, event{e.Topic, e.ID}}
		h.found(c)
		h.effects[c]++
	case Logged:
		ev := event{e.Topic, e.ID}
		if h.logged[ev] && h.standsIn[ev] != e.Partition {
			h.scattered[ev] = true
		}
		h.logged[ev], h.standsIn[ev] = true, e.Partition
		if e.OtherwiseAdded {
			h.otherwise[ev] = true
		}
		h.records = append(h.records, e)
	case Grown:
		h.grown[e.Topic] = true
	case Trimmed:
		h.trimmed[e.Topic] = true
	case Letter:
		c := call{party{e.Group, e.Handler}, event{e.Topic, e.ID}}
		h.found(c)
		h.letters[c] = append(h.letters[c], e)
	case Up:
		h.presences.up(e)
	case Down:
		h.presences.down(e)
	case Gap:
		h.presences.gap(e)
	}
}

// found notes a call that has left something behind.
func (h *history) found(c call) {
	if h.effects[c] == 0 && len(h.letters[c]) == 0 {
		h.calls = append(h.calls, c)
	}
}

// written says whether somebody has written the event, or may have.
func (h *history) written(e event) bool {
	_, ok := h.committed[e]
	return ok || h.uncertain[e] || h.otherwise[e]
}

// moved says whether the event has no place in the order of a partition, since
// its topic has gained partitions.
//
// It was written again then, to another partition than before: what stands in
// one of the two is a duplicate, and nothing tells which. Or it was to be written
// when its key moved, to a partition that could not be written, and came to the
// new one only after a newer event of the key had: that is the first one there.
func (h *history) moved(c Committed, partition int32) bool {
	return h.grown[c.Topic] && (h.scattered[event{c.Topic, c.ID}] || c.Seq < h.arrived[place{c.Topic, partition, c.Key}])
}

// arrive notes which event of a key is the first in a partition that the key has
// moved to. h.records are sorted.
func (h *history) arrive() {
	for _, e := range h.records {
		c, ok := h.committed[event{e.Topic, e.ID}]
		if at := (place{e.Topic, e.Partition, e.Key}); ok && c.Seq > 0 && h.arrived[at] == 0 && !h.moved(c, e.Partition) {
			h.arrived[at] = c.Seq
		}
	}
}

// gone says whether the event may have been removed before it was read.
func (h *history) gone(e event) bool { return h.trimmed[e.topic] && !h.logged[e] }
