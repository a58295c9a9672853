package eventdb

import (
	"testing"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
)

// A server that has lost its last commits draws their seqs again. What is in
// flight under such a seq is another row than the one that has it now, which is
// sent as well, and each is deleted by itself.
func TestSeqsThatAreDrawnAgain(t *testing.T) {
	f := newFlight()
	row := func(seq int64) eventmodels.OutboxRow {
		return eventmodels.OutboxRow{Seq: seq, ID: uuid.New(), Topic: "t"}
	}
	read := func(page ...eventmodels.OutboxRow) []*eventmodels.OutboxRow {
		f.beginRead(100, 1<<20)
		return f.admit(page, nil)
	}
	kept, lost := row(1), row(2)
	if sent := read(kept, lost); len(sent) != 2 {
		t.Fatalf("%d rows are sent, want 2", len(sent))
	}
	again := row(2)
	sent := read(kept, again)
	if len(sent) != 1 || sent[0].ID != again.ID {
		t.Fatalf("%d rows are sent, want the one whose seq was drawn again", len(sent))
	}
	f.Acked([]*eventmodels.OutboxRow{&kept, &lost}, 0, 0)
	f.deleted(f.takeAcked(10))
	if settled, _ := f.settled(); settled {
		t.Error("nothing is thought to be under way")
	}
	if lowest := f.lowest(); lowest != again.Seq {
		t.Errorf("the lowest row is %d, want %d", lowest, again.Seq)
	}
	if sent := read(again); len(sent) != 0 {
		t.Error("what is in flight is sent again")
	}
	f.Acked([]*eventmodels.OutboxRow{&again}, 0, 2)
	f.deleted(f.takeAcked(10))
	if settled, _ := f.settled(); !settled || len(f.rows) != 0 {
		t.Errorf("settled %t, %d rows left", settled, len(f.rows))
	}
}

// Rows that came back before it was said why are not forgotten: a pass that ended
// now would not say that they are left.
func TestNotSettledBeforeTheReasonIsKnown(t *testing.T) {
	f := newFlight()
	row := eventmodels.OutboxRow{Seq: 1, ID: uuid.New(), Topic: "t"}
	f.beginRead(100, 1<<20)
	sent := f.admit([]eventmodels.OutboxRow{row}, nil)
	f.Returned(sent)
	if settled, _ := f.settled(); settled {
		t.Error("settled, with a row that was given back and no reason")
	}
	<-f.room
	f.Held("t", errAway)
	select {
	case <-f.room:
	default:
		t.Error("nobody is told that the reason is known")
	}
	if settled, err := f.settled(); !settled || err != errAway {
		t.Errorf("settled %t, %v, want what holds the topic", settled, err)
	}
	f.Ready("t")
	if settled, _ := f.settled(); settled {
		t.Error("settled, although the topic is ready and its rows are to be read")
	}
	f.takeReady()
	f.readAgain()
	if settled, err := f.settled(); !settled || err != nil {
		t.Errorf("settled %t, %v, want nothing left to be decided", settled, err)
	}
}
