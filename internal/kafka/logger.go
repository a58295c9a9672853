package kafka

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events/internal/loglimit"
)

// logger passes franz-go's messages on: its errors and warnings as such, its
// information (which is about rebalances, metadata and the like) as debugging.
// Its debugging is per request and is not passed on.
type logger struct {
	to *slog.Logger
	// texts are a fixed set. A broker that is away makes franz-go say so at
	// every attempt.
	texts loglimit.Limit
}

func newLogger(to *slog.Logger) *logger {
	return &logger{to: to, texts: loglimit.Limit{Burst: 1}}
}

// Level is asked before a message is made.
func (l *logger) Level() kgo.LogLevel {
	ctx := context.Background()
	switch {
	case l.to.Enabled(ctx, slog.LevelDebug):
		return kgo.LogLevelInfo
	case l.to.Enabled(ctx, slog.LevelWarn):
		return kgo.LogLevelWarn
	case l.to.Enabled(ctx, slog.LevelError):
		return kgo.LogLevelError
	}
	return kgo.LogLevelNone
}

func (l *logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	var as slog.Level
	switch level {
	case kgo.LogLevelError:
		as = slog.LevelError
	case kgo.LogLevelWarn:
		as = slog.LevelWarn
	case kgo.LogLevelInfo:
		as = slog.LevelDebug
	default:
		return
	}
	ctx := context.Background()
	if !l.to.Enabled(ctx, as) {
		return
	}
	if as >= slog.LevelWarn {
		leftOut, ok := l.texts.Allow(msg, time.Now())
		if !ok {
			return
		}
		if leftOut > 0 {
			keyvals = append(keyvals[:len(keyvals):len(keyvals)], "left_out", leftOut)
		}
	}
	l.to.Log(ctx, as, "kafka: "+msg, keyvals...)
}
