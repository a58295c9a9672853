package migration

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestSteps(t *testing.T) {
	steps, err := Steps(fstest.MapFS{
		"010_c.sql": {Data: []byte("c")}, "2_b.sql": {Data: []byte("b")}, "001_a.sql": {Data: []byte("a")}, "README.md": {},
	})
	want := []Step{{1, "001_a.sql", "a"}, {2, "2_b.sql", "b"}, {10, "010_c.sql", "c"}}
	if err != nil || !slices.Equal(steps, want) {
		t.Fatalf("%v, %v", steps, err)
	}
	for version, left := range map[int]int{0: 3, 1: 2, 2: 1, 3: 1, 10: 0, 11: 0} {
		if after := After(version, steps); !slices.Equal(after, want[3-left:]) {
			t.Errorf("after %d: %v", version, after)
		}
	}
}

func TestStepsThatAreWrong(t *testing.T) {
	for name, schema := range map[string]fstest.MapFS{
		"no .sql files": {"001_a.txt": {}},
		"first.sql":     {"001_a.sql": {}, "first.sql": {}},
	} {
		if _, err := Steps(schema); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
