package deadletter

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

var letterPlace = kafka.TopicPartition{Topic: "orders.g.dead-letter", Partition: 0}

// fakeLog is the log of letterPlace; an offset is an index. It is also the
// engine whose deliveries are woken.
type fakeLog struct {
	*Index
	t       *testing.T
	records []*kafka.Record
	woken   []int64
}

func newFakeLog(t *testing.T) *fakeLog {
	l := &fakeLog{t: t}
	l.Index = NewIndex(l)
	l.SetWake(func(_ kafka.TopicPartition, offset int64) { l.woken = append(l.woken, offset) })
	l.begin(letterPlace)
	return l
}

func (l *fakeLog) LogRanges(context.Context, []kafka.WireTopic) (map[kafka.TopicPartition]kafka.LogRange, error) {
	return map[kafka.TopicPartition]kafka.LogRange{letterPlace: {TopicPartition: letterPlace, To: int64(len(l.records))}}, nil
}

func (l *fakeLog) Read(_ context.Context, r kafka.LogRange) iter.Seq2[kafka.Chunk, error] {
	return func(yield func(kafka.Chunk, error) bool) {
		yield(kafka.Chunk{From: r.From, Next: r.To, Records: l.records[r.From:r.To]}, nil)
	}
}

// append adds a record of a letter to the log, and returns its offset.
func (l *fakeLog) append(letter byte, kind letters.Kind, follows int64) int64 {
	h := letters.Header{Kind: kind, Mode: letters.Retry, ID: eventmodels.Mark{letter}, Group: "g", Handler: "invoice", Topic: "orders", Follows: follows}
	r := h.Record(letterPlace, &kafka.Record{Key: []byte("k"), Value: []byte("{}")})
	r.Offset = int64(len(l.records))
	l.records = append(l.records, r)
	return r.Offset
}

// poll fetches from an offset to the end.
func (l *fakeLog) poll(from int64) {
	l.fetched(&kafka.Fetched{TopicPartition: letterPlace, Records: l.records[from:], Next: kafka.Offset{At: int64(len(l.records))}})
}

// wantRuling asks the index as the record's delivery does.
func (l *fakeLog) wantRuling(offset int64, want ruling) {
	l.t.Helper()
	header, _, err := letters.Parse(l.records[offset].Headers)
	if err != nil {
		l.t.Fatal(err)
	}
	got := l.judge(letterPlace, header.ID, offset)
	if got == unknown && want != unknown {
		if err := l.learn(l.t.Context(), letterPlace, header.ID, offset); err != nil {
			l.t.Fatal(err)
		}
		got = l.judge(letterPlace, header.ID, offset)
	}
	if got != want {
		l.t.Errorf("the record at %d: ruling %d, want %d", offset, got, want)
	}
}

// A waiting letter is tried while a server is away, and somebody asks for a
// replay before it is tried again: then it is passed over, no outcome is ever
// written for it, and the replay runs.
func TestOvertakenAfterARunWithoutOutcome(t *testing.T) {
	l := newFakeLog(t)
	letter := l.append(1, letters.Letter, letters.NoRecord)
	l.poll(0)
	l.wantRuling(letter, run)
	if !l.claim(letterPlace, eventmodels.Mark{1}, letter) {
		t.Fatal("nobody else runs")
	}
	replay := l.append(1, letters.Replay, letter)
	l.poll(replay)
	l.wantRuling(replay, busy)
	l.woken = nil
	l.wantRuling(letter, passOver)
	if !slices.Equal(l.woken, []int64{replay}) {
		t.Errorf("woken are %v", l.woken)
	}
	l.wantRuling(replay, run)
	if !l.claim(letterPlace, eventmodels.Mark{1}, replay) {
		t.Error("the replay has to wait for a letter that never ends")
	}
}

// A truncation replaces the end of the log. What lies before it waits on.
func TestLettersBelowATruncation(t *testing.T) {
	l := newFakeLog(t)
	waits := l.append(1, letters.Letter, letters.NoRecord)
	lost := l.append(1, letters.Discard, waits)
	ran := l.append(2, letters.Letter, letters.NoRecord)
	l.poll(0)
	l.wantRuling(waits, passOver)
	l.wantRuling(ran, run)
	l.claim(letterPlace, eventmodels.Mark{2}, ran)
	l.committed(letterPlace, ran)

	l.records = l.records[:lost]
	second := l.append(2, letters.Letter, letters.NoRecord)
	l.poll(lost)
	l.wantRuling(waits, run)
	l.wantRuling(second, run)
	if !l.claim(letterPlace, eventmodels.Mark{2}, second) {
		t.Error("the run of a record that is gone is waited for")
	}
	if h := l.partitions[letterPlace]; h.entries != 2 || h.committed > lost {
		t.Errorf("%d entries, committed %d", h.entries, h.committed)
	}
}

// Somebody discards a letter while nothing is fetched, since a server was away
// or the window is full: then the letter is not run, whatever the poller knows.
func TestOperationThatWasNotFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog(t)
		letter := l.append(1, letters.Letter, letters.NoRecord)
		l.poll(0)
		l.wantRuling(letter, run)
		discard := l.append(1, letters.Discard, letter)
		time.Sleep(fresh + time.Second)
		l.wantRuling(letter, passOver)
		reopen := l.append(1, letters.Reopen, discard)
		replay := l.append(1, letters.Replay, reopen)
		l.poll(discard) // what was read before is fetched
		time.Sleep(fresh + time.Second)
		l.wantRuling(letter, passOver)
		l.wantRuling(replay, run)
	})
}

// What is known of letters that are done does not grow with the log, nor with
// the number of partitions; and it is read again when it is needed.
func TestKnowledgeIsBounded(t *testing.T) {
	l := newFakeLog(t)
	const partitions, all = 50, 3 * leastEntries
	for p := range int32(partitions - 1) {
		l.begin(kafka.TopicPartition{Topic: letterPlace.Topic, Partition: p + 1})
	}
	first := l.append(1, letters.Letter, letters.NoRecord)
	discard := l.append(1, letters.Discard, first)
	for range all {
		at := l.append(2, letters.Letter, letters.NoRecord)
		l.records[at].Headers[1].Value = fmt.Appendf(nil, "%032x", at+100)
	}
	for at := range int64(all) {
		l.fetched(&kafka.Fetched{TopicPartition: letterPlace, Records: l.records[at : at+1], Next: kafka.Offset{At: at + 1}})
		l.committed(letterPlace, at+1)
	}
	if n := l.partitions[letterPlace].entries; n > leastEntries+1 {
		t.Errorf("%d entries", n)
	}
	overtaken := l.append(1, letters.Replay, first) // written without knowing of the discard
	l.poll(all)
	l.wantRuling(overtaken, passOver)
	reopen := l.append(1, letters.Reopen, discard)
	replay := l.append(1, letters.Replay, reopen)
	l.woken = nil
	l.poll(reopen)
	l.wantRuling(replay, run)
	if !slices.Equal(slices.Compact(l.woken), []int64{overtaken}) { // the others are done
		t.Errorf("woken are %v", l.woken)
	}
}
