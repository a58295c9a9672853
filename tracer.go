package events

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/seed46dd6f11/events/eventmodels"
)

// slogTracer is the Tracer of a library that was given none.
type slogTracer struct{ logger *slog.Logger }

// Logf implements [eventmodels.Tracer].
func (t slogTracer) Logf(format string, args ...any) { t.logger.Info(fmt.Sprintf(format, args...)) }

// tracerHandler writes log records of level Info and above as lines to a
// Tracer.
type tracerHandler struct {
	slog.Handler               // formats into line
	line         *bytes.Buffer // guarded by mu
	mu           *sync.Mutex   // of all handlers that format into line
	tracer       eventmodels.Tracer
}

func newTracerHandler(tracer eventmodels.Tracer) slog.Handler {
	line := new(bytes.Buffer)
	format := slog.NewTextHandler(line, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{} // tracers have their own
		}
		return a
	}})
	return tracerHandler{Handler: format, line: line, mu: new(sync.Mutex), tracer: tracer}
}

// Handle implements [slog.Handler].
func (h tracerHandler) Handle(ctx context.Context, r slog.Record) error {
	text, err := h.format(ctx, r)
	h.tracer.Logf("%s", text)
	return err
}

// format returns the line of a record.
func (h tracerHandler) format(ctx context.Context, r slog.Record) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line.Reset()
	err := h.Handler.Handle(ctx, r)
	return string(bytes.TrimSuffix(h.line.Bytes(), []byte("\n"))), err
}

// WithAttrs implements [slog.Handler].
func (h tracerHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements [slog.Handler].
func (h tracerHandler) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}
