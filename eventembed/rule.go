package eventembed

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// action is what a rule does to a request.
type action int

const (
	observe action = iota
	hold
	holdResponse
	drop
	dropResponse
)

// onResponse is true for what happens to the answer.
func (a action) onResponse() bool { return a == holdResponse || a == dropResponse }

// rule is a fault that the connections carry out.
type rule struct {
	Match
	act     action
	limit   time.Duration // how long to hold a request, if limited
	limited bool

	set *ruleSet
	end chan struct{} // closed by Remove: what is held goes on

	// Guarded by set.mu.
	left    int // requests it will still choose; -1 is no limit
	removed bool
	hits    int
	changed chan struct{} // closed and replaced at every hit
}

// ruleSet is the rules of a broker in the order in which they were made.
type ruleSet struct {
	mu    sync.Mutex
	rules []*rule // without those that are removed or used up

	some     atomic.Bool  // rules is not empty
	stampers atomic.Int32 // faults of the cluster that want to see the client's id
}

func (s *ruleSet) add(r rule) *rule {
	r.set, r.end, r.changed = s, make(chan struct{}), make(chan struct{})
	r.Requests, r.Partitions, r.Nodes = slices.Clone(r.Requests), slices.Clone(r.Partitions), slices.Clone(r.Nodes)
	r.left = r.Count
	if r.Count == 0 {
		r.left = -1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, &r)
	s.some.Store(true)
	return &r
}

// choose returns the rules that req falls under, each with one use of it
// taken.
func (s *ruleSet) choose(req *request) []*rule {
	s.mu.Lock()
	candidates := slices.Clone(s.rules)
	s.mu.Unlock()
	// When is the user's function, so not under the lock.
	candidates = slices.DeleteFunc(candidates, func(r *rule) bool { return !r.fits(req) })
	return slices.DeleteFunc(candidates, func(r *rule) bool { return !r.take() })
}

func (s *ruleSet) drop(r *rule) {
	s.rules = slices.DeleteFunc(s.rules, func(o *rule) bool { return o == r })
	s.some.Store(len(s.rules) > 0)
}

// fits says whether the rule's selectors choose req.
func (r *rule) fits(req *request) bool {
	if len(r.Requests) > 0 && !slices.Contains(r.Requests, req.key) {
		return false
	}
	if len(r.Nodes) > 0 && !slices.Contains(r.Nodes, req.node) {
		return false
	}
	if r.ClientID != "" && r.ClientID != req.clientID {
		return false
	}
	if r.Group != "" && !slices.Contains(req.named.groups, r.Group) {
		return false
	}
	if (r.Topic != "" || len(r.Partitions) > 0) && !r.fitsTopic(req) {
		return false
	}
	if produce, ok := req.body.(*kmsg.ProduceRequest); ok && produce.Acks == 0 && r.act.onResponse() {
		return false
	}
	return r.When == nil || r.When(req.body)
}

func (r *rule) fitsTopic(req *request) bool {
	for tp := range req.named.topics {
		if r.Topic != "" && r.Topic != tp.topic {
			continue
		}
		if len(r.Partitions) == 0 || slices.Contains(r.Partitions, tp.partition) {
			return true
		}
	}
	return false
}

// take uses the rule once, if it is not used up or removed.
func (r *rule) take() bool {
	r.set.mu.Lock()
	defer r.set.mu.Unlock()
	if r.removed || r.left == 0 {
		return false
	}
	if r.left > 0 {
		r.left--
	}
	if r.left == 0 {
		r.set.drop(r)
	}
	return true
}

// hit counts a request that the rule acts on.
func (r *rule) hit() {
	r.set.mu.Lock()
	defer r.set.mu.Unlock()
	r.hits++
	close(r.changed)
	r.changed = make(chan struct{})
}

// Hits, Wait and Remove are what a Fault does.

func (r *rule) Hits() int {
	r.set.mu.Lock()
	defer r.set.mu.Unlock()
	return r.hits
}

func (r *rule) Wait(ctx context.Context, n int) error {
	for {
		r.set.mu.Lock()
		reached, changed := r.hits >= n, r.changed
		r.set.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *rule) Remove() {
	r.set.mu.Lock()
	defer r.set.mu.Unlock()
	if r.removed {
		return
	}
	r.removed = true
	r.set.drop(r)
	close(r.end)
}

// wait holds a request or an answer, until the rule is removed or its time is
// over, or until the connection ends; then it returns false.
func (r *rule) wait(ended <-chan struct{}) bool {
	var timeout <-chan time.Time
	if r.limited {
		timer := time.NewTimer(r.limit)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-r.end:
		return true
	case <-timeout:
		return true
	case <-ended:
		return false
	}
}
