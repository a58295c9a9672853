package checker

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// at is a moment of the run.
func at(second int) time.Time {
	return time.Date(2026, 1, 1, 0, 0, second, 0, time.UTC)
}

// good is a run in which all went well, in spite of all that may happen: a
// redelivery to another instance, a duplicate in Kafka, an event that fails for
// good, an immediate Produce with unknown outcome, a rollback, an instance that
// comes and goes, a gap, a message of somebody else.
func good() []Entry {
	const orders = "orders"
	given := func(second int, instance, handler, id, key string, offset int64) Delivered {
		return Delivered{At: at(second), Instance: instance, Group: "g", Handler: handler, Topic: orders, ID: id, Key: key, Offset: offset, Attempt: 1}
	}
	done := func(second int, instance, handler, id string) Handled {
		return Handled{At: at(second), Instance: instance, Group: "g", Handler: handler, Topic: orders, ID: id}
	}
	seen := func(second int, instance, id, key string) []Entry {
		return []Entry{
			Delivered{At: at(second), Instance: instance, Handler: "cache", Topic: orders, ID: id, Key: key},
			Handled{At: at(second), Instance: instance, Handler: "cache", Topic: orders, ID: id},
		}
	}
	return slices.Concat([]Entry{
		Handler{Group: "g", Name: "mail", Kind: Idempotent, Topics: []string{orders}, Ordered: true},
		Handler{Group: "g", Name: "bill", Kind: ExactlyOnce, Topics: []string{orders}, Letters: true},
		Handler{Name: "cache", Kind: Broadcast, Topics: []string{orders}},
		Doomed{Group: "g", Handler: "bill", Topic: orders, ID: "a2"},

		Up{At: at(1), Instance: "one"},
		Committed{At: at(2), Topic: orders, ID: "a1", Key: "a", Seq: 1},
		Committed{At: at(3), Topic: orders, ID: "a2", Key: "a", Seq: 2},
		Committed{At: at(4), Topic: orders, ID: "a3", Key: "a", Seq: 3},
		Committed{At: at(4), Topic: orders, ID: "b1", Key: "b", Seq: 1},
		RolledBack{At: at(4), Topic: orders, ID: "a4", Key: "a"},
		RolledBack{At: at(4), Topic: orders, ID: "b1", Key: "b"}, // an unknown outcome, found committed
		Uncertain{At: at(4), Topic: orders, ID: "u1"},
		Told{At: at(4), Instance: "one", Topic: orders, ID: "a1", Committed: true},
		Told{At: at(4), Instance: "one", Topic: orders, ID: "a4", Error: "no"},
		Logged{At: at(5), Topic: orders, Offset: 0, ID: "a1", Key: "a", Producer: 7, Epoch: 1},
		Logged{At: at(5), Topic: orders, Offset: 1, ID: "a2", Key: "a", Producer: 7, Epoch: 1},
		Logged{At: at(6), Topic: orders, Offset: 3, ID: "a1", Key: "a", Producer: 7, Epoch: 2},
		Logged{At: at(6), Topic: orders, Offset: 4, ID: "a3", Key: "a", Producer: 7, Epoch: 2},
		Logged{At: at(6), Topic: orders, Partition: 1, Offset: 0, ID: "b1", Key: "b", Producer: 7, Epoch: 1},
		Logged{At: at(6), Topic: orders, Partition: 1, Offset: 1, ID: "u1", Producer: -1},
		Logged{At: at(6), Topic: orders, Partition: 1, Offset: 2, ID: "x1", Producer: -1, OtherwiseAdded: true},

		given(7, "one", "mail", "a1", "a", 0),
		given(8, "two", "mail", "a1", "a", 0), // the partition moved meanwhile
		done(9, "two", "mail", "a1"),
		given(9, "two", "mail", "a2", "a", 1),
		done(9, "one", "mail", "a1"),
		done(10, "two", "mail", "a2"),
		given(10, "two", "mail", "a1", "a", 3), // the duplicate
		done(10, "two", "mail", "a1"),
		given(10, "two", "mail", "a3", "a", 4),
		done(11, "two", "mail", "a3"),
		given(11, "one", "mail", "b1", "b", 0),
		done(11, "one", "mail", "b1"),
		given(11, "one", "mail", "u1", "", 1),
		given(11, "one", "mail", "x1", "", 2),

		Effect{Group: "g", Handler: "bill", Topic: orders, ID: "a1"},
		Effect{Group: "g", Handler: "bill", Topic: orders, ID: "a3"},
		Effect{Group: "g", Handler: "bill", Topic: orders, ID: "b1"},
		Effect{Group: "g", Handler: "bill", Topic: orders, ID: "u1"},
		Letter{Group: "g", Handler: "bill", Topic: orders, ID: "a2", LetterID: "l", Error: "no"},
		Letter{Group: "g", Handler: "bill", Topic: orders, ID: "a2", LetterID: "l", Error: "no"},
	},
		seen(7, "one", "a1", "a"), seen(7, "one", "a2", "a"), seen(7, "one", "a3", "a"), seen(7, "one", "b1", "b"),
		// It came late, and was told of a gap.
		[]Entry{Up{At: at(2), Instance: "two"}, Gap{At: at(4), Instance: "two", Topic: orders}},
		// It came for a3 and b1, and went long after them.
		[]Entry{Up{At: at(3), Instance: "three"}}, seen(7, "three", "a3", "a"), seen(7, "three", "b1", "b"), []Entry{Down{At: at(40), Instance: "three"}},
		// It went soon.
		[]Entry{Up{At: at(1), Instance: "four"}, Down{At: at(8), Instance: "four"}},
	)
}

// without is the entries but those that match.
func without(match func(Entry) bool) func([]Entry) []Entry {
	return func(entries []Entry) []Entry {
		n := len(entries)
		entries = slices.DeleteFunc(entries, match)
		if len(entries) == n {
			panic("the mutation changes nothing")
		}
		return entries
	}
}

// change replaces the first entry of the type that matches.
func change[E Entry](match func(E) bool, fn func(*E)) func([]Entry) []Entry {
	return func(entries []Entry) []Entry {
		for i, e := range entries {
			if e, ok := e.(E); ok && match(e) {
				fn(&e)
				entries[i] = e
				return entries
			}
		}
		panic("the mutation changes nothing")
	}
}

// also adds entries at the end.
func also(more ...Entry) func([]Entry) []Entry {
	return func(entries []Entry) []Entry { return append(entries, more...) }
}

func TestEveryViolationIsFoundAndNothingElse(t *testing.T) {
	is := func(id string) func(Logged) bool {
		return func(e Logged) bool { return e.ID == id }
	}
	for name, c := range map[string]struct {
		mutate func([]Entry) []Entry
		want   []string // rule and id
	}{
		"nothing":                {also(), nil},
		"a commit that is none":  {also(Told{Topic: "orders", ID: "a4", Committed: true}), []string{"misreported a4"}},
		"a failure that is none": {also(Told{Topic: "orders", ID: "a1", Error: "no"}), []string{"misreported a1"}},
		"an event that was not handled": {without(func(e Entry) bool {
			h, ok := e.(Handled)
			return ok && h.Handler == "mail" && h.ID == "a3"
		}), []string{"lost a3"}},
		"an event that was not delivered": {without(func(e Entry) bool {
			d, isDelivered := e.(Delivered)
			h, isHandled := e.(Handled)
			return isDelivered && d.Handler == "mail" && d.ID == "b1" || isHandled && h.Handler == "mail" && h.ID == "b1"
		}), []string{"lost b1"}},
		"an effect that is not there":   {without(func(e Entry) bool { f, ok := e.(Effect); return ok && f.ID == "b1" }), []string{"effect missing b1"}},
		"an effect twice":               {also(Effect{Group: "g", Handler: "bill", Topic: "orders", ID: "a1"}), []string{"effect doubled a1"}},
		"an effect of a failed call":    {also(Effect{Group: "g", Handler: "bill", Topic: "orders", ID: "a2"}), []string{"effect doomed a2"}},
		"a rolled-back event delivered": {also(Delivered{Group: "g", Handler: "bill", Topic: "orders", ID: "a4"}), []string{"phantom a4"}},
		"a rolled-back event in Kafka":  {also(Logged{Topic: "orders", Offset: 9, ID: "a4", Key: "a", Producer: -1}), []string{"phantom a4"}},
		"an unknown event's effect":     {also(Effect{Group: "g", Handler: "bill", Topic: "orders", ID: "z"}), []string{"phantom z"}},
		"an event not in Kafka":         {without(func(e Entry) bool { l, ok := e.(Logged); return ok && l.ID == "b1" }), []string{"not logged b1"}},
		"an older event after a newer one in Kafka": {change(is("a2"), func(e *Logged) { e.Offset = 9 }),
			[]string{"log disorder a2", "unfenced a2"}},
		"a write of a producer with a successor": {also(Logged{Topic: "orders", Offset: 9, ID: "a1", Key: "a", Producer: 7, Epoch: 1}), []string{"unfenced a1"}},
		"a key in two partitions": {change(is("a3"), func(e *Logged) { e.Partition, e.Offset, e.Producer = 1, 9, -1 }),
			[]string{"key moved a3"}},
		"a key in two partitions of a topic that grew": {func(entries []Entry) []Entry {
			return also(Grown{Topic: "orders", Partitions: 3})(change(is("a3"), func(e *Logged) { e.Partition, e.Offset, e.Producer = 1, 9, -1 })(entries))
		}, nil},
		"an event that is written again after the topic grew": {also(
			Grown{Topic: "orders", Partitions: 3},
			// a2 stood in partition 0; a3 went to partition 2; then both were written there again.
			Logged{Topic: "orders", Partition: 2, Offset: 0, ID: "a3", Key: "a", Producer: 7, Epoch: 1},
			Logged{Topic: "orders", Partition: 2, Offset: 1, ID: "a2", Key: "a", Producer: 7, Epoch: 2},
			Logged{Topic: "orders", Partition: 2, Offset: 2, ID: "a3", Key: "a", Producer: 7, Epoch: 2},
		), nil},
		"an event that could not be written before its key moved": {func(entries []Entry) []Entry {
			// a2 was for partition 0; a3 went to partition 2, and a2 after it.
			return also(Grown{Topic: "orders", Partitions: 3})(change(is("a2"), func(e *Logged) { e.Partition, e.Offset, e.Producer = 2, 9, -1 })(
				change(is("a3"), func(e *Logged) { e.Partition, e.Offset, e.Producer = 2, 8, -1 })(entries)))
		}, nil},
		"an older event after a newer one in a topic that grew": {func(entries []Entry) []Entry {
			return also(Grown{Topic: "orders", Partitions: 3})(change(is("a2"), func(e *Logged) { e.Offset, e.Producer = 9, -1 })(entries))
		}, []string{"log disorder a2"}},
		"a3 before a2": {func(entries []Entry) []Entry {
			i := slices.IndexFunc(entries, func(e Entry) bool {
				d, ok := e.(Delivered)
				return ok && d.Handler == "mail" && d.ID == "a2"
			})
			early := entries[i].(Delivered)
			early.ID = "a3"
			done := Handled{Group: "g", Handler: "mail", Topic: "orders", ID: "a3"}
			return slices.Insert(entries, i, Entry(early), Entry(done))
		}, []string{"disorder a2"}},
		"a2 while a1 runs": {without(func(e Entry) bool {
			h, ok := e.(Handled)
			return ok && h.Handler == "mail" && h.ID == "a1" && h.At.Equal(at(9))
		}), []string{"overtaken a2"}},
		"a broadcast that an instance did not see": {without(func(e Entry) bool {
			d, isDelivered := e.(Delivered)
			h, isHandled := e.(Handled)
			return isDelivered && d.Instance == "one" && d.Handler == "cache" && d.ID == "b1" || isHandled && h.Instance == "one" && h.Handler == "cache" && h.ID == "b1"
		}), []string{"broadcast lost b1"}},
		"a broadcast that was not handled": {without(func(e Entry) bool {
			h, ok := e.(Handled)
			return ok && h.Instance == "one" && h.Handler == "cache" && h.ID == "b1"
		}), []string{"broadcast lost b1"}},
		"a broadcast that an instance that went long after did not see": {without(func(e Entry) bool {
			h, ok := e.(Handled)
			return ok && h.Instance == "three" && h.Handler == "cache" && h.ID == "b1"
		}), []string{"broadcast lost b1"}},
		"a gap that comes before the missed event":        {change(func(Gap) bool { return true }, func(g *Gap) { g.At = at(3) }), []string{"broadcast lost a3", "broadcast lost b1"}},
		"a gap of another topic":                          {change(func(Gap) bool { return true }, func(g *Gap) { g.Topic = "audit" }), []string{"broadcast lost a2", "broadcast lost a3", "broadcast lost b1"}},
		"no letter":                                       {without(func(e Entry) bool { _, ok := e.(Letter); return ok }), []string{"letter missing a2"}},
		"a letter of an event that did not fail for good": {also(Letter{Group: "g", Handler: "bill", Topic: "orders", ID: "a3", LetterID: "m", Error: "connection lost"}), []string{"letter uncalled a3"}},
		"two letters of one failure":                      {also(Letter{Group: "g", Handler: "bill", Topic: "orders", ID: "a2", LetterID: "m"}), []string{"letter uncalled a2"}},
		"events that retention removed": {func(entries []Entry) []Entry {
			entries = without(func(e Entry) bool { l, ok := e.(Logged); return ok && l.ID == "b1" })(entries)
			entries = without(func(e Entry) bool { h, ok := e.(Handled); return ok && h.ID == "b1" && h.Group != "" })(entries)
			entries = without(func(e Entry) bool { f, ok := e.(Effect); return ok && f.ID == "b1" })(entries)
			return append(entries, Trimmed{Topic: "orders"})
		}, nil},
		"an unread event that retention did not remove": {func(entries []Entry) []Entry {
			entries = without(func(e Entry) bool { f, ok := e.(Effect); return ok && f.ID == "b1" })(entries)
			return append(entries, Trimmed{Topic: "orders"})
		}, []string{"effect missing b1"}},
	} {
		t.Run(name, func(t *testing.T) {
			entries := c.mutate(good())
			report := Check(entries, Options{Settling: 10 * time.Second})
			var got []string
			for _, v := range report.Violations {
				got = append(got, fmt.Sprintf("%s %s", v.Rule, v.ID))
				if len(Concerning(entries, v)) == 0 && v.Rule != LetterMissing {
					t.Errorf("no history of: %v", v)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q\n%v", got, c.want, report.Violations)
			}
		})
	}
}

func TestReportCounts(t *testing.T) {
	got := Check(good(), Options{Settling: 10 * time.Second})
	want := Report{
		Committed: 4, RolledBack: 1, Uncertain: 1,
		Deliveries: 14, Redeliveries: 1, Effects: 4,
		Records: 7, Duplicates: 1, Letters: 1, Gaps: 1,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// A handler that discards what fails has it delivered, not handled.
func TestDoomedWithoutLetters(t *testing.T) {
	entries := []Entry{
		Handler{Group: "g", Name: "mail", Kind: Idempotent, Topics: []string{"orders"}},
		Committed{Topic: "orders", ID: "a"}, Logged{Topic: "orders", ID: "a", Producer: -1},
		Committed{Topic: "orders", ID: "b"}, Logged{Topic: "orders", ID: "b", Offset: 1, Producer: -1},
		Doomed{Group: "g", Handler: "mail", Topic: "orders", ID: "a"},
		Doomed{Group: "g", Handler: "mail", Topic: "orders", ID: "b", Unseen: true},
	}
	r := Check(entries, Options{})
	if len(r.Violations) != 1 || r.Violations[0].Rule != Lost || r.Violations[0].ID != "a" {
		t.Errorf("got %v, want a to be lost", r.Violations)
	}
	r = Check(append(entries, Delivered{Group: "g", Handler: "mail", Topic: "orders", ID: "a"}), Options{})
	if len(r.Violations) != 0 {
		t.Errorf("got %v", r.Violations)
	}
}

// The history of a key is all events of the key, but of other handlers nothing.
func TestConcerning(t *testing.T) {
	got := Concerning(good(), Violation{Rule: Disorder, Group: "g", Handler: "mail", Topic: "orders", Key: "b", ID: "b1"})
	var lines []string
	for _, e := range got {
		lines = append(lines, kind(e))
	}
	want := "Committed RolledBack Logged Delivered Handled"
	if s := strings.Join(lines, " "); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
}

// A journal keeps every entry of every kind.
func TestJournal(t *testing.T) {
	entries := append(good(), Grown{At: at(1), Topic: "orders", Partitions: 3}, Trimmed{At: at(1), Topic: "orders"})
	kinds := map[string]bool{}
	var journal []byte
	for _, e := range entries {
		var err error
		if journal, err = AppendLine(journal, e); err != nil {
			t.Fatal(err)
		}
		kinds[kind(e)] = true
	}
	got, err := ParseJournal(journal)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, entries) {
		t.Error("the journal has other entries than were written")
	}
	if len(kinds) != len(parsers) {
		t.Errorf("%d kinds were tried, there are %d", len(kinds), len(parsers))
	}
	got, err = ParseJournal(journal[:len(journal)-3]) // killed while it wrote
	if err != nil || len(got) != len(entries)-1 {
		t.Errorf("torn: %d entries, %v", len(got), err)
	}
	for _, bad := range []string{"{\n", `{"kind":"Nothing","entry":{}}` + "\n", `{"kind":"Gap","entry":[]}` + "\n"} {
		if _, err := ParseJournal([]byte(bad)); err == nil {
			t.Errorf("%q is no journal", bad)
		}
	}
}

// Merging orders by time, and leaves what has one time in its order.
func TestMerge(t *testing.T) {
	a := []Entry{Up{At: at(2), Instance: "a"}, Down{At: at(5), Instance: "a"}}
	b := []Entry{Up{At: at(1), Instance: "b"}, Down{At: at(5), Instance: "b"}}
	got := Merge(a, b)
	want := []Entry{b[0], a[0], a[1], b[1]}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}
