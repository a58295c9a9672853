package eventembed

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

func TestClusterLogsAtTheLevelsOfSlog(t *testing.T) {
	var out bytes.Buffer
	l := clusterLogger{slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo}))}
	for _, level := range []kfake.LogLevel{kfake.LogLevelError, kfake.LogLevelWarn, kfake.LogLevelInfo, kfake.LogLevelDebug} {
		l.Logf(level, "%s %d", level, 7)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), " ")
		got = append(got, line)
	}
	want := []string{`level=ERROR msg="ERR 7"`, `level=WARN msg="WRN 7"`, `level=INFO msg="INF 7"`}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}
