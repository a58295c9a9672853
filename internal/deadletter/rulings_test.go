package deadletter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

// After a restart nothing is run again that is done further on in the log,
// although only its beginning has been fetched.
func TestReadsAhead(t *testing.T) {
	log := &storedLog{}
	x := NewIndex(log)
	woken(x)
	for id := range byte(5) {
		log.append(letter(id, letters.Letter, letters.NoRecord))
	}
	log.append(letter(3, letters.Done, 3))
	x.begin(place)
	log.fetch(x, 0, 4)
	x.ruled(t, 3, 3, unknown)
	x.learnt(t, 3, 3)
	x.ruled(t, 3, 3, passOver)
	x.ruled(t, 2, 2, run)
	if len(log.read) != 1 || log.read[0].From != 4 || log.read[0].To != 6 {
		t.Errorf("read %v", log.read)
	}
	log.append(letter(1, letters.Discard, 1)) // later on it is fetched
	log.fetch(x, 4, 7)
	x.ruled(t, 1, 1, passOver)
	if len(log.read) != 1 {
		t.Errorf("read %v", log.read)
	}
}

// What a record follows from before the assignment is read once, with all
// operations between.
func TestReadsBack(t *testing.T) {
	log := &storedLog{}
	x := NewIndex(log)
	woken(x)
	log.append(letter(1, letters.Letter, letters.NoRecord))
	log.append(letter(2, letters.Letter, letters.NoRecord))
	for range 3 * stride {
		log.append(letter(9, letters.Letter, letters.NoRecord))
	}
	overtaking := log.append(letter(2, letters.Discard, 1))
	from := log.append(letter(1, letters.Replay, 0))
	log.append(letter(2, letters.Replay, 1)) // by somebody who has not seen the discard
	log.append(letter(2, letters.Replay, overtaking))
	x.begin(place)
	log.fetch(x, from, from+3)
	x.ruled(t, 1, from, unknown)
	x.learnt(t, 1, from)
	reads := len(log.read)
	x.ruled(t, 1, from, run)
	x.ruled(t, 2, from+1, passOver)
	x.ruled(t, 2, from+2, run)
	if n := x.partitions[place].entries; n != 4 || len(log.read) != reads {
		t.Errorf("%d entries are kept, %d reads", n, len(log.read)-reads)
	}
}

// Two records of a letter do not run at the same time; what waits for the other
// is woken by its outcome.
func TestOneRunAtATime(t *testing.T) {
	log := &storedLog{}
	x := NewIndex(log)
	wakes := woken(x)
	log.append(letter(1, letters.Letter, letters.NoRecord))
	x.begin(place)
	log.fetch(x, 0, 1)
	x.learnt(t, 1, 0)
	x.ruled(t, 1, 0, run)
	log.append(letter(1, letters.Replay, 0))
	log.fetch(x, 1, 2)
	if !slices.Equal(*wakes, []int64{0}) {
		t.Errorf("the replay wakes %v", *wakes)
	}
	x.ruled(t, 1, 0, passOver)
	x.ruled(t, 1, 1, run)
	if !x.claim(place, eventmodels.Mark{1}, 1) {
		t.Error("the replay cannot run")
	}
	log.append(letter(1, letters.Replay, 1)) // who knows of the first
	log.fetch(x, 2, 3)
	*wakes = nil
	x.ruled(t, 1, 2, busy)
	if x.claim(place, eventmodels.Mark{1}, 2) {
		t.Error("two replays run")
	}
	x.written(place, log.append(letter(1, letters.Done, 1)), letter(1, letters.Done, 1))
	if !slices.Equal(*wakes, []int64{2}) {
		t.Errorf("the outcome wakes %v", *wakes)
	}
	x.ruled(t, 1, 2, passOver)

	x.end(place)
	x.ruled(t, 1, 2, busy)
	if x.claim(place, eventmodels.Mark{1}, 2) {
		t.Error("a record runs whose assignment has ended")
	}
	x.begin(place)
	x.ruled(t, 1, 2, busy) // nothing was fetched in this assignment
}

// What is committed is forgotten when there is much of it, and read again when
// it is needed.
func TestForgets(t *testing.T) {
	log := &storedLog{}
	x := NewIndex(log)
	woken(x)
	x.begin(place)
	log.append(letter(1, letters.Letter, letters.NoRecord))
	log.append(letter(1, letters.Discard, 0))
	for n := range maxEntries + 10 {
		h := letter(0, letters.Letter, letters.NoRecord)
		h.ID = eventmodels.Mark{7, byte(n), byte(n >> 8), byte(n >> 16)}
		log.append(h)
	}
	end := int64(len(log.records))
	log.fetch(x, 0, end)
	x.committed(place, end-5)
	log.append(letter(1, letters.Replay, 0)) // overtaken by what is forgotten by now
	log.fetch(x, end, end+1)
	if n := x.partitions[place].entries; n > 10 {
		t.Errorf("%d entries", n)
	}
	x.ruled(t, 1, end, unknown)
	x.learnt(t, 1, end)
	x.ruled(t, 1, end, passOver)
}

// At random: whatever was fetched of a log, and whenever the assignment began,
// what is ruled of a fetched record is what the fold over the whole log says.
func TestRulingsAtRandom(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		log := &storedLog{}
		x := NewIndex(log)
		woken(x)
		folds := make(map[byte]*letters.Fold)
		var headers []letters.Header
		for offset := range int64(40) {
			id := byte(1 + rnd.IntN(4))
			h := letter(id, letters.Kind(1+rnd.IntN(6)), letters.NoRecord)
			if offset > 0 && rnd.IntN(4) > 0 {
				h.Follows = rnd.Int64N(offset)
			}
			if folds[id] == nil {
				folds[id] = new(letters.Fold)
			}
			folds[id].Add(h.Entry(log.append(h)))
			headers = append(headers, h)
		}
		from := rnd.Int64N(40)
		to := from + 1 + rnd.Int64N(40-from)
		x.begin(place)
		log.fetch(x, from, to)
		for offset := from; offset < to; offset++ {
			id := headers[offset].ID[0]
			want := passOver
			if state, newest := folds[id].State(); newest.Offset == offset && (state == letters.Waiting || state == letters.Replaying) {
				want = run
			}
			if x.ruled(t, id, offset, want); t.Failed() {
				t.Fatalf("seed %d: [%d, %d) was fetched of %s", seed, from, to, fmt.Sprint(headers))
			}
		}
	}
}

var _ Log = (*kafka.Client)(nil)
