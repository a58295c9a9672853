package mark

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/cloudevents"
)

func TestMarksDifferInEveryPart(t *testing.T) {
	h := Handler{Prefix: "p", Group: "g", Name: "h", BaseTopic: "t"}
	o := Origin{Topic: "pt", Partition: 1, Offset: 2, Timestamp: time.UnixMilli(3)}
	seen := map[eventmodels.Mark]string{}
	add := func(what string, m eventmodels.Mark) {
		t.Helper()
		if other, ok := seen[m]; ok {
			t.Errorf("%s has the mark of %s", what, other)
		}
		seen[m] = what
	}
	add("base", Of(h, "s", "id"))
	add("prefix", Of(Handler{"q", "g", "h", "t"}, "s", "id"))
	add("group", Of(Handler{"p", "x", "h", "t"}, "s", "id"))
	add("handler", Of(Handler{"p", "g", "x", "t"}, "s", "id"))
	add("topic", Of(Handler{"p", "g", "h", "x"}, "s", "id"))
	add("moved boundary", Of(Handler{"pg", "", "h", "t"}, "s", "id"))
	add("source", Of(h, "x", "id"))
	add("case", Of(h, "s", "ID"))
	add("blank", Of(h, "s", "id "))
	add("long", Of(h, "s", string(make([]byte, 300))))
	add("longer", Of(h, "s", string(make([]byte, 301))))
	add("origin", OfOrigin(h, o))
	for what, other := range map[string]Origin{
		"origin topic":     {"x", 1, 2, time.UnixMilli(3)},
		"origin partition": {"pt", 2, 2, time.UnixMilli(3)},
		"origin offset":    {"pt", 1, 3, time.UnixMilli(3)},
		"origin time":      {"pt", 1, 2, time.UnixMilli(4)},
	} {
		add(what, OfOrigin(h, other))
	}
}

// Marks are stored: another formula would run every handler again.
func TestMarkIsStable(t *testing.T) {
	for id, want := range map[string]string{
		"0190":                                 "33e8b78af52efe84930901dd2c798319",
		"0190163d-8694-739b-aea5-966c26f8ad91": "0190163d86a5d77caebf3a045b704a8a", // version 7
		"0190163D-8694-739B-AEA5-966C26F8AD91": "0190163d8689a12c65cc63e379be9068",
		"0190163d-8694-439b-aea5-966c26f8ad91": "26f45c7b691ef13d20da53d6a2667630",
		"0190163d8694739baea5966c26f8ad91":     "4beb39d12247ada0df841d8825cf3ad6",
	} {
		m := Of(Handler{Prefix: "", Group: "billing", Name: "invoice", BaseTopic: "orders.placed"}, "shop", id)
		if got := hex.EncodeToString(m[:]); got != want {
			t.Errorf("the mark of %s is %s, was %s", id, got, want)
		}
	}
}

// Marks of events that happen one after the other stand side by side.
func TestMarksFollowTheTime(t *testing.T) {
	h := Handler{Group: "billing", Name: "invoice", BaseTopic: "orders.placed"}
	var last eventmodels.Mark
	for i := range 100 {
		at := time.UnixMilli(1_700_000_000_000).Add(time.Duration(i) * 256 * time.Millisecond)
		m := Of(h, "shop", cloudevents.NewID(at).String())
		if bytes.Compare(m[:], last[:]) <= 0 {
			t.Fatalf("the mark of %v, %x, stands before that of an earlier event, %x", at, m, last)
		}
		last = m
	}
}
