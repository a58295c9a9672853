package cloudevents

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestNewID(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_999_999, time.UTC)
	seen := make(map[uuid.UUID]bool)
	for range 10_000 {
		id := NewID(at)
		if seen[id] {
			t.Fatalf("%v is made twice", id)
		}
		seen[id] = true
		if id.Version() != 7 || id.Variant() != uuid.RFC4122 {
			t.Fatalf("%v has version %v and variant %v", id, id.Version(), id.Variant())
		}
		sec, nsec := id.Time().UnixTime()
		if got := time.Unix(sec, nsec); !got.Equal(at.Truncate(time.Millisecond)) {
			t.Fatalf("%v says %v, want %v", id, got, at)
		}
		if parsed, err := uuid.Parse(string(appendUUID(nil, id))); err != nil || parsed != id {
			t.Fatalf("%v reads as %v, %v", id, parsed, err)
		}
	}
	last, at := "", at.Truncate(time.Millisecond)
	for _, after := range []time.Duration{0, 245, 500, 999_999, 1_000_000, time.Second} { // 244 ns are told apart
		if id := NewID(at.Add(after)).String()[:18]; id <= last {
			t.Errorf("%v is not after %v", id, last)
		} else {
			last = id
		}
	}
}
