package lanes

import (
	"fmt"
	"slices"
	"testing"

	"github.com/seed46dd6f11/events/internal/recordbatch"
)

func rowsOf(n int) []*row {
	rows := make([]*row, n)
	for i := range rows {
		rows[i] = &row{Seq: int64(i), Topic: "t", Key: []byte("k"), Payload: []byte("payload")}
	}
	return rows
}

// shape writes parts as the numbers of their rows.
func shape(parts [][]*row) string {
	var s [][]int64
	for _, part := range parts {
		var seqs []int64
		for _, r := range part {
			seqs = append(seqs, r.Seq)
		}
		s = append(s, seqs)
	}
	return fmt.Sprint(s)
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		rows int
		bad  []int32
		want string
	}{
		{2, nil, "[[0] [1]]"},
		{5, nil, "[[0 1] [2 3 4]]"},
		{5, []int32{0}, "[[0] [1 2 3 4]]"},
		{5, []int32{4}, "[[0 1 2 3] [4]]"},
		{5, []int32{2}, "[[0 1] [2] [3 4]]"},
		{5, []int32{3, 1, 3}, "[[0] [1] [2] [3] [4]]"},
		{5, []int32{1, 2}, "[[0] [1] [2] [3 4]]"},
		{3, []int32{0, 1, 2}, "[[0] [1] [2]]"},
		{4, []int32{-1, 9}, "[[0 1] [2 3]]"}, // nonsense
	} {
		if got := shape(split(rowsOf(c.rows), c.bad)); got != c.want {
			t.Errorf("%d rows, bad %v: %s, want %s", c.rows, c.bad, got, c.want)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(uint8(7), []byte{1, 200, 3})
	f.Fuzz(func(t *testing.T, n uint8, raw []byte) {
		rows := rowsOf(int(n) + 2)
		var bad []int32
		for _, b := range raw {
			bad = append(bad, int32(int8(b)))
		}
		parts := split(rows, bad)
		if !slices.Equal(slices.Concat(parts...), rows) {
			t.Fatalf("rows are missing or in another order: %s", shape(parts))
		}
		for _, part := range parts {
			if len(part) == 0 || len(part) == len(rows) {
				t.Fatalf("a part of %d rows of %d", len(part), len(rows))
			}
		}
	})
}

func TestFit(t *testing.T) {
	rows := rowsOf(10)
	one := sizeOf(rows[0])
	for _, c := range []struct {
		maxBytes, maxRecords, want int
	}{
		{recordbatch.BatchOverhead + 10*one, 100, 10},
		{recordbatch.BatchOverhead + 10*one - 1, 100, 9},
		{recordbatch.BatchOverhead + one, 100, 1},
		{1, 100, 1}, // alone, whatever its size
		{1 << 20, 4, 4},
	} {
		n, size := fit(rows, c.maxBytes, c.maxRecords)
		if n != c.want || size != sizeOfBatch(rows[:n]) {
			t.Errorf("%+v: %d rows of %d bytes", c, n, size)
		}
		b := &batch{rows: rows[:n]}
		if err := b.encode(recordbatch.None); err != nil || len(b.encoded.bytes) > size {
			t.Errorf("%+v: %d bytes, above the bound %d; error %v", c, len(b.encoded.bytes), size, err)
		}
	}
}
