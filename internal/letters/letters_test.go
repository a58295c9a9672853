package letters

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

func fold(entries ...Entry) *Fold {
	var f Fold
	for _, e := range entries {
		f.Add(e)
	}
	return &f
}

func TestStates(t *testing.T) {
	saved := Entry{Offset: 5, Kind: Letter, Follows: NoRecord}
	waiting := Entry{Offset: 5, Kind: Letter, Mode: Retry, Follows: NoRecord}
	op := func(offset int64, kind Kind, follows int64) Entry {
		return Entry{Offset: offset, Kind: kind, Follows: follows}
	}
	again := func(offset int64, mode Mode, follows int64) Entry {
		return Entry{Offset: offset, Kind: Letter, Mode: mode, Follows: follows}
	}
	for _, test := range []struct {
		name    string
		entries []Entry
		state   State
		newest  int64
	}{
		{"nothing", nil, None, NoRecord},
		{"saved", []Entry{saved}, Saved, 5},
		{"waiting", []Entry{waiting}, Waiting, 5},
		{"replayed", []Entry{saved, op(7, Replay, 5)}, Replaying, 7},
		{"replay succeeded", []Entry{saved, op(7, Replay, 5), op(9, Done, 7)}, Finished, 9},
		{"replay failed", []Entry{saved, op(7, Replay, 5), again(9, Save, 7)}, Saved, 9},
		{"retried, failed again", []Entry{waiting, again(8, Retry, 5)}, Waiting, 8},
		{"discarded", []Entry{saved, op(7, Discard, 5)}, Discarded, 7},
		{"reopened", []Entry{saved, op(7, Discard, 5), op(8, Reopen, 7)}, Saved, 8},
		{"a retry that fails while somebody discards brings nothing back", []Entry{waiting, op(7, Discard, 5), again(8, Retry, 5)}, Discarded, 7},
		{"a copy after the discard brings nothing back", []Entry{waiting, op(7, Discard, 5), {Offset: 8, Kind: Copy, Mode: Retry, Follows: 5}}, Discarded, 7},
		{"a copy says where the event lies", []Entry{waiting, {Offset: 8, Kind: Copy, Mode: Retry, Follows: 5}}, Waiting, 8},
		{"two replays at once", []Entry{saved, op(7, Replay, 5), op(8, Replay, 5)}, Replaying, 7},
		{"the first of two replays at once fails", []Entry{saved, op(7, Replay, 5), op(8, Replay, 5), again(9, Save, 7)}, Saved, 9},
		{"what is done after two replays at once", []Entry{saved, op(7, Replay, 5), op(8, Replay, 5), op(9, Discard, 7)}, Discarded, 9},
		{"a success is true whatever was done meanwhile", []Entry{waiting, op(7, Discard, 5), op(8, Done, 5)}, Finished, 8},
		{"the letter was written twice after a crash", []Entry{saved, again(6, Save, NoRecord)}, Saved, 6},
		{"a later failure of a done event is a new failure", []Entry{saved, op(7, Done, 5), again(9, Retry, NoRecord)}, Waiting, 9},
		{"unknown kinds are passed over", []Entry{saved, op(7, Unknown, 5)}, Saved, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := fold(test.entries...)
			state, newest := f.State()
			if state != test.state || newest.Offset != test.newest {
				t.Errorf("%v by the record at %d, want %v by %d", state, newest.Offset, test.state, test.newest)
			}
			for _, e := range test.entries {
				want := e.Offset == test.newest && (test.state == Waiting || test.state == Replaying)
				if run, needs := f.Judge(e.Offset, 0); run != want || needs != 0 {
					t.Errorf("the record at %d: run is %v, needs %d", e.Offset, run, needs)
				}
			}
		})
	}
}

// naive is the definition, read aloud.
func naive(entries []Entry) (State, int64) {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b Entry) int { return int(a.Offset - b.Offset) })
	state, newest := None, NoRecord
	var operations []int64 // with effect
	for _, e := range sorted {
		effect := e.Kind != Unknown
		if e.Kind != Done && !(e.Kind == Letter && e.Follows == NoRecord) {
			for _, o := range operations {
				if o > e.Follows && o < e.Offset {
					effect = false
				}
			}
		}
		if effect && e.Kind >= Replay {
			operations = append(operations, e.Offset)
		}
		if effect {
			state, newest = map[Kind]State{Replay: Replaying, Done: Finished, Discard: Discarded, Reopen: Saved}[e.Kind], e.Offset
			if e.Kind == Letter || e.Kind == Copy {
				state = []State{Save: Saved, Retry: Waiting}[e.Mode]
			}
		}
	}
	return state, newest
}

// FuzzFold: the state is the definition's, whichever way the records are read,
// and however often.
func FuzzFold(f *testing.F) {
	f.Add([]byte{1, 0, 0, 3, 1, 0, 4, 2, 0}, uint64(1))
	f.Add([]byte{1, 0, 1, 5, 1, 0, 2, 1, 1, 6, 2, 0}, uint64(2))
	f.Fuzz(func(t *testing.T, script []byte, seed uint64) {
		var entries []Entry
		for i := 0; i+2 < len(script) && len(entries) < 40; i += 3 {
			offset := int64(len(entries))
			e := Entry{Offset: offset, Kind: Kind(script[i] % 7), Mode: Mode(script[i+2] % 2), Follows: NoRecord}
			if script[i+1] > 0 && offset > 0 {
				e.Follows = int64(script[i+1]) % offset
			}
			entries = append(entries, e)
		}
		state, newest := naive(entries)
		r := rand.New(rand.NewPCG(seed, 0))
		for range 3 {
			shuffled := slices.Clone(entries)
			r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			shuffled = append(shuffled, entries...)
			gotState, gotNewest := fold(shuffled...).State()
			if gotState != state || gotNewest.Offset != newest {
				t.Fatalf("%v at %d, want %v at %d: %+v", gotState, gotNewest.Offset, state, newest, entries)
			}
		}
	})
}

// FuzzSettled: what is settled, read from the newest record downwards, is what
// the whole history says; and it is settled at the latest when all is read, if
// there is a failure at all.
func FuzzSettled(f *testing.F) {
	f.Add([]byte{1, 0, 0, 3, 1, 0, 4, 2, 0})
	f.Add([]byte{1, 0, 1, 5, 1, 0, 2, 1, 1, 6, 2, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		var entries []Entry
		for i := 0; i+2 < len(script) && len(entries) < 40; i += 3 {
			offset := int64(len(entries))
			e := Entry{Offset: offset, Kind: Kind(script[i] % 7), Mode: Mode(script[i+2] % 2), Follows: NoRecord}
			if script[i+1] > 0 && offset > 0 {
				e.Follows = int64(script[i+1]) % offset
			}
			entries = append(entries, e)
		}
		all := fold(entries...)
		state, newest := all.State()
		failure := all.Failure()
		var part Fold
		for _, e := range slices.Backward(entries) {
			part.Add(e)
			if !part.Settled(e.Offset) {
				continue
			}
			if s, n := part.State(); s != state || n != newest || part.Failure() != failure {
				t.Fatalf("settled at %d as %v by %d, failure %d; it is %v by %d, failure %d: %+v",
					e.Offset, s, n.Offset, part.Failure().Offset, state, newest.Offset, failure.Offset, entries)
			}
		}
		if (failure.Offset != NoRecord) != part.Settled(NoRecord) {
			t.Fatalf("all is read, settled is %v, the failure is %+v: %+v", part.Settled(NoRecord), failure, entries)
		}
	})
}

func full() Header {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	return Header{
		Kind: Letter, ID: eventmodels.Mark{1, 2, 3}, Group: "billing", Handler: "invoice", Topic: "orders.placed", Follows: 7,
		Mode: Retry, Error: "no such customer", Cause: "c", Attempts: 3, First: at, Last: at.Add(time.Second), NotBefore: at.Add(time.Minute),
		Origin: Origin{"p.orders.placed", 2, 9}, Instance: "host/1", Replay: "r1",
	}
}

func TestHeadersRoundTrip(t *testing.T) {
	own := []kafka.Header{{Key: "ce_id", Value: []byte("1")}, {Key: "h", Value: []byte{0, 255}}}
	for _, h := range []Header{
		full(),
		{Kind: Done, ID: eventmodels.Mark{1}, Group: "g", Handler: "h", Topic: "t", Follows: 0, Replay: "r", Attempts: 1, Took: time.Second},
		{Kind: Discard, ID: eventmodels.Mark{1}, Group: "g", Handler: "h", Topic: "t", Follows: 5, By: "me", Reason: "ü"},
	} {
		got, rest, err := Parse(h.Append(slices.Clone(own)))
		if err != nil || !reflect.DeepEqual(got, h) || !reflect.DeepEqual(rest, own) {
			t.Errorf("%v\ngot  %+v\nwant %+v\nrest %v", err, got, h, rest)
		}
		if !reflect.DeepEqual(Own(h.Append(slices.Clone(own))), own) {
			t.Error("Own leaves headers of the protocol")
		}
	}
	if _, rest, err := Parse(own); !errors.Is(err, ErrForeign) || !reflect.DeepEqual(rest, own) {
		t.Errorf("a foreign record: %v", err)
	}
	if _, _, err := Parse([]kafka.Header{{Key: headerKind, Value: []byte("letter")}}); err == nil || errors.Is(err, ErrForeign) {
		t.Errorf("a letter without id: %v", err)
	}
	h := full()
	h.Error = string(make([]byte, 3*maxText)) + "ü"
	if got, _, _ := Parse(h.Append(nil)); len(got.Error) != maxText {
		t.Errorf("an error text of %d bytes is kept", len(got.Error))
	}
	if got := Shorten("aü", 2); got != "a" {
		t.Errorf("Shorten cuts a character: %q", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, h := range full().Append(nil) {
		f.Add(h.Key, h.Value)
	}
	f.Fuzz(func(t *testing.T, name string, value []byte) {
		headers := append(full().Append(nil), kafka.Header{Key: name, Value: value})
		h, _, err := Parse(headers)
		if err != nil {
			return
		}
		again, _, err := Parse(h.Append(nil))
		if err != nil {
			t.Fatalf("what was read cannot be written and read: %v (%q=%q)", err, name, value)
		}
		if again.ID != h.ID || again.Kind != h.Kind && h.Kind != Unknown || again.Follows != h.Follows {
			t.Fatalf("%+v became %+v", h, again)
		}
	})
}
