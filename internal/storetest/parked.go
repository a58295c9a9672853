package storetest

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Parked rows are listed by place, keep what they are made of, and are those of
// one scope only.
func (b *Backend[ID, T, D, O]) parkedRows(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	ctx := Context(t)
	empty, none := NewRow("empty"), NewRow("none")
	empty.Key, empty.Payload = []byte{}, []byte{}
	none.Key, none.Payload = nil, nil
	d.InsertRows(t, empty, none, NewRow("third"))
	rows := Outbox(t, s)
	for _, r := range rows {
		if err := s.ParkOutbox(ctx, Scope, r.OutboxKey(), "refused"); err != nil {
			t.Fatal(err)
		}
	}
	var listed []eventmodels.ParkedRow
	for after := (eventmodels.ParkedKey{}); ; {
		page, err := s.ListParked(ctx, Scope, after, 1)
		if err != nil || len(page) > 1 {
			t.Fatal(len(page), err)
		}
		if len(page) == 0 {
			break
		}
		listed, after = append(listed, page[0]), page[0].ParkedKey()
	}
	if len(listed) != 3 || listed[0].Topic != "third" || listed[1].Key != nil || listed[2].Key == nil || listed[2].Error != "refused" || listed[2].ID != rows[0].ID || listed[2].PayloadSize != 0 {
		t.Fatalf("listed: %+v", listed)
	}
	ids := []uuid.UUID{rows[0].ID, rows[1].ID, uuid.New()}
	if n, err := s.RequeueParked(ctx, "other", ids); n != 0 || err != nil {
		t.Errorf("of another scope %d: %v", n, err)
	}
	if n, err := s.DiscardParked(ctx, "other", ids); n != 0 || err != nil {
		t.Errorf("of another scope %d: %v", n, err)
	}
	if n, err := s.RequeueParked(ctx, Scope, ids); n != 2 || err != nil {
		t.Fatalf("%d requeued: %v", n, err)
	}
	back := Outbox(t, s)
	if !slices.Equal(TopicsOf(back), []string{"empty", "none"}) || back[0].Seq <= rows[2].Seq || back[0].ID != rows[0].ID || !back[0].CreatedAt.Equal(rows[0].CreatedAt) ||
		back[0].Key == nil || back[1].Key != nil || back[0].Payload == nil || back[1].Payload != nil || !slices.Equal(back[0].Headers, rows[0].Headers) {
		t.Errorf("requeued as %+v", back)
	}
	if n, err := s.DiscardParked(ctx, Scope, []uuid.UUID{rows[2].ID}); n != 1 || err != nil {
		t.Errorf("%d discarded: %v", n, err)
	}
	if left, err := s.ListParked(ctx, Scope, eventmodels.ParkedKey{}, 10); len(left) != 0 || err != nil {
		t.Errorf("left: %+v, %v", left, err)
	}
}

// A row that is among the parked ones already, as after a table was restored,
// leaves the outbox.
func (b *Backend[ID, T, D, O]) parkedBefore(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	d.InsertRows(t, NewRow("a"), NewRow("b"))
	MustExec(t, d.Admin, "INSERT INTO events_outbox_parked SELECT o.*, 'before', "+b.Ago(time.Hour)+" FROM events_outbox AS o WHERE o.seq = 1")
	if err := s.ParkOutbox(Context(t), Scope, Outbox(t, s)[0].OutboxKey(), "again"); err != nil {
		t.Fatal(err)
	}
	if got := TopicsOf(Outbox(t, s)); !slices.Equal(got, []string{"b"}) {
		t.Errorf("left: %v", got)
	}
	parked, err := s.ListParked(Context(t), Scope, eventmodels.ParkedKey{}, 10)
	if err != nil || len(parked) != 1 || parked[0].Topic != "a" || parked[0].Error != "before" {
		t.Errorf("parked: %+v, %v", parked, err)
	}
}

// Several who requeue the same row at once have one row.
func (b *Backend[ID, T, D, O]) rowsThatManyRequeue(t *testing.T) {
	d := b.NewDatabase(t)
	s, others := d.OpenStore(t), d.OpenStore(t)
	d.InsertRows(t, NewRow("a"), NewRow("b"))
	key := Outbox(t, s)[0].OutboxKey()
	if err := s.ParkOutbox(Context(t), Scope, key, "again"); err != nil {
		t.Fatal(err)
	}
	var requeued atomic.Int64
	var working sync.WaitGroup
	for _, s := range []eventmodels.OutboxStore{s, others, s, others} {
		working.Go(func() {
			n, err := s.RequeueParked(Context(t), Scope, []uuid.UUID{key.ID})
			if err != nil && d.Opened.Fault(err) != eventmodels.FaultConflict {
				t.Error(err)
			}
			requeued.Add(int64(n))
		})
	}
	working.Wait()
	if n := d.Count(t, "events_outbox"); requeued.Load() != 1 || n != 2 {
		t.Errorf("%d requeued, %d rows", requeued.Load(), n)
	}
	if left, err := s.ListParked(Context(t), Scope, eventmodels.ParkedKey{}, 10); len(left) != 0 || err != nil {
		t.Errorf("left: %+v, %v", left, err)
	}
}
