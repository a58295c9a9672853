package journal

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLinesComeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.journal")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	wrote := []Line{
		{Kind: Ready},
		{Kind: Began, Handler: "audit", Topic: "orders", Partition: 2, Offset: 1 << 40, Attempt: 3, ID: "x"},
		{Kind: Outcome, ID: "t", Note: Unknown + " a\tb\nc"},
	}
	before := time.Now()
	for _, l := range wrote {
		w.Write(l)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var got []Line
	if err := Read(path, func(l Line) { got = append(got, l) }); err != nil {
		t.Fatal(err)
	}
	wrote[2].Note = Unknown + " a b c"
	for i := range got {
		if got[i].At.Before(before.Truncate(0)) {
			t.Errorf("line %d is from %v, before %v", i, got[i].At, before)
		}
		got[i].At = time.Time{}
	}
	if !slices.Equal(got, wrote) {
		t.Errorf("%+v came back as %+v", wrote, got)
	}
	if _, err := Create(path); err == nil {
		t.Error("a journal was begun twice")
	}
}

func TestLinesDoNotMix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.journal")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 500 {
				w.Write(Line{Kind: Began, ID: strings.Repeat("i", 300)})
			}
		})
	}
	writers.Wait()
	_ = w.Close()
	n := 0
	if err := Read(path, func(Line) { n++ }); err != nil || n != 8*500 {
		t.Errorf("%d lines, %v", n, err)
	}
}

func TestBrokenLines(t *testing.T) {
	good := Line{At: time.Unix(0, 1), Kind: Began, Partition: 1}.String()
	if _, err := Parse(good); err != nil {
		t.Fatal(err)
	}
	for i := range []int{0, 4, 5, 6} {
		parts := strings.Split(good, "\t")
		parts[[]int{0, 4, 5, 6}[i]] = "x"
		if _, err := Parse(strings.Join(parts, "\t")); err == nil {
			t.Errorf("%q was read", parts)
		}
	}
	if err := read(strings.NewReader("torn"), func(Line) {}); err == nil {
		t.Error("a torn line was read")
	}
}
