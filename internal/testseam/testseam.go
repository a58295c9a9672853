// Package testseam is what eventtest's helpers see of a Library beyond its API:
// how far it is, and a place between the library and its handlers.
package testseam

import (
	"context"

	"github.com/seed46dd6f11/events/internal/delivery"
)

// Interceptor is called in the place of a handler's run with one event or a
// batch; run is the run, which for an exactly-once handler has the transaction
// in it.
type Interceptor func(ctx context.Context, handler string, run func(context.Context) error) error

// Library is a Library from the inside.
type Library interface {
	// Prefix stands before the names of topics and groups in Kafka.
	Prefix() string
	// Engines deliver to the handlers, one for each group and one for the
	// broadcasts. There are none before the handlers are ready.
	Engines() []*delivery.Engine
	// Intercept puts an interceptor before every handler. It panics if the
	// Library runs already.
	Intercept(Interceptor)
	// LogsToDefault reports whether no logger and no tracer was set.
	LogsToDefault() bool
}

// Of returns the inside of an *events.LibraryNoDB. Package events sets it.
var Of func(lib any) Library
