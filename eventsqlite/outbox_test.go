package eventsqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
)

// oddBytes are what text columns and careless drivers change.
var oddBytes = [][]byte{nil, {}, {0}, []byte("a\x00b"), {0xff, 0xfe, 0x80}, []byte("'\"`\\%_;--"), []byte("ü \t\n")}

func TestOutboxKeepsBytes(t *testing.T) {
	db := openTest(t)
	s := openTestStore(t, db)
	var want []fakeEvent
	for _, key := range oddBytes {
		for _, value := range oddBytes {
			e := event("topic", "")
			e.row.Key, e.row.Payload, e.row.Headers = key, value, value
			e.row.CreatedAt = time.Date(1969, 12, 31, 23, 59, 59, 123_456_000, time.UTC)
			want = append(want, e)
		}
	}
	far := event("topic", "far")
	far.row.CreatedAt = time.Date(9999, 1, 2, 3, 4, 5, 0, time.UTC)
	want = append(want, far)
	zero := event(strings.Repeat("t", 300), strings.Repeat("z", 5_000_000))
	zero.row.CreatedAt = time.Time{}
	want = append(want, zero)
	produce(t, db, want...)
	rows := readAll(t, s, testScope)
	if len(rows) != len(want) {
		t.Fatalf("%d rows of %d", len(rows), len(want))
	}
	for i, r := range rows {
		w := want[i].row
		if r.ID != w.ID || r.Topic != w.Topic || !sameBytes(r.Key, w.Key) || !sameBytes(r.Headers, w.Headers) || !sameBytes(r.Payload, w.Payload) || !r.CreatedAt.Equal(w.CreatedAt) {
			t.Errorf("row %d is %+v, not %+v", i, r, w)
		}
	}
	// and when it is parked
	for _, r := range rows {
		if err := s.ParkOutbox(context.Background(), testScope, r.OutboxKey(), "reason\x00\xff"); err != nil {
			t.Fatal(err)
		}
	}
	parked, err := db.Unwrap().Query(`SELECT id, key IS NULL, key, payload IS NULL, payload, error FROM events_outbox_parked ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	defer parked.Close()
	i := 0
	for ; parked.Next(); i++ {
		var (
			id, reason     string
			noKey, noValue bool
			key, value     []byte
		)
		if err := parked.Scan(&id, &noKey, &key, &noValue, &value, &reason); err != nil {
			t.Fatal(err)
		}
		w := want[i].row
		if id != w.ID.String() || reason != "reason\x00\xff" || !sameBytes(blob(key, noKey), w.Key) || !sameBytes(blob(value, noValue), w.Payload) {
			t.Errorf("parked row %d is %s %q %q %q", i, id, key, value, reason)
		}
	}
	if err := parked.Err(); err != nil || i != len(want) {
		t.Errorf("%d parked of %d, %v", i, len(want), err)
	}
}

func TestDeleteInSteps(t *testing.T) {
	const n = 2*deleteChunk + 10
	db := openTest(t)
	s := openTestStore(t, db)
	events := make([]fakeEvent, n)
	for i := range events {
		events[i] = event("topic", fmt.Sprint(i))
	}
	produce(t, db, events...)
	rows := readAll(t, s, testScope)
	if len(rows) != n {
		t.Fatalf("%d rows", len(rows))
	}
	keys := make([]eventmodels.OutboxKey, n)
	for i := range rows {
		keys[i] = rows[i].OutboxKey()
	}
	if err := s.DeleteOutbox(context.Background(), testScope, keys[1:]); err != nil {
		t.Fatal(err)
	}
	if rows := readAll(t, s, testScope); len(rows) != 1 || rows[0].ID != events[0].row.ID {
		t.Errorf("%d rows are left", len(rows))
	}
}

// Seqs are never drawn again, not by a rolled-back transaction's successor
// either where rows have been seen, and they ascend in the order of commits.
func TestSeqs(t *testing.T) {
	db := openTest(t)
	s := openTestStore(t, db)
	ctx := context.Background()
	produce(t, db, event("a", "1"), event("a", "2"))
	rows := readAll(t, s, testScope)
	last := rows[1].Seq
	if err := s.DeleteOutbox(ctx, testScope, []eventmodels.OutboxKey{rows[0].OutboxKey(), rows[1].OutboxKey()}); err != nil {
		t.Fatal(err)
	}
	_ = db.Transact(ctx, func(tx *Tx) error {
		if err := db.ProduceTx(ctx, tx, event("a", "rolled back")); err != nil {
			t.Error(err)
		}
		return errTest
	})
	produce(t, db, event("a", "3"))
	rows = readAll(t, s, testScope)
	if len(rows) != 1 || rows[0].Seq != last+1 {
		t.Errorf("%v after %d", rows, last)
	}
}

func TestReadOutbox(t *testing.T) {
	db := openTest(t)
	s := openTestStore(t, db)
	ctx := context.Background()
	for i := range 20 {
		topic := "open"
		if i%3 == 0 {
			topic = "held"
		}
		produce(t, db, event(topic, fmt.Sprint(i)))
	}
	mustExec(t, db.Unwrap(), `UPDATE events_outbox SET scope = 'other' WHERE seq = 15`)
	mustExec(t, db.Unwrap(), `DELETE FROM events_outbox WHERE seq IN (4, 5)`)
	for _, test := range []struct {
		read eventmodels.OutboxRead
		want []int64
	}{
		{eventmodels.OutboxRead{Hint: 18, Limit: 10}, []int64{19, 20}},
		{eventmodels.OutboxRead{Hint: 20, Limit: 10}, nil},
		{eventmodels.OutboxRead{Hint: 12, Limit: 4}, []int64{13, 14, 16, 17}},
		{eventmodels.OutboxRead{Hint: 18, Limit: 10, Gaps: []eventmodels.SeqRange{{Lo: 1, Hi: 1}, {Lo: 3, Hi: 7}, {Lo: 14, Hi: 16}}}, []int64{1, 3, 6, 7, 14, 16, 19, 20}},
		{eventmodels.OutboxRead{Hint: 18, Limit: 3, Gaps: []eventmodels.SeqRange{{Lo: 1, Hi: 1}, {Lo: 3, Hi: 7}}}, []int64{1, 3, 6}},
		{eventmodels.OutboxRead{Hint: 18, Limit: 5, Gaps: []eventmodels.SeqRange{{Lo: 1, Hi: 1}, {Lo: 3, Hi: 7}}}, []int64{1, 3, 6, 7, 19}},
		{eventmodels.OutboxRead{Hint: 20, Limit: 5, Gaps: []eventmodels.SeqRange{{Lo: 4, Hi: 5}}}, nil},
	} {
		for _, held := range [][]string{nil, {"held", "another"}} {
			test.read.Scope, test.read.Held = testScope, held
			page, err := s.ReadOutbox(ctx, test.read)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, r := range page.Rows {
				got = append(got, r.Seq)
				empty := r.Key == nil && r.Headers == nil && r.Payload == nil
				if holding := held != nil && r.Topic == "held"; empty != holding || r.ID == uuid.Nil || r.CreatedAt.IsZero() {
					t.Errorf("%+v: row %+v", test.read, r)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%+v: %v, want %v", test.read, got, test.want)
			}
		}
	}
	if rows := readAll(t, s, "other"); len(rows) != 1 {
		t.Errorf("%d rows of another scope", len(rows))
	}
}

// A takeover reads a table with many holes, then asks for all of them.
func TestReadManyGaps(t *testing.T) {
	db := openTest(t)
	s := openTestStore(t, db)
	events := make([]fakeEvent, 4_000)
	for i := range events {
		events[i] = event("a", "x")
	}
	produce(t, db, events...)
	mustExec(t, db.Unwrap(), `DELETE FROM events_outbox WHERE seq % 2 = 0`)
	var gaps []eventmodels.SeqRange
	for seq := int64(2); seq <= 4_000; seq += 2 {
		gaps = append(gaps, eventmodels.SeqRange{Lo: seq, Hi: seq})
	}
	page, err := s.ReadOutbox(context.Background(), eventmodels.OutboxRead{Scope: testScope, Gaps: gaps, Hint: 3_998, Limit: 500})
	if err != nil || len(page.Rows) != 1 || page.Rows[0].Seq != 3_999 {
		t.Errorf("%d rows, %v", len(page.Rows), err)
	}
}

// The statements must find rows by their index, however the table looks.
func TestReadPlans(t *testing.T) {
	db := openTest(t)
	for _, read := range []eventmodels.OutboxRead{
		{Scope: "s", Hint: 5, Limit: 10},
		{Scope: "s", Hint: 5, Limit: 10, Held: []string{"h"}},
		{Scope: "s", Hint: 5, Limit: 10, Gaps: []eventmodels.SeqRange{{Lo: 1, Hi: 2}}},
		{Scope: "s", Hint: 5, Limit: 10, Gaps: []eventmodels.SeqRange{{Lo: 1, Hi: 2}}, Held: []string{"h"}},
	} {
		query, args, err := readQuery(read)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := db.Unwrap().Query(`EXPLAIN QUERY PLAN `+query, args...)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(plan, "; ")
		if strings.Contains(text, "SCAN o") || !strings.Contains(text, "SEARCH o USING") {
			t.Errorf("%+v: %s", read, text)
		}
		if len(read.Gaps) == 0 && strings.Contains(text, "ORDER BY") {
			t.Errorf("%+v sorts: %s", read, text)
		}
	}
}

func TestDeleteOutboxNeedsSeqAndID(t *testing.T) {
	db := openTest(t)
	s := openTestStore(t, db)
	ctx := context.Background()
	produce(t, db, event("a", "1"), event("a", "2"))
	rows := readAll(t, s, testScope)
	wrong := []eventmodels.OutboxKey{{Seq: rows[0].Seq, ID: rows[1].ID}, {Seq: 99, ID: rows[0].ID}}
	if err := s.DeleteOutbox(ctx, testScope, wrong); err != nil {
		t.Error(err)
	}
	if err := s.DeleteOutbox(ctx, "other", []eventmodels.OutboxKey{rows[0].OutboxKey()}); err != nil {
		t.Error(err)
	}
	if err := s.DeleteOutbox(ctx, testScope, nil); err != nil {
		t.Error(err)
	}
	if got := readAll(t, s, testScope); !slices.Equal(ids(got), ids(rows)) {
		t.Errorf("%d rows", len(got))
	}
	for range 2 { // what is gone is no error
		if err := s.DeleteOutbox(ctx, testScope, append(wrong, rows[0].OutboxKey())); err != nil {
			t.Error(err)
		}
		if got := readAll(t, s, testScope); !slices.Equal(ids(got), ids(rows[1:])) {
			t.Errorf("%d rows", len(got))
		}
	}
}

func TestListenIsUnsupported(t *testing.T) {
	s := openTestStore(t, openTest(t))
	if err := s.Listen(context.Background(), testScope, make(chan struct{}), func() {}); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if err := s.Wake(context.Background(), testScope); err != nil {
		t.Error(err)
	}
}

// A relay reads in pages, with the hint that it has come to, while writers
// commit: it sees every row once, in the order of commits.
func TestReadWhileOthersWrite(t *testing.T) {
	const writers, each = 4, 50
	db := openTest(t)
	s := openTestStore(t, db)
	mustExec(t, db.Unwrap(), `INSERT INTO t (id, v) VALUES (1, 0)`)
	var writing sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for i := range each {
				err := db.Transact(context.Background(), func(tx *Tx) error {
					if err := addOne(tx); err != nil {
						return err
					}
					tx.Produce(event("a", fmt.Sprint(value[int](t, tx, `SELECT v FROM t`))))
					if i%7 == 3 {
						return errTest
					}
					return nil
				})
				if err != nil && !errors.Is(err, errTest) {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()
	var hint int64
	next := 1
	for last := false; ; {
		page, err := s.ReadOutbox(context.Background(), eventmodels.OutboxRead{Scope: testScope, Hint: hint, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		var keys []eventmodels.OutboxKey
		for _, r := range page.Rows {
			if string(r.Payload) != fmt.Sprint(next) {
				t.Fatalf("%s instead of %d", r.Payload, next)
			}
			next++
			hint = r.Seq
			keys = append(keys, r.OutboxKey())
		}
		if err := s.DeleteOutbox(context.Background(), testScope, keys); err != nil {
			t.Fatal(err)
		}
		if last && len(page.Rows) == 0 {
			break
		}
		select {
		case <-done:
			last = len(page.Rows) == 0 || last
		default:
		}
	}
	if n := value[int](t, db.Unwrap(), `SELECT v FROM t`); next != n+1 || n != writers*(each-7) {
		t.Errorf("%d read, %d committed", next-1, n)
	}
}
