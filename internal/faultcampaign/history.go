//go:build linux

package faultcampaign

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// history is what happens, as lines with their time since the begin.
type history struct {
	mu     sync.Mutex
	out    io.Writer
	begin  time.Time
	counts map[string]int // of faults that happened, by kind
	wrong  []string
}

func newHistory(out io.Writer) *history {
	return &history{out: out, begin: time.Now(), counts: make(map[string]int)}
}

// since is the time that a line has.
func (h *history) since(at time.Time) string {
	return fmt.Sprintf("%7.1fs", at.Sub(h.begin).Seconds())
}

func (h *history) say(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fmt.Fprintln(h.out, h.since(time.Now()), fmt.Sprintf(format, args...))
}

// happened counts a fault.
func (h *history) happened(kind string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[kind]++
}

// violated notes what must not be, beside what the checker finds: a process that
// died by itself, one that keeps what it should have given back.
func (h *history) violated(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	h.say("VIOLATION: %s", text)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong = append(h.wrong, text)
}

func (h *history) violations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wrong
}
