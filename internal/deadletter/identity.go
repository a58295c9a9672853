package deadletter

import (
	"context"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mark"
)

// idOf returns a letter's id: the handler's mark of the event, which was first
// written at origin. m is nil if the event cannot be decoded.
func idOf(h mark.Handler, m *eventmodels.Message, origin mark.Origin) eventmodels.Mark {
	if m == nil || m.ID == "" {
		return mark.OfOrigin(h, origin)
	}
	return mark.Of(h, m.Source, m.ID)
}

type (
	markKey   struct{}
	originKey struct{}
)

func withMark(ctx context.Context, m eventmodels.Mark) context.Context {
	return context.WithValue(ctx, markKey{}, m)
}

func withOrigin(ctx context.Context, o mark.Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// MarkOf returns the mark of the event for the handler whose letter runs with
// ctx; false if no letter runs. It is the letter's id: that of the event as it
// was, also when the letter was edited.
func MarkOf(ctx context.Context) (eventmodels.Mark, bool) {
	m, ok := ctx.Value(markKey{}).(eventmodels.Mark)
	return m, ok
}

// OriginOf returns where the event was first written whose letter a handler of
// a dead-letter topic gets with ctx.
func OriginOf(ctx context.Context) (mark.Origin, bool) {
	o, ok := ctx.Value(originKey{}).(mark.Origin)
	return o, ok
}
