package kafka

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/internal/loglimit"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestLoggerLevels(t *testing.T) {
	for _, test := range []struct {
		level slog.Level
		kgo   kgo.LogLevel
		lines int
	}{
		{slog.LevelDebug, kgo.LogLevelInfo, 3},
		{slog.LevelInfo, kgo.LogLevelWarn, 2},
		{slog.LevelWarn, kgo.LogLevelWarn, 2},
		{slog.LevelError, kgo.LogLevelError, 1},
		{slog.LevelError + 1, kgo.LogLevelNone, 0},
	} {
		var log logged
		l := newLogger(log.logger(test.level))
		if got := l.Level(); got != test.kgo {
			t.Errorf("%v: franz-go is asked for %v", test.level, got)
		}
		for _, level := range []kgo.LogLevel{kgo.LogLevelDebug, kgo.LogLevelInfo, kgo.LogLevelWarn, kgo.LogLevelError} {
			l.Log(level, "message "+level.String(), "key", "value")
		}
		if n := strings.Count(log.String(), "\n"); n != test.lines {
			t.Errorf("%v: %d lines:\n%s", test.level, n, log.String())
		}
	}
}

func TestLoggerThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		l := newLogger(log.logger(slog.LevelDebug))
		for range 100 {
			l.Log(kgo.LogLevelWarn, "away", "broker", 1)
			l.Log(kgo.LogLevelInfo, "debugging")
		}
		time.Sleep(loglimit.Interval) // virtual time
		l.Log(kgo.LogLevelWarn, "away", "broker", 1)
		if n := strings.Count(log.String(), "away"); n != 2 {
			t.Errorf("%d lines", n)
		}
		if !strings.Contains(log.String(), "left_out=99") {
			t.Error("it does not say how many were left out")
		}
		if n := strings.Count(log.String(), "debugging"); n != 100 {
			t.Errorf("%d lines of debugging", n)
		}
	})
}

// Nothing is logged per record, and hardly anything at all, from Info on.
func TestLogsNothingPerRecord(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	var log logged
	client := c.client(t, func(cfg *Config) { cfg.Logger = log.logger(slog.LevelInfo) })
	cfg := c.groupConfig(t, "g", "t")
	cfg.Logger = log.logger(slog.LevelInfo)
	m := join(t, cfg)
	for range 100 {
		if err := client.produce(timeout(t), []*Record{record("t", "secret key", "secret value")}); err != nil {
			t.Fatal(err)
		}
	}
	m.wait(t, "all are read", func() bool { return len(m.values) == 100 })
	m.Close()
	if n := strings.Count(log.String(), "\n"); n > 3 || strings.Contains(log.String(), "secret") {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}
