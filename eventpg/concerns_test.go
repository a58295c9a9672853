package eventpg

import (
	"strings"
	"testing"
)

// The relay's connections have the settings of the pool's.
func TestConcerns(t *testing.T) {
	f := newFixture(t)
	if concerns, err := f.store(t).Concerns(testContext(t)); err != nil || len(concerns) > 1 || len(concerns) == 1 && !strings.Contains(concerns[0], "fsync") {
		t.Errorf("the server of the tests: %q, %v", concerns, err) // whose fsync can be switched off for speed
	}
	lazy := Wrap(rawPool(t, withParams(f.DSN, "synchronous_commit=off")))
	s, err := lazy.OpenOutbox(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	concerns, err := s.Concerns(testContext(t))
	if err != nil || !strings.Contains(strings.Join(concerns, "\n"), "synchronous_commit") {
		t.Errorf("concerns: %q, %v", concerns, err)
	}
}
