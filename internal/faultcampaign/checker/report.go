package checker

import (
	"fmt"
	"strings"
)

// Rule is a promise that can be violated.
type Rule string

// The rules.
const (
	Misreported    Rule = "misreported"     // the caller was told something else about the end of its transaction
	Lost           Rule = "lost"            // a committed event did not reach a handler
	Phantom        Rule = "phantom"         // an event that nobody committed was seen
	EffectMissing  Rule = "effect missing"  // an exactly-once handler has no effect of a committed event
	EffectDoubled  Rule = "effect doubled"  // it has more than one
	EffectDoomed   Rule = "effect doomed"   // it has one of an event with which it failed
	Disorder       Rule = "disorder"        // an ordered handler was given a key's events in another order
	Overtaken      Rule = "overtaken"       // it was given one before the one in front of it was handled
	NotLogged      Rule = "not logged"      // a committed event is not in Kafka
	LogDisorder    Rule = "log disorder"    // an older event of a key stands after a newer one for the first time
	KeyMoved       Rule = "key moved"       // a key is in two partitions of a topic that did not grow
	Unfenced       Rule = "unfenced"        // a producer wrote after its successor had
	BroadcastLost  Rule = "broadcast lost"  // an instance that was up did not see an event, and was told of no gap
	LetterMissing  Rule = "letter missing"  // an event that failed for good is not among the dead letters
	LetterUncalled Rule = "letter uncalled" // a dead letter of an event that did not fail for good
)

// Violation is a promise that was not kept. Fields that do not apply are empty.
type Violation struct {
	Rule           Rule
	Group, Handler string
	Instance       string
	Topic, Key, ID string
	Text           string // what was expected and what was found
}

// String is the violation in one line.
func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", v.Rule, v.Text)
	for _, field := range [][2]string{
		{"group", v.Group}, {"handler", v.Handler}, {"instance", v.Instance},
		{"topic", v.Topic}, {"key", v.Key}, {"id", v.ID},
	} {
		if field[1] != "" {
			fmt.Fprintf(&b, " %s=%s", field[0], field[1])
		}
	}
	return b.String()
}

// Report is what was found.
type Report struct {
	Violations []Violation

	Committed    int // events that had to arrive
	RolledBack   int // events that must not
	Uncertain    int // events that may
	Deliveries   int // calls of handlers, counted by event
	Redeliveries int // those of an event that the handler (of broadcasts: of the instance) had handled
	Effects      int
	Records      int // in Kafka
	Duplicates   int // of them, events that were there before in their partition
	Letters      int // dead letters, each counted once
	Gaps         int // calls of OnBroadcastGap
}

// String is the numbers in one line.
func (r Report) String() string {
	return fmt.Sprintf("%d violations; %d committed, %d rolled back, %d uncertain; %d deliveries, %d of them again; %d effects; %d records, %d of them duplicates; %d letters; %d gaps",
		len(r.Violations), r.Committed, r.RolledBack, r.Uncertain, r.Deliveries, r.Redeliveries, r.Effects, r.Records, r.Duplicates, r.Letters, r.Gaps)
}

func (r *Report) violated(v Violation) { r.Violations = append(r.Violations, v) }

// Concerning is the part of the history that has to do with the violation: all
// of its key where it has one, else of its event. Handlers and instances other
// than the violation's are left out, their log and commits are not.
func Concerning(entries []Entry, v Violation) []Entry {
	ids := map[string]bool{v.ID: v.ID != ""}
	if v.Key != "" {
		for _, e := range entries {
			switch e := e.(type) {
			case Committed:
				if e.Topic == v.Topic && e.Key == v.Key {
					ids[e.ID] = true
				}
			case Logged:
				if e.Topic == v.Topic && e.Key == v.Key {
					ids[e.ID] = true
				}
			}
		}
	}
	ofHandler := func(group, handler string) bool {
		return v.Handler == "" || v.Handler == handler && v.Group == group
	}
	var concerned []Entry
	for _, e := range entries {
		var keep bool
		switch e := e.(type) {
		case Committed:
			keep = ids[e.ID]
		case Uncertain:
			keep = ids[e.ID]
		case RolledBack:
			keep = ids[e.ID]
		case Told:
			keep = ids[e.ID]
		case Logged:
			keep = ids[e.ID]
		case Doomed:
			keep = ids[e.ID] && ofHandler(e.Group, e.Handler)
		case Delivered:
			keep = ids[e.ID] && ofHandler(e.Group, e.Handler)
		case Handled:
			keep = ids[e.ID] && ofHandler(e.Group, e.Handler)
		case Effect:
			keep = ids[e.ID] && ofHandler(e.Group, e.Handler)
		case Letter:
			keep = ids[e.ID] && ofHandler(e.Group, e.Handler)
		case Grown:
			keep = e.Topic == v.Topic
		case Trimmed:
			keep = e.Topic == v.Topic
		case Up:
			keep = e.Instance == v.Instance
		case Down:
			keep = e.Instance == v.Instance
		case Gap:
			keep = e.Instance == v.Instance && e.Topic == v.Topic
		}
		if keep {
			concerned = append(concerned, e)
		}
	}
	return concerned
}

// Line is the entry for people: its kind and the fields that are set.
func Line(e Entry) string {
	return strings.ReplaceAll(fmt.Sprintf("%s%+v", kind(e), e), " m=+", " +")
}

// Failed says whether a promise was not kept.
func (r Report) Failed() bool { return len(r.Violations) > 0 }
