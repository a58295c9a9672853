package deadletter

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

// A waiting letter is tried while a server is away, and somebody asks for a
// replay before it is tried again: then it is passed over, no outcome is ever
// written for it, and the replay runs.
func TestOvertakenAfterARunWithoutOutcome(t *testing.T) {
	log := &storedLog{}
	x := NewIndex(log)
	wakes := woken(x)
	x.begin(place)
	waits := log.append(letter(1, letters.Letter, letters.NoRecord))
	log.fetch(x, 0, 1)
	x.ruled(t, 1, waits, run)
	if !x.claim(place, eventmodels.Mark{1}, waits) {
		t.Fatal("nobody else runs")
	}
	replay := log.append(letter(1, letters.Replay, waits))
	log.fetch(x, 1, 2)
	x.ruled(t, 1, replay, busy)
	*wakes = nil
	x.ruled(t, 1, waits, passOver)
	if !slices.Equal(*wakes, []int64{replay}) {
		t.Errorf("woken are %v", *wakes)
	}
	x.ruled(t, 1, replay, run)
	if !x.claim(place, eventmodels.Mark{1}, replay) {
		t.Error("the replay has to wait for a letter that never ends")
	}
}

// A truncation replaces the end of the log. What lies before it waits on.
func TestLettersBelowATruncation(t *testing.T) {
	log := &storedLog{}
	x := NewIndex(log)
	woken(x)
	x.begin(place)
	waits := log.append(letter(1, letters.Letter, letters.NoRecord))
	lost := log.append(letter(1, letters.Discard, waits))
	ran := log.append(letter(2, letters.Letter, letters.NoRecord))
	log.fetch(x, 0, 3)
	x.ruled(t, 1, waits, passOver)
	x.ruled(t, 2, ran, run)
	x.claim(place, eventmodels.Mark{2}, ran)
	x.committed(place, ran)

	log.records = log.records[:lost]
	second := log.append(letter(2, letters.Letter, letters.NoRecord))
	log.fetch(x, lost, lost+1)
	x.ruled(t, 1, waits, run)
	x.ruled(t, 2, second, run)
	if !x.claim(place, eventmodels.Mark{2}, second) {
		t.Error("the run of a record that is gone is waited for")
	}
	if h := x.partitions[place]; h.entries != 2 || h.committed > lost {
		t.Errorf("%d entries, committed %d", h.entries, h.committed)
	}
}

// Somebody discards a letter while nothing is fetched, since a server was away
// or the window is full: then the letter is not run, whatever the poller knows.
func TestOperationThatWasNotFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &storedLog{}
		x := NewIndex(log)
		woken(x)
		x.begin(place)
		waits := log.append(letter(1, letters.Letter, letters.NoRecord))
		log.fetch(x, 0, 1)
		x.ruled(t, 1, waits, run)
		discard := log.append(letter(1, letters.Discard, waits))
		time.Sleep(fresh + time.Second)
		x.ruled(t, 1, waits, passOver)
		reopen := log.append(letter(1, letters.Reopen, discard))
		replay := log.append(letter(1, letters.Replay, reopen))
		log.fetch(x, discard, replay+1) // what was read before is fetched
		time.Sleep(fresh + time.Second)
		x.ruled(t, 1, waits, passOver)
		x.ruled(t, 1, replay, run)
	})
}

// A leader that has just been elected shows less of the log than there is: what
// it does not show yet may be a discard, so nothing is run before.
func TestLeaderThatDoesNotShowTheEnd(t *testing.T) {
	log := &storedLog{}
	x := NewIndex(log)
	woken(x)
	x.begin(place)
	waits := log.append(letter(1, letters.Letter, letters.NoRecord))
	log.fetch(x, 0, 1)
	for range 4 {
		log.append(letter(2, letters.Letter, letters.NoRecord))
	}
	log.append(letter(1, letters.Discard, waits))
	for _, log.hidden = range []int64{5, 1} {
		if err := x.learn(t.Context(), place, eventmodels.Mark{1}, waits); !errors.Is(err, kafka.ErrEndsEarly) {
			t.Errorf("%d records are hidden: %v", log.hidden, err)
		}
		x.ruled(t, 1, waits, unknown)
	}
	log.hidden = 0
	x.ruled(t, 1, waits, passOver)
}

// What is known of letters that are done does not grow with the log, nor with
// the number of partitions; and it is read again when it is needed.
func TestKnowledgeIsBounded(t *testing.T) {
	log := &storedLog{}
	x := NewIndex(log)
	wakes := woken(x)
	const partitions, all = 50, 3 * leastEntries
	for p := range int32(partitions) {
		x.begin(kafka.TopicPartition{Topic: topic, Partition: p})
	}
	first := log.append(letter(1, letters.Letter, letters.NoRecord))
	discard := log.append(letter(1, letters.Discard, first))
	for n := range all {
		h := letter(0, letters.Letter, letters.NoRecord)
		h.ID = eventmodels.Mark{2, byte(n), byte(n >> 8)}
		log.append(h)
	}
	for at := range int64(all) {
		log.fetch(x, at, at+1)
		x.committed(place, at+1)
	}
	if n := x.partitions[place].entries; n > leastEntries+1 {
		t.Errorf("%d entries", n)
	}
	overtaken := log.append(letter(1, letters.Replay, first)) // written without knowing of the discard
	log.fetch(x, all, overtaken+1)
	x.ruled(t, 1, overtaken, passOver)
	reopen := log.append(letter(1, letters.Reopen, discard))
	replay := log.append(letter(1, letters.Replay, reopen))
	*wakes = nil
	log.fetch(x, reopen, replay+1)
	x.ruled(t, 1, replay, run)
	if !slices.Equal(slices.Compact(*wakes), []int64{overtaken}) { // the others are done
		t.Errorf("woken are %v", *wakes)
	}
}
