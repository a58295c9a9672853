package main

import (
	"fmt"
	"time"
)

// progress tells a person how far something is: at a terminal twice a second,
// elsewhere every ten seconds.
type progress struct {
	c     *call
	what  string
	next  time.Time
	every time.Duration
	shown bool
}

func (c *call) progress(what string) *progress {
	p := &progress{c: c, what: what, every: 10 * time.Second}
	if c.interactive {
		p.every = 500 * time.Millisecond
	}
	p.next = time.Now().Add(p.every)
	return p
}

func (p *progress) tell(done, total int64) {
	if time.Now().Before(p.next) {
		return
	}
	p.next = time.Now().Add(p.every)
	text := fmt.Sprintf("%s: %d", p.what, done)
	if total > 0 {
		text = fmt.Sprintf("%s: %d of %d (%d %%)", p.what, done, total, done*100/total)
	}
	if p.c.interactive {
		fmt.Fprintf(p.c.err, "\r\x1b[K%s", text)
		p.shown = true
	} else {
		fmt.Fprintln(p.c.err, text)
	}
}

// end clears the line.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.c.err, "\r\x1b[K")
		p.shown = false
	}
}
