package eventmodels

import (
	"testing"

	"github.com/google/uuid"
)

func TestDerivedID(t *testing.T) {
	base := Event[int]{Source: "shop", ID: "1", ConsumerGroup: "g", HandlerName: "h", Topic: "t", Partition: 1, Offset: 2}
	redelivered := base
	redelivered.Attempt, redelivered.Offset, redelivered.Partition = 7, 99, 0
	if base.DerivedID(0) != redelivered.DerivedID(0) {
		t.Error("a redelivered event derives another id")
	}
	parsed, err := uuid.Parse(base.DerivedID(0))
	if err != nil || parsed.Version() != 8 || parsed.Variant() != uuid.RFC4122 {
		t.Errorf("%s is no UUIDv8: %v", base.DerivedID(0), err)
	}
	seen := map[string]string{base.DerivedID(0): "base"}
	for what, change := range map[string]func(*Event[int]){
		"source":  func(e *Event[int]) { e.Source = "x" },
		"id":      func(e *Event[int]) { e.ID = "2" },
		"group":   func(e *Event[int]) { e.ConsumerGroup = "x" },
		"handler": func(e *Event[int]) { e.HandlerName = "x" },
		"border":  func(e *Event[int]) { e.ConsumerGroup, e.HandlerName = "gh", "" },
		"no id":   func(e *Event[int]) { e.ID = "" },
		"place":   func(e *Event[int]) { e.ID, e.Offset = "", 3 },
		"topic":   func(e *Event[int]) { e.ID, e.Topic = "", "u" },
	} {
		e := base
		change(&e)
		if other, ok := seen[e.DerivedID(0)]; ok {
			t.Errorf("another %s derives the id of %s", what, other)
		}
		seen[e.DerivedID(0)] = what
	}
	if base.DerivedID(0) == base.DerivedID(1) {
		t.Error("the first and the second derived event have one id")
	}
}
