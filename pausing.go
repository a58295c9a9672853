package events

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed46dd6f11/events/internal/delivery"
)

// Pause lets no event come to the handlers of that name in this Library any
// more, in whatever group and topic, until [LibraryNoDB.Resume]: no new one, no
// retry, and none of their letters. What runs ends as usual.
//
// Nothing is lost and nothing piles up: events fill the handler's queue (see
// [WithQueueDepthLimit]), and then the partitions of its topic hold, so that the
// other handlers of the topic in the same group wait, too. Where that must not
// be, the handler needs a group of its own. The time of the pause does not count
// in the handler's timeout.
//
// Other instances of the service go on. A pause is not remembered over a
// restart; before StartConsuming it can be asked for already. The error is an
// [*UnknownHandlerError] if no handler has the name. To pause twice is to pause
// once.
func (l *LibraryNoDB) Pause(handlerName string) error {
	return l.setPaused(handlerName, func() {
		if l.pausing.handlers == nil {
			l.pausing.handlers = make(map[string]bool)
		}
		l.pausing.handlers[handlerName] = true
		for _, e := range l.pausing.engines {
			e.Pause(handlerName)
		}
	})
}

// Resume lets the handlers of that name go on after [LibraryNoDB.Pause]. It does
// nothing for those that are not paused. The error is an [*UnknownHandlerError]
// if no handler has the name.
func (l *LibraryNoDB) Resume(handlerName string) error {
	return l.setPaused(handlerName, func() {
		delete(l.pausing.handlers, handlerName)
		for _, e := range l.pausing.engines {
			e.Resume(handlerName)
		}
	})
}

// pausing is what a Library knows of it. Guarded by LibraryNoDB.mu, which comes
// before the engines' locks.
type pausing struct {
	handlers map[string]bool    // that are paused
	engines  []*delivery.Engine // that consume
}

// setPaused calls set, with the lock, if there is a handler of the name.
func (l *LibraryNoDB) setPaused(handlerName string, set func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	unknown := &UnknownHandlerError{Handler: handlerName}
	for _, h := range l.handlers {
		if h.name == handlerName {
			set()
			return nil
		}
		if !slices.Contains(unknown.Registered, h.name) {
			unknown.Registered = append(unknown.Registered, h.name)
		}
	}
	return unknown
}

// addEngine pauses what is paused in an engine that is about to start.
func (l *LibraryNoDB) addEngine(e *delivery.Engine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pausing.engines = append(l.pausing.engines, e)
	for name := range l.pausing.handlers {
		e.Pause(name)
	}
}

// dropEngines forgets the engines, which have stopped.
func (l *LibraryNoDB) dropEngines() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pausing.engines = nil
}

// UnknownHandlerError is the error of a call that names a handler which is not
// registered.
type UnknownHandlerError struct {
	Handler string
	// Registered are the names that there are.
	Registered []string
}

// Error names the handlers that there are.
func (e *UnknownHandlerError) Error() string {
	if len(e.Registered) == 0 {
		return fmt.Sprintf("no handler is called %q; none is registered", e.Handler)
	}
	return fmt.Sprintf("no handler is called %q; use a name that was given to Consume*: %s", e.Handler, strings.Join(e.Registered, ", "))
}
