package eventsqlite

import (
	"context"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Parked rows are listed by place, keep what they are made of, and are those of
// one scope only.
func TestParkedRows(t *testing.T) {
	db := openTest(t)
	s := openTestStore(t, db)
	ctx := context.Background()
	empty, none := event("empty", ""), event("none", "")
	empty.row.Key, empty.row.Payload = []byte{}, []byte{}
	none.row.Key, none.row.Payload = nil, nil
	produce(t, db, empty, none, event("third", "k"))
	rows := readAll(t, s, testScope)
	for _, r := range rows {
		if err := s.ParkOutbox(ctx, testScope, r.OutboxKey(), "refused"); err != nil {
			t.Fatal(err)
		}
	}
	var listed []eventmodels.ParkedRow
	for after := (eventmodels.ParkedKey{}); ; {
		page, err := s.ListParked(ctx, testScope, after, 1)
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
	if n, err := s.RequeueParked(ctx, testScope, ids); n != 2 || err != nil {
		t.Fatalf("%d requeued: %v", n, err)
	}
	back := readAll(t, s, testScope)
	if len(back) != 2 || back[1].Topic != "none" || back[0].Seq <= rows[2].Seq || back[0].ID != rows[0].ID || !back[0].CreatedAt.Equal(rows[0].CreatedAt) ||
		back[0].Key == nil || back[1].Key != nil || back[0].Payload == nil || back[1].Payload != nil || !slices.Equal(back[0].Headers, rows[0].Headers) {
		t.Errorf("requeued as %+v", back)
	}
	if n, err := s.DiscardParked(ctx, testScope, []uuid.UUID{rows[2].ID}); n != 1 || err != nil {
		t.Errorf("%d discarded: %v", n, err)
	}
	if left, err := s.ListParked(ctx, testScope, eventmodels.ParkedKey{}, 10); len(left) != 0 || err != nil {
		t.Errorf("left: %+v, %v", left, err)
	}
}
