package checker

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// line is an entry as one line of JSON: {"kind":"Delivered","entry":{...}}.
type line struct {
	Kind  string          `json:"kind"`
	Entry json.RawMessage `json:"entry"`
}

// parsers knows the kinds of entries by their type's name.
var parsers = map[string]func(json.RawMessage) (Entry, error){
	"Handler":    parse[Handler],
	"Committed":  parse[Committed],
	"Uncertain":  parse[Uncertain],
	"RolledBack": parse[RolledBack],
	"Told":       parse[Told],
	"Doomed":     parse[Doomed],
	"Delivered":  parse[Delivered],
	"Handled":    parse[Handled],
	"Effect":     parse[Effect],
	"Logged":     parse[Logged],
	"Grown":      parse[Grown],
	"Trimmed":    parse[Trimmed],
	"Letter":     parse[Letter],
	"Up":         parse[Up],
	"Down":       parse[Down],
	"Gap":        parse[Gap],
}

func parse[E Entry](raw json.RawMessage) (Entry, error) {
	var e E
	err := json.Unmarshal(raw, &e)
	return e, err
}

// kind is the name of the entry's type.
func kind(e Entry) string {
	name := fmt.Sprintf("%T", e)
	return name[strings.LastIndexByte(name, '.')+1:]
}

// AppendLine appends the entry to a journal, as one line with its end.
// A process that writes each line with one write loses none when it is killed.
func AppendLine(journal []byte, e Entry) ([]byte, error) {
	entry, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	l, err := json.Marshal(line{Kind: kind(e), Entry: entry})
	if err != nil {
		return nil, err
	}
	return append(append(journal, l...), '\n'), nil
}

// ParseJournal reads what AppendLine wrote. A last line without end is left
// out: its process was killed while it wrote.
func ParseJournal(journal []byte) ([]Entry, error) {
	var entries []Entry
	lines := strings.Split(string(journal), "\n")
	for i, text := range lines[:len(lines)-1] {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		p, ok := parsers[l.Kind]
		if !ok {
			return nil, fmt.Errorf("line %d: unknown kind %q", i+1, l.Kind)
		}
		e, err := p(l.Entry)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Merge makes one list of those of several processes, in the order of the
// entries' times. The order of those with the same time is kept.
func Merge(lists ...[]Entry) []Entry {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b Entry) int { return a.when().Compare(b.when()) })
	return all
}
