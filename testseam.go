package events

import (
	"context"
	"slices"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/delivery"
	"github.com/seed46dd6f11/events/internal/testseam"
)

func init() {
	testseam.Of = func(lib any) testseam.Library { return insideLibrary{lib.(*LibraryNoDB)} }
}

// insideLibrary shows eventtest what users cannot see.
type insideLibrary struct{ l *LibraryNoDB }

func (i insideLibrary) Prefix() string {
	i.l.mu.Lock()
	defer i.l.mu.Unlock()
	return i.l.settings.prefix
}

func (i insideLibrary) Engines() []*delivery.Engine {
	i.l.mu.Lock()
	defer i.l.mu.Unlock()
	return slices.Clone(i.l.pausing.engines)
}

func (i insideLibrary) Intercept(f testseam.Interceptor) {
	i.l.edit("Intercept", func(s *settings) { s.intercept = f })
}

func (i insideLibrary) LogsToDefault() bool {
	i.l.mu.Lock()
	defer i.l.mu.Unlock()
	return i.l.settings.logger == nil && i.l.settings.tracer == nil
}

// intercepted puts the interceptor, if there is one, before a handler's runs.
func (l *LibraryNoDB) intercepted(handler string, run runFunc) runFunc {
	intercept := l.settings.intercept
	if intercept == nil {
		return run
	}
	return func(ctx context.Context, ms []*eventmodels.Message) error {
		return intercept(ctx, handler, func(ctx context.Context) error { return run(ctx, ms) })
	}
}
