package delivery

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
)

func TestFifoAgainstASlice(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	var q fifo[int]
	var naive []int
	for i := range 20_000 {
		switch n := rnd.IntN(100); {
		case n < 55:
			q.push(i)
			naive = append(naive, i)
		case n < 98:
			if len(naive) > 0 {
				if got := q.pop(); got != naive[0] {
					t.Fatalf("step %d: %d, want %d", i, got, naive[0])
				}
				naive = naive[1:]
			}
		default:
			k := 2 + rnd.IntN(3)
			match := func(x int) bool { return x%k == 0 }
			var taken, want []int
			q.take(match, func(x int) { taken = append(taken, x) })
			naive = filter(naive, match, func(x int) { want = append(want, x) })
			if !slices.Equal(taken, want) {
				t.Fatalf("step %d: took %v, want %v", i, taken, want)
			}
		}
		if q.len() != len(naive) {
			t.Fatalf("step %d: length %d, want %d", i, q.len(), len(naive))
		}
	}
	for range naive {
		q.pop()
	}
	if slices.ContainsFunc(q.ring, func(x int) bool { return x != 0 }) {
		t.Error("it keeps what it has given away")
	}
}

func TestRetriesAgainstASlice(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 1))
	var r retries
	var naive []*delivery
	now := time.Unix(0, 0)
	for i := range 5000 {
		switch n := rnd.IntN(100); {
		case n < 50:
			d := &delivery{next: now.Add(time.Duration(rnd.IntN(100))), attempt: i}
			r.push(d)
			naive = append(naive, d)
		case n < 60:
			match := func(d *delivery) bool { return d.attempt%5 == 0 }
			took := 0
			r.take(match, func(*delivery) { took++ })
			before := len(naive)
			naive = filter(naive, match, func(*delivery) {})
			if took != before-len(naive) {
				t.Fatalf("took %d of %d", took, before-len(naive))
			}
		default:
			now = now.Add(time.Duration(rnd.IntN(10)))
			for d := r.popDue(now); d != nil; d = r.popDue(now) {
				at := slices.Index(naive, d)
				if d.next.After(now) || at < 0 {
					t.Fatal("one that is not due")
				}
				naive = slices.Delete(naive, at, at+1)
			}
		}
		if r.len() != len(naive) {
			t.Fatalf("%d wait, want %d", r.len(), len(naive))
		}
		next, some := r.next()
		if some != (len(naive) > 0) {
			t.Fatal("next")
		}
		for _, d := range naive {
			if d.next.Before(next) {
				t.Fatal("the next is not the first")
			}
		}
	}
}

func TestBacklogAgainstASlice(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 1))
	var b backlog
	var naive []int64
	offset := int64(0)
	for i := range 5000 {
		switch n := rnd.IntN(100); {
		case n < 20:
			var records []*kafka.Record
			for range rnd.IntN(10) {
				records = append(records, recordOf(offset))
				naive = append(naive, offset)
				offset += 1 + rnd.Int64N(3)
			}
			b.add(records, time.Unix(int64(i), 0))
		case n < 97 && len(naive) > 0:
			r, _ := b.first()
			if r.Offset != naive[0] {
				t.Fatalf("first %d, want %d", r.Offset, naive[0])
			}
			b.drop(sizeOf(r))
			naive = naive[1:]
		case n < 99:
			offset = max(0, offset-rnd.Int64N(20))
			b.truncate(offset)
			naive = slices.DeleteFunc(naive, func(o int64) bool { return o >= offset })
		case n == 99:
			b.clear()
			naive = nil
		}
		if b.len() != len(naive) {
			t.Fatalf("step %d: length %d, want %d", i, b.len(), len(naive))
		}
		if empty := b.len() == 0; empty != (b.bytes == 0) {
			t.Fatalf("step %d: %d records of %d bytes", i, b.len(), b.bytes)
		}
	}
}
