package letterdesk

import (
	"cmp"
	"slices"
	"time"

	"github.com/seed46dd6f11/events/internal/letters"
)

// resolver is told a partition's records, the newest first, and hands the
// letters on in the order of their places, as soon as nothing further down can
// change what they are. It is a plain state.
//
// Invariants: queue descends by offset; a letter is in open, in handed, or was
// not seen yet; each failure in open has a slot in queue that is not settled.
type resolver struct {
	open   map[id]*letter
	handed map[id]struct{}
	queue  []*slot
	least  time.Time // of the times of all slots so far; zero: none
	texts  map[texts]*texts
}

// letter is one of which not enough is known yet. Most are those of which an
// operation was read, and the failure was not.
type letter struct {
	fold     letters.Fold
	ops      []op
	failures []*slot
	copies   []record // the newest first; in case that the log no longer has the failure
}

// op is what is kept of a record that is no failure. There may be as many as
// letters, when all of them were discarded.
type op struct {
	offset int64
	nanos  int64 // its time, Unix
	texts  *texts
	replay string
}

// texts are the same for many records.
type texts struct{ by, reason, topic, handler string }

// slot is a place in the list.
type slot struct {
	record  record
	order   time.Time
	settled bool
	void    bool // the letter stands somewhere else
	item    Item
}

func newResolver() *resolver {
	return &resolver{open: make(map[id]*letter), handed: make(map[id]struct{}), texts: make(map[texts]*texts)}
}

// add takes the next older record.
func (r *resolver) add(rec record) {
	if rec.foreign {
		s := r.place(rec)
		s.settled = true
		s.item = Item{Record: rec.offset, Failure: letters.NoRecord, Time: rec.time, Order: r.least, Key: rec.key, Size: rec.size, Foreign: true, Problem: rec.problem}
		return
	}
	h := &rec.header
	if _, done := r.handed[h.ID]; done || h.Kind == letters.Unknown {
		return
	}
	l := r.open[h.ID]
	first := h.Kind == letters.Letter && h.Follows == letters.NoRecord
	if l == nil && first { // most letters: nothing needs to be remembered but the id
		s := r.place(rec)
		s.settle(itemOf(stateOf(h.Entry(rec.offset)), h.Entry(rec.offset), rec, nil))
		r.handed[h.ID] = struct{}{}
		return
	}
	if l == nil {
		l = new(letter)
		r.open[h.ID] = l
	}
	l.fold.Add(h.Entry(rec.offset))
	switch h.Kind {
	case letters.Letter:
		l.failures = append(l.failures, r.place(rec))
	case letters.Copy:
		l.copies = append(l.copies, rec)
	default:
		l.ops = append(l.ops, op{rec.offset, rec.time.UnixNano(), r.intern(texts{h.By, h.Reason, h.Topic, h.Handler}), h.Replay})
	}
	if l.fold.Settled(rec.offset) {
		r.hand(h.ID, l)
	}
}

func stateOf(e letters.Entry) letters.State {
	var f letters.Fold
	f.Add(e)
	state, _ := f.State()
	return state
}

// place makes the slot of a record. Clocks of services differ; so that the order
// of a partition is an order of times, the time that a letter is sorted by is
// never later than that of what was appended afterwards.
func (r *resolver) place(rec record) *slot {
	if r.least.IsZero() || rec.time.Before(r.least) {
		r.least = rec.time
	}
	s := &slot{record: rec, order: r.least}
	r.queue = append(r.queue, s)
	return s
}

// hand settles all slots of a letter.
func (r *resolver) hand(id id, l *letter) {
	failure := l.fold.Failure()
	for _, s := range l.failures {
		if s.record.offset == failure.Offset {
			s.settle(l.item(s.record))
		} else {
			s.settled, s.void = true, true
			s.record = record{}
		}
	}
	delete(r.open, id)
	r.handed[id] = struct{}{}
}

// item is what the letter is; failure is where it stands.
func (l *letter) item(failure record) Item {
	state, newest := l.fold.State()
	for i := range l.ops {
		if l.ops[i].offset == newest.Offset {
			return itemOf(state, newest, failure, &l.ops[i])
		}
	}
	return itemOf(state, newest, failure, nil)
}

func (s *slot) settle(item Item) {
	s.settled, s.item = true, item
	s.item.Order = s.order
	s.record = record{}
}

// ready returns the letters that can be handed on, the newest first.
func (r *resolver) ready() []Item {
	var items []Item
	n := 0
	for ; n < len(r.queue) && r.queue[n].settled; n++ {
		if !r.queue[n].void {
			items = append(items, r.queue[n].item)
		}
	}
	clear(r.queue[:n])
	r.queue = r.queue[n:]
	return items
}

// waiting says that there are places of which it is not known what stands
// there.
func (r *resolver) waiting() bool { return len(r.queue) > 0 }

// finish says that there are no older records, and returns what is left. Last
// come letters whose failures the log no longer has, by what was done last.
func (r *resolver) finish() []Item {
	var lost []Item
	for id, l := range r.open {
		if l.fold.Settled(letters.NoRecord) {
			r.hand(id, l)
			continue
		}
		for _, s := range l.failures { // none has an effect
			s.settled, s.void = true, true
			s.record = record{}
		}
		if item, ok := l.lost(id); ok {
			lost = append(lost, item)
		}
	}
	slices.SortFunc(lost, func(a, b Item) int { return -cmp.Compare(CursorOf(a).Offset, CursorOf(b).Offset) })
	items := r.ready()
	for _, item := range lost {
		item.Order = item.Time
		if !r.least.IsZero() && !item.Order.Before(r.least) {
			item.Order = r.least.Add(-1) // they stand behind all others
		}
		r.least = item.Order
		items = append(items, item)
	}
	return items
}

// lost is the item of a letter of which the log no longer has the failure; false
// if none of its records has an effect.
func (l *letter) lost(id id) (Item, bool) {
	state, newest := l.fold.State()
	if newest.Offset == letters.NoRecord {
		return Item{}, false
	}
	i := slices.IndexFunc(l.ops, func(o op) bool { return o.offset == newest.Offset })
	failure := record{offset: letters.NoRecord}
	if carrier := l.fold.Carrier().Offset; carrier != letters.NoRecord {
		failure = l.copies[slices.IndexFunc(l.copies, func(c record) bool { return c.offset == carrier })]
	} else { // then the newest one is an operation
		texts := l.ops[i].texts
		failure.time = time.Unix(0, l.ops[i].nanos)
		failure.header = letters.Header{ID: id, Topic: texts.topic, Handler: texts.handler, Follows: letters.NoRecord}
	}
	if i < 0 {
		return itemOf(state, newest, failure, nil), true
	}
	return itemOf(state, newest, failure, &l.ops[i]), true
}

// intern keeps one copy of texts of which there are few.
func (r *resolver) intern(t texts) *texts {
	known, ok := r.texts[t]
	if !ok {
		known = &t
		if len(r.texts) < 1000 {
			r.texts[t] = known
		}
	}
	return known
}
