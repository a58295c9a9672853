package letterdesk

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/internal/letters"
)

// log makes a partition of a script: records of up to 5 letters, some foreign.
func partition(script []byte) []record {
	var log []record
	last := make(map[byte]int64)
	for i := 0; i+3 < len(script) && len(log) < 60; i += 4 {
		n := script[i] % 5
		rec := record{offset: int64(len(log)), time: time.Unix(int64(script[i+1]), 0)}
		if script[i+2]%16 == 15 {
			rec.foreign = true
		} else {
			rec.header = letters.Header{ID: id{n + 1}, Kind: letters.Kind(script[i+2] % 7), Mode: letters.Mode(script[i+3] % 2), Follows: letters.NoRecord}
			if before, ok := last[n]; ok && script[i+3] > 20 {
				rec.header.Follows = before
			}
			if script[i+3] > 200 && rec.offset > 0 {
				rec.header.Follows = int64(script[i+3]) % rec.offset
			}
			if script[i+3]%3 > 0 {
				last[n] = rec.offset
			}
		}
		log = append(log, rec)
	}
	return log
}

type place struct {
	record, failure int64
	state           letters.State
	foreign         bool
}

// naive folds the whole history of each letter, and sorts.
func naive(log []record) []place {
	folds := make(map[id]*letters.Fold)
	var places, lost []place
	for _, rec := range log {
		if rec.foreign {
			places = append(places, place{rec.offset, letters.NoRecord, letters.None, true})
			continue
		}
		if folds[rec.header.ID] == nil {
			folds[rec.header.ID] = new(letters.Fold)
		}
		folds[rec.header.ID].Add(rec.header.Entry(rec.offset))
	}
	for _, f := range folds {
		state, newest := f.State()
		p := place{newest.Offset, f.Carrier().Offset, state, false}
		if f.Failure().Offset != letters.NoRecord {
			places = append(places, p)
		} else if p.record != letters.NoRecord {
			lost = append(lost, p)
		}
	}
	at := func(p place) int64 {
		if p.failure != letters.NoRecord {
			return p.failure
		}
		return p.record
	}
	order := func(a, b place) int { return -cmp.Compare(at(a), at(b)) }
	slices.SortFunc(places, order)
	slices.SortFunc(lost, order)
	return append(places, lost...)
}

// FuzzResolver: what is handed on while the records come, the newest first, is
// what the whole histories say, in order.
func FuzzResolver(f *testing.F) {
	f.Add([]byte{0, 1, 1, 0, 0, 2, 3, 100, 1, 3, 1, 1, 0, 4, 4, 25})
	f.Add([]byte{0, 9, 1, 1, 0, 2, 5, 30, 0, 3, 2, 30, 2, 2, 15, 0, 0, 4, 6, 30})
	f.Fuzz(func(t *testing.T, script []byte) {
		log := partition(script)
		r := newResolver()
		var items []Item
		for _, rec := range slices.Backward(log) {
			r.add(rec)
			items = append(items, r.ready()...)
		}
		items = append(items, r.finish()...)
		var got []place
		for i, item := range items {
			got = append(got, place{item.Record, item.Failure, item.State, item.Foreign})
			if i > 0 && !CursorOf(items[i-1]).before(CursorOf(item)) {
				t.Fatalf("%s stands before %s", CursorOf(items[i-1]), CursorOf(item))
			}
		}
		if want := naive(log); !slices.Equal(got, want) {
			t.Fatalf("got  %+v\nwant %+v\nlog %+v", got, want, log)
		}
		if r.waiting() {
			t.Fatal("something is left")
		}
	})
}

// A letter that has failed once needs nothing further down.
func TestResolverIsEarly(t *testing.T) {
	r := newResolver()
	h := header(1)
	h.Kind = letters.Discard
	h.Follows = 7
	r.add(record{offset: 9, header: h, time: time.Unix(9, 0)})
	if r.waiting() || len(r.ready()) != 0 {
		t.Error("an operation takes a place in the list")
	}
	h.Kind, h.Follows = letters.Letter, letters.NoRecord
	r.add(record{offset: 7, header: h, time: time.Unix(7, 0)})
	items := r.ready()
	if len(items) != 1 || items[0].State != letters.Discarded || items[0].Record != 9 || items[0].Failure != 7 || !items[0].Since.Equal(time.Unix(9, 0)) || len(r.open) != 0 {
		t.Errorf("%+v", items)
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add("1/t/0/5")
	f.Add("-9223372036854775808/p.orders.g.dead-letter/2147483647/9223372036854775807")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCursor(text)
		if err != nil {
			return
		}
		if again, err := ParseCursor(c.String()); err != nil || again != c {
			t.Fatalf("%q became %+v, then %+v, %v", text, c, again, err)
		}
	})
}
