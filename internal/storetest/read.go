package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
)

// twentyRows have the seqs 1 to 20, and two topics by turns.
func twentyRows() (rows []eventmodels.OutboxRow) {
	for i := range 20 {
		row := NewRow(fmt.Sprint("topic-", i%2))
		row.Key, row.Payload = []byte("k"), []byte("p")
		rows = append(rows, row)
	}
	return rows
}

func (b *Backend[ID, T, D, O]) read(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	d.InsertRows(t, twentyRows()...)
	for _, scope := range []string{"Test.", "test. "} { // which are others
		tx := d.BeginTx(t)
		if err := d.Dialect.InsertOutbox(Context(t), tx, scope, []eventmodels.OutboxRow{NewRow("")}); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	gaps := func(bounds ...int64) (gaps []eventmodels.SeqRange) {
		for i := 0; i < len(bounds); i += 2 {
			gaps = append(gaps, eventmodels.SeqRange{Lo: bounds[i], Hi: bounds[i+1]})
		}
		return gaps
	}
	for name, c := range map[string]struct {
		read eventmodels.OutboxRead
		want []int64
		cut  bool
	}{
		"all":                    {eventmodels.OutboxRead{Limit: 100}, seqsFrom(1, 20), false},
		"limit":                  {eventmodels.OutboxRead{Limit: 3}, seqsFrom(1, 3), false},
		"above":                  {eventmodels.OutboxRead{Hint: 18, Limit: 3}, []int64{19, 20}, false},
		"above, less than limit": {eventmodels.OutboxRead{Hint: 17, Limit: 100}, seqsFrom(18, 20), false},
		"nothing":                {eventmodels.OutboxRead{Hint: 20, Limit: 3}, nil, false},
		"gaps":                   {eventmodels.OutboxRead{Gaps: gaps(2, 2, 4, 6, 8, 13), Hint: 18, Limit: 100}, []int64{2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 19, 20}, false},
		"gaps first":             {eventmodels.OutboxRead{Gaps: gaps(2, 2, 5, 6), Hint: 18, Limit: 4}, []int64{2, 5, 6, 19}, false},
		"gaps and limit":         {eventmodels.OutboxRead{Gaps: gaps(2, 2, 8, 13), Hint: 18, Limit: 4}, []int64{2, 8, 9, 10}, false},
		"cut in a gap":           {eventmodels.OutboxRead{Gaps: gaps(2, 10, 12, 16), Hint: 18, Limit: 4}, seqsFrom(2, 5), false},
		"a gap cut, then more":   {eventmodels.OutboxRead{Gaps: gaps(2, 10, 12, 16), Hint: 18, Limit: 12}, append(seqsFrom(2, 10), 12, 13, 14), false},
		"a wide gap":             {eventmodels.OutboxRead{Gaps: gaps(20, 2_999_999_999), Hint: 3_000_000_000, Limit: 3}, []int64{20}, false},
		"gaps where nothing is":  {eventmodels.OutboxRead{Gaps: gaps(23, 1000, 1003, 1003), Hint: 2000, Limit: 100}, nil, false},
		"weight":                 {eventmodels.OutboxRead{Limit: 100, MaxBytes: 7}, seqsFrom(1, 3), true},
		"weight of the last row": {eventmodels.OutboxRead{Hint: 19, Limit: 100, MaxBytes: 1}, []int64{20}, true},
		"another scope":          {eventmodels.OutboxRead{Scope: "other", Limit: 3}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if c.read.Scope == "" {
				c.read.Scope = Scope
			}
			page, err := s.ReadOutbox(Context(t), c.read)
			if err != nil {
				t.Fatal(err)
			}
			if got := SeqsOf(page.Rows); !slices.Equal(got, c.want) || page.Cut != c.cut {
				t.Errorf("got %v, cut %v; want %v", got, page.Cut, c.want)
			}
			if page.Proof != b.Proof || b.Proof == eventmodels.ProofXID && (page.Xmin == 0 || page.Drawn < page.Xmin) {
				t.Errorf("proof %v, xmin %d, drawn %d", page.Proof, page.Xmin, page.Drawn)
			}
		})
	}
}

func seqsFrom(lo, hi int64) (seqs []int64) {
	for seq := lo; seq <= hi; seq++ {
		seqs = append(seqs, seq)
	}
	return seqs
}

// Rows of topics that are held come without what weighs.
func (b *Backend[ID, T, D, O]) readOfHeldTopics(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	want := []string{"open", "held", "also held"}
	for _, topic := range want {
		row := NewRow(topic)
		row.Key, row.Payload = []byte("k"), []byte("p")
		d.InsertRows(t, row)
	}
	page, err := s.ReadOutbox(Context(t), eventmodels.OutboxRead{Scope: Scope, Limit: 10, Held: []string{"held", "also held", "none"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := TopicsOf(page.Rows); !slices.Equal(got, want) {
		t.Fatalf("rows: %v", got)
	}
	for _, row := range page.Rows {
		if row.Topic == "open" && string(row.Payload) != "p" ||
			row.Topic != "open" && (row.Key != nil || row.Headers != nil || row.Payload != nil) {
			t.Errorf("row of %q: %+v", row.Topic, row)
		}
	}
}

// A page ends with the row with which it weighs what is asked for, and the next
// one begins there.
func (b *Backend[ID, T, D, O]) readByWeight(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	rows := make([]eventmodels.OutboxRow, 12)
	for i := range rows {
		rows[i] = NewRow("t")
		rows[i].Payload = make([]byte, 100<<10)
	}
	d.InsertRows(t, rows...)
	var hint int64
	var sizes []int
	for cut := true; cut; {
		page, err := s.ReadOutbox(Context(t), eventmodels.OutboxRead{Scope: Scope, Hint: hint, Limit: 100, MaxBytes: 450 << 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range page.Rows {
			if len(row.Payload) != 100<<10 || row.Seq <= hint {
				t.Fatalf("row %d, of %d bytes, behind %d", row.Seq, len(row.Payload), hint)
			}
			hint = row.Seq
		}
		sizes, cut = append(sizes, len(page.Rows)), page.Cut
	}
	if want := []int{5, 5, 2}; !slices.Equal(sizes, want) {
		t.Errorf("pages of %v rows, want %v", sizes, want)
	}
	if page, err := s.ReadOutbox(Context(t), eventmodels.OutboxRead{Scope: Scope, Limit: 100, MaxBytes: 1}); err != nil || len(page.Rows) != 1 || !page.Cut {
		t.Errorf("a row that is larger than the page: %d rows, %v", len(page.Rows), err)
	}
}
