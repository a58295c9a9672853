package events

import (
	"cmp"
	"slices"
	"time"
)

// LetterCause is a problem that letters have in common.
type LetterCause struct {
	Topic   string `json:"topic"`
	Handler string `json:"handler"`
	Cause   string `json:"cause"`
	Count   int    `json:"count"`
	// Newest and Oldest are Letter.Time of two of them.
	Newest time.Time `json:"newest"`
	Oldest time.Time `json:"oldest"`
	// Example is the newest of them.
	Example Letter `json:"example"`
}

// causes groups letters, the newest of each group first.
type causes struct {
	groups map[[3]string]*LetterCause
}

func (c *causes) add(l *Letter) {
	key := [3]string{l.Topic, l.Handler, l.Cause}
	group := c.groups[key]
	if group == nil {
		if c.groups == nil {
			c.groups = make(map[[3]string]*LetterCause)
		}
		group = &LetterCause{Topic: l.Topic, Handler: l.Handler, Cause: l.Cause, Newest: l.Time, Oldest: l.Time, Example: *l}
		c.groups[key] = group
	}
	group.Count++
	if l.Time.After(group.Newest) {
		group.Newest, group.Example = l.Time, *l
	}
	if l.Time.Before(group.Oldest) {
		group.Oldest = l.Time
	}
}

func (c *causes) sorted() []LetterCause {
	all := make([]LetterCause, 0, len(c.groups))
	for _, group := range c.groups {
		all = append(all, *group)
	}
	slices.SortFunc(all, func(a, b LetterCause) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Handler, b.Handler), cmp.Compare(a.Cause, b.Cause))
	})
	return all
}
