package compare

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// script makes a measurement whose contenders record their turns.
type script struct{ turns []string }

func (s *script) contender(name string, run func(*Trial) error) Contender {
	return Contender{Name: name, Run: func(_ context.Context, t *Trial) error {
		s.turns = append(s.turns, name)
		return run(t)
	}}
}

func counted(t *Trial) error {
	t.Begin()
	t.End(10)
	return nil
}

func measurement(contenders ...Contender) Measurement {
	return Measurement{Name: "m", Title: "a test", Unit: "events", Open: func(context.Context, *Cleanup) ([]Contender, error) {
		return contenders, nil
	}}
}

func TestRunnerAlternates(t *testing.T) {
	var s script
	result, err := Runner{Rounds: 3}.Run(t.Context(), measurement(s.contender("a", counted), s.contender("b", counted)))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.turns, ""); got != "abbaab" {
		t.Errorf("turns %s", got)
	}
	for _, standing := range result.Standings {
		if len(standing.Samples) != 3 || standing.Samples[0].Events != 10 {
			t.Errorf("%s: %+v", standing.Name, standing.Samples)
		}
	}
}

func TestRunnerGoesOnAfterAFailure(t *testing.T) {
	var s script
	broken := errors.New("broken")
	result, err := Runner{Rounds: 2}.Run(t.Context(), measurement(
		s.contender("a", func(*Trial) error { return broken }),
		s.contender("b", counted),
		s.contender("c", func(*Trial) error { return nil })))
	if !errors.Is(err, broken) || !errors.Is(err, errNotEnded) {
		t.Errorf("error %v", err)
	}
	if got := strings.Join(s.turns, ""); got != "abcb" {
		t.Errorf("turns %s", got)
	}
	var text strings.Builder
	if err := result.Write(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "a FAILED: broken") {
		t.Errorf("report:\n%s", &text)
	}
}

func TestRunnerCleansUp(t *testing.T) {
	var order []string
	undo := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			order = append(order, name)
			return ctx.Err()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	m := Measurement{Name: "m", Open: func(_ context.Context, c *Cleanup) ([]Contender, error) {
		c.Defer(undo("topic"))
		return []Contender{{Name: "a", Run: func(_ context.Context, t *Trial) error {
			t.Defer(undo("group"))
			t.Defer(undo("client"))
			cancel()
			return counted(t)
		}}}, nil
	}}
	if _, err := (Runner{Rounds: 2}).Run(ctx, m); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if want := []string{"client", "group", "topic"}; !slices.Equal(order, want) {
		t.Errorf("undone %v, want %v", order, want)
	}
}

func TestWarmingDoesNotCount(t *testing.T) {
	var s script
	r := Runner{Rounds: 3, Profiles: t.TempDir(), Progress: func(Measurement, int, string, Sample, error) { t.Error("it is told of") }}
	if err := r.Warm(t.Context(), measurement(s.contender("a", counted), s.contender("b", counted))); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.turns, ""); got != "ab" {
		t.Errorf("turns %s", got)
	}
	if profiles, err := os.ReadDir(r.Profiles); err != nil || len(profiles) > 0 {
		t.Errorf("profiles %v, error %v", profiles, err)
	}
	broken := errors.New("broken")
	if err := r.Warm(t.Context(), measurement(s.contender("a", func(*Trial) error { return broken }))); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}
