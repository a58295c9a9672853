package eventsqlite

import (
	"context"
	"strings"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
)

// One transaction with a row of data and an event of 250 bytes.
func BenchmarkTransact(b *testing.B) {
	for name, parallel := range map[string]int{"1": 1, "64": 64} {
		b.Run(name, func(b *testing.B) {
			db := openTest(b)
			payload := strings.Repeat("x", 250)
			b.SetParallelism(parallel)
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					err := db.Transact(context.Background(), func(tx *Tx) error {
						tx.Produce(event("topic", payload))
						_, err := tx.Exec(`INSERT INTO t (v) VALUES (1)`)
						return err
					})
					if err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// One exactly-once delivery with a row of data.
func BenchmarkTransactOnce(b *testing.B) {
	db := openTest(b)
	i := 0
	for b.Loop() {
		i++
		mark := effectMark(i)
		err := db.TransactOnce(context.Background(), []eventmodels.Mark{mark}, func(tx *Tx, _ []bool) error {
			_, err := tx.Exec(`INSERT INTO t (v) VALUES (1)`)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// A page of 500 rows of 250 bytes is read and deleted.
func BenchmarkRelay(b *testing.B) {
	const pageSize = 500
	db := openTest(b)
	s := openTestStore(b, db)
	events := make([]fakeEvent, pageSize)
	for i := range events {
		events[i] = event("topic", strings.Repeat("x", 250))
	}
	var hint int64
	for b.Loop() {
		b.StopTimer()
		produce(b, db, events...)
		b.StartTimer()
		page, err := s.ReadOutbox(context.Background(), eventmodels.OutboxRead{Scope: testScope, Hint: hint, Limit: pageSize})
		if err != nil || len(page.Rows) != pageSize {
			b.Fatal(len(page.Rows), err)
		}
		keys := make([]eventmodels.OutboxKey, pageSize)
		for i := range page.Rows {
			keys[i] = page.Rows[i].OutboxKey()
			hint = page.Rows[i].Seq
		}
		if err := s.DeleteOutbox(context.Background(), testScope, keys); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(pageSize)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// Reading alone, from a table with many rows.
func BenchmarkReadOutbox(b *testing.B) {
	const pageSize, rows = 500, 50_000
	db := openTest(b)
	s := openTestStore(b, db)
	events := make([]fakeEvent, rows)
	for i := range events {
		events[i] = event("topic", strings.Repeat("x", 250))
	}
	produce(b, db, events...)
	var hint int64
	for b.Loop() {
		page, err := s.ReadOutbox(context.Background(), eventmodels.OutboxRead{Scope: testScope, Hint: hint, Limit: pageSize})
		if err != nil {
			b.Fatal(err)
		}
		hint += pageSize
		if len(page.Rows) < pageSize {
			hint = 0
		}
	}
	b.ReportMetric(float64(pageSize)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
