package simulation

import (
	"sync"
	"time"

	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
)

// recorder is the run's own record.
type recorder struct {
	mu      sync.Mutex
	entries []checker.Entry
	dead    map[string]bool       // instances that were killed
	calls   map[handlerEvent]int  // how often a handler was called with an event, in all instances
	doomed  map[handlerEvent]bool // what is recorded as such
	marks   []Moment
}

type handlerEvent struct{ group, handler, topic, id string }

// Moment is something that happened to the world, for people.
type Moment struct {
	At   time.Time
	Text string
}

func newRecorder() *recorder {
	return &recorder{dead: make(map[string]bool), calls: make(map[handlerEvent]int), doomed: make(map[handlerEvent]bool)}
}

// add records what an instance saw, unless it is dead: then it has not.
// instance is "" for what no instance saw.
func (r *recorder) add(instance string, e checker.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.dead[instance] {
		r.entries = append(r.entries, e)
	}
}

// call counts a handler's call with an event, from 1.
func (r *recorder) call(c handlerEvent) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[c]++
	return r.calls[c]
}

// doom records once that a handler fails for good with an event.
func (r *recorder) doom(h handler, topic, id string, unseen bool) {
	c := handlerEvent{h.group, h.name, topic, id}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.doomed[c] {
		r.doomed[c] = true
		r.entries = append(r.entries, checker.Doomed{Group: h.group, Handler: h.name, Topic: topic, ID: id, Unseen: unseen})
	}
}

// kill makes what the instance says from now on unheard.
func (r *recorder) kill(instance string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead[instance] = true
}

// note records something for people.
func (r *recorder) note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks = append(r.marks, Moment{time.Now(), text})
}

func (r *recorder) all() []checker.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]checker.Entry(nil), r.entries...)
}
