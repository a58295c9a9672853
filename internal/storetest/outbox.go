package storetest

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// strangeRows have bytes that text would not hold, and what is absent beside
// what is empty.
func strangeRows() []eventmodels.OutboxRow {
	at := time.Date(2026, 2, 28, 23, 59, 59, 123456000, time.UTC)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	row := func(topic string, key, headers, payload []byte) eventmodels.OutboxRow {
		row := NewRow(topic)
		row.Key, row.Headers, row.Payload, row.CreatedAt = key, headers, payload, at
		return row
	}
	return []eventmodels.OutboxRow{
		row("all", every, every, every),
		row("nil", nil, nil, nil),
		row("empty", []byte{}, []byte{}, []byte{}),
		row("nul", []byte{0}, []byte{0, 0}, []byte{0, 0, 0}),
		row("not-utf8", []byte("\xff\xfe"), []byte("\xc3\x28"), []byte("\xed\xa0\x80")),
		row(`quotes'"\{},NULL`, []byte(`NULL`), []byte(`{"a",'b'}`), []byte(`\x00`)),
		row(strings.Repeat("t", 249), bytes.Repeat([]byte("i"), 300), []byte(strings.Repeat("ä", 150)), bytes.Repeat(every, 4096)),
	}
}

// Rows come out as they went in, in their order, whatever the way.
func (b *Backend[ID, T, D, O]) outboxKeepsEveryByte(t *testing.T) {
	rows := strangeRows()
	d := b.NewDatabase(t)
	own := d.OpenStore(t)
	for name, way := range b.Ways(t, d) {
		t.Run(name, func(t *testing.T) {
			way.Insert(t, rows)
			for i := range rows { // each of them again, alone
				way.Insert(t, rows[i:i+1])
			}
			inserted := Outbox(t, own)
			checkStrange(t, inserted, slices.Concat(rows, rows))
			if way.Store != nil {
				checkStrange(t, Outbox(t, way.Store), slices.Concat(rows, rows))
			}
			if err := own.DeleteOutbox(Context(t), Scope, keysOf(inserted)); err != nil || d.Count(t, "events_outbox") != 0 {
				t.Fatal(err)
			}
		})
	}
}

func checkStrange(t *testing.T, rows, want []eventmodels.OutboxRow) {
	t.Helper()
	if len(rows) != len(want) {
		t.Fatalf("%d rows of %d", len(rows), len(want))
	}
	for i, got := range rows {
		if i > 0 && got.Seq <= rows[i-1].Seq {
			t.Errorf("seq %d after %d", got.Seq, rows[i-1].Seq)
		}
		got.Seq, got.CreatedAt = 0, got.CreatedAt.UTC()
		if !reflect.DeepEqual(got, want[i]) { // nil and empty differ
			t.Errorf("%s: got %.200q, inserted %.200q", want[i].Topic, fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want[i]))
		}
	}
}

// Rows that are more than a statement takes, and one that is by itself.
func (b *Backend[ID, T, D, O]) insertIsSplitInOrder(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	want := []string{"0", "1", "2", "3", "4"}
	rows := make([]eventmodels.OutboxRow, len(want))
	for i := range rows {
		rows[i] = NewRow(want[i])
		rows[i].Payload = make([]byte, b.InsertBytes/5*2)
	}
	rows[0].Payload = bytes.Repeat([]byte("'"), b.InsertBytes+1)
	d.InsertRows(t, rows...)
	page, err := s.ReadOutbox(Context(t), eventmodels.OutboxRead{Scope: Scope, Limit: 10, Held: want})
	if err != nil {
		t.Fatal(err)
	}
	if got := TopicsOf(page.Rows); !slices.Equal(got, want) {
		t.Fatalf("order: %v", got)
	}
}

// A row goes when seq and id are its own, and nobody's open transaction is
// waited for.
func (b *Backend[ID, T, D, O]) deleteOutbox(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	d.InsertRows(t, NewRow("a"), NewRow("b"), NewRow("c"))
	open := d.BeginTx(t)
	if err := d.Dialect.InsertOutbox(Context(t), open, Scope, []eventmodels.OutboxRow{NewRow("d"), NewRow("e")}); err != nil {
		t.Fatal(err)
	}
	rows := Outbox(t, s)
	for name, c := range map[string]struct {
		scope string
		keys  []eventmodels.OutboxKey
	}{
		"another id":    {Scope, []eventmodels.OutboxKey{{Seq: rows[0].Seq, ID: NewRow("").ID}}}, // a seq that was drawn again
		"another's id":  {Scope, []eventmodels.OutboxKey{{Seq: rows[0].Seq, ID: rows[1].ID}}},
		"another seq":   {Scope, []eventmodels.OutboxKey{{Seq: 4711, ID: rows[0].ID}}},
		"another scope": {"other.", keysOf(rows)},
		"nothing":       {Scope, nil},
	} {
		if err := s.DeleteOutbox(Context(t), c.scope, c.keys); err != nil || d.Count(t, "events_outbox") != 3 {
			t.Errorf("%s: %v", name, err)
		}
	}
	keys := []eventmodels.OutboxKey{
		{Seq: 1000, ID: rows[1].ID}, rows[2].OutboxKey(), {Seq: rows[1].Seq, ID: NewRow("").ID}, rows[0].OutboxKey(), rows[0].OutboxKey(),
	}
	for range 2 { // the second time they are gone
		if err := s.DeleteOutbox(Context(t), Scope, keys); err != nil {
			t.Fatal(err)
		}
		if got := TopicsOf(Outbox(t, s)); !slices.Equal(got, []string{"b"}) {
			t.Fatalf("left: %v", got)
		}
	}
	if err := open.Commit(); err != nil {
		t.Error(err)
	}
	if got := TopicsOf(Outbox(t, s)); !slices.Equal(got, []string{"b", "d", "e"}) {
		t.Errorf("after the other's commit: %v", got)
	}
}

func (b *Backend[ID, T, D, O]) parkAndStats(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	stats := func(scope, what string, rows, parked int64) eventmodels.OutboxStats {
		t.Helper()
		stats, err := s.Stats(Context(t), scope, 0)
		if err != nil || stats.Rows != rows || stats.Parked != parked {
			t.Fatalf("%s: %+v, %v", what, stats, err)
		}
		return stats
	}
	if empty := stats(Scope, "empty", 0, 0); empty != (eventmodels.OutboxStats{}) {
		t.Errorf("empty: %+v", empty)
	}
	old := NewRow("old")
	old.CreatedAt = time.Now().Add(-time.Hour)
	old.Key, old.Payload = []byte{0}, []byte("\xff")
	d.InsertRows(t, old, NewRow("new"))
	rows := Outbox(t, s)
	if two := stats(Scope, "two rows", 2, 0); two.OldestAge < 59*time.Minute || two.OldestAge > 61*time.Minute {
		t.Errorf("two rows: %+v", two)
	}
	reason := "too large '\\\uFFFD " + strings.Repeat("ä", 4000)
	for range 2 { // the second time it is gone
		if err := s.ParkOutbox(Context(t), Scope, rows[0].OutboxKey(), reason); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.ParkOutbox(Context(t), Scope, eventmodels.OutboxKey{Seq: rows[1].Seq, ID: rows[0].ID}, "not its id"); err != nil {
		t.Fatal(err)
	}
	if one := stats(Scope, "one row is parked", 1, 1); one.OldestAge > time.Minute {
		t.Errorf("one row is parked: %+v", one)
	}
	if other := stats("other.", "another scope", 0, 0); other != (eventmodels.OutboxStats{}) {
		t.Errorf("another scope: %+v", other)
	}
	parked, err := s.ListParked(Context(t), Scope, eventmodels.ParkedKey{}, 10)
	if err != nil || len(parked) != 1 || parked[0].Topic != "old" || !bytes.Equal(parked[0].Key, old.Key) || parked[0].PayloadSize != 1 ||
		parked[0].Error != reason {
		t.Errorf("parked: %.300q, %v", fmt.Sprint(parked), err)
	}
	var headers []byte
	if err := d.Admin.QueryRowContext(Context(t), "SELECT headers FROM events_outbox_parked").Scan(&headers); err != nil || !bytes.Equal(headers, old.Headers) {
		t.Errorf("headers %q, %v", headers, err)
	}
	if err := s.ParkOutbox(Context(t), Scope, rows[1].OutboxKey(), "😀"); err != nil {
		t.Fatal(err)
	}
	future := NewRow("future")
	future.CreatedAt = time.Now().Add(time.Hour)
	d.InsertRows(t, future)
	if one := stats(Scope, "of the future", 1, 2); one.OldestAge != 0 {
		t.Errorf("of the future: %+v", one)
	}
}
