package eventmysql

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Parked rows are listed by place, keep what they are made of, and are those of
// one scope only.
func TestParkedRows(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	ctx := testContext(t)
	empty, none := newRow("empty"), newRow("none")
	empty.Key, empty.Payload = []byte{}, []byte{}
	none.Key, none.Payload = nil, nil
	f.insertRows(t, empty, none, newRow("third"))
	rows := f.outbox(t, s)
	for _, r := range rows {
		if err := s.ParkOutbox(ctx, scope, r.OutboxKey(), "refused"); err != nil {
			t.Fatal(err)
		}
	}
	var listed []eventmodels.ParkedRow
	for after := (eventmodels.ParkedKey{}); ; {
		page, err := s.ListParked(ctx, scope, after, 1)
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
	if n, err := s.RequeueParked(ctx, scope, ids); n != 2 || err != nil {
		t.Fatalf("%d requeued: %v", n, err)
	}
	back := f.outbox(t, s)
	if !slices.Equal(topicsOf(back), []string{"empty", "none"}) || back[0].Seq <= rows[2].Seq || back[0].ID != rows[0].ID || !back[0].CreatedAt.Equal(rows[0].CreatedAt) ||
		back[0].Key == nil || back[1].Key != nil || back[0].Payload == nil || back[1].Payload != nil || !slices.Equal(back[0].Headers, rows[0].Headers) {
		t.Errorf("requeued as %+v", back)
	}
	if n, err := s.DiscardParked(ctx, scope, []uuid.UUID{rows[2].ID}); n != 1 || err != nil {
		t.Errorf("%d discarded: %v", n, err)
	}
	// Two who requeue the same row at once have one row.
	id := f.outbox(t, s)[0].OutboxKey()
	if err := s.ParkOutbox(ctx, scope, id, "again"); err != nil {
		t.Fatal(err)
	}
	others := f.store(t)
	var requeued atomic.Int64
	var working sync.WaitGroup
	for _, s := range []*store{s, others, s, others} {
		working.Go(func() {
			n, err := s.RequeueParked(ctx, scope, []uuid.UUID{id.ID})
			if err != nil && f.Fault(err) != eventmodels.FaultConflict {
				t.Error(err)
			}
			requeued.Add(int64(n))
		})
	}
	working.Wait()
	if n := f.count(t, "events_outbox"); requeued.Load() != 1 || n != 2 {
		t.Errorf("%d requeued, %d rows", requeued.Load(), n)
	}
	if left, err := s.ListParked(ctx, scope, eventmodels.ParkedKey{}, 10); len(left) != 0 || err != nil {
		t.Errorf("left: %+v, %v", left, err)
	}
}
