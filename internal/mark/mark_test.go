package mark

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
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
	m := Of(Handler{Prefix: "", Group: "billing", Name: "invoice", BaseTopic: "orders.placed"}, "shop", "0190")
	if got, want := hex.EncodeToString(m[:]), "33e8b78af52efe84930901dd2c798319"; got != want {
		t.Errorf("mark is %s, was %s", got, want)
	}
}
