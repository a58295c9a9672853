package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed46dd6f11/events/eventembed"
)

// binary is the command, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "events-command")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "events")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// shell runs the command with an environment of its own.
type shell struct {
	t   *testing.T
	env []string
}

func (s *shell) command(args ...string) *exec.Cmd {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	s.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.t.TempDir(), "USER=ann"}, s.env...)
	return cmd
}

// run returns what the command says, and wants an exit code.
func (s *shell) run(code int, args ...string) (stdout, stderr string) {
	s.t.Helper()
	cmd := s.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		s.t.Fatalf("events %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// objects are the lines of what the command says with -json.
func (s *shell) objects(code int, args ...string) (objects []map[string]any) {
	s.t.Helper()
	out, _ := s.run(code, append(args, "-json")...)
	for line := range strings.Lines(out) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			s.t.Fatalf("%v: %s", err, line)
		}
		objects = append(objects, object)
	}
	return objects
}

func (s *shell) says(text string, words ...string) {
	s.t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			s.t.Errorf("it does not say %q:\n%s", word, text)
		}
	}
}

// onClusters runs the test on the embedded broker and on real Kafka.
func onClusters(t *testing.T, test func(t *testing.T, brokers string)) {
	t.Run("embedded", func(t *testing.T) {
		b, err := eventembed.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		test(t, strings.Join(b.Addrs(), ","))
	})
	t.Run("kafka", func(t *testing.T) {
		brokers := os.Getenv("EVENTS_KAFKA_BROKERS")
		if brokers == "" {
			if strings.Contains(os.Getenv("EVENTS_REQUIRE"), "kafka") {
				t.Fatal("EVENTS_KAFKA_BROKERS is not set, and EVENTS_REQUIRE wants Kafka")
			}
			t.Skip("no real Kafka: EVENTS_KAFKA_BROKERS is not set; scripts/services up starts one")
		}
		test(t, brokers)
	})
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
