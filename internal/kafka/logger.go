package kafka

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// logInterval is the least time between two messages of the same text. A
// broker that is away makes franz-go say so at every attempt.
const logInterval = 10 * time.Second

// logger passes franz-go's messages on: its errors and warnings as such, its
// information (which is about rebalances, metadata and the like) as debugging.
// Its debugging is per request and is not passed on.
type logger struct {
	to    *slog.Logger
	every throttle
}

func newLogger(to *slog.Logger) *logger { return &logger{to: to} }

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
		passed, left := l.every.pass(msg)
		if !passed {
			return
		}
		if left > 0 {
			keyvals = append(keyvals[:len(keyvals):len(keyvals)], "left_out", left)
		}
	}
	l.to.Log(ctx, as, "kafka: "+msg, keyvals...)
}

// throttle lets a message of one text through once in logInterval. The zero
// value is ready to use. The texts are a fixed set, so it does not grow.
type throttle struct {
	mu   sync.Mutex
	last map[string]*said
}

type said struct {
	at   time.Time
	left int // how many were not let through since
}

// pass says whether the message is let through, and how many were not since
// the last one was.
func (t *throttle) pass(text string) (passed bool, left int) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.last[text]
	if s == nil {
		if t.last == nil {
			t.last = make(map[string]*said)
		}
		t.last[text] = &said{at: now}
		return true, 0
	}
	if now.Sub(s.at) < logInterval {
		s.left++
		return false, 0
	}
	left = s.left
	*s = said{at: now}
	return true, left
}
