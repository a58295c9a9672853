package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every example ends well, and the README knows it.
func TestExamples(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if len(names) < 9 {
		t.Fatalf("only these examples were found: %v", names)
	}
	if out, err := exec.Command("go", "build", "-o", bin, "./...").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range names {
		if !strings.Contains(string(readme), "| ["+name+"]("+name+") |") {
			t.Errorf("README.md has no line for %s", name)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var arguments []string
			if name == "pgxnative" {
				arguments = []string{"-postgres", postgres(t)}
			}
			out, err := exec.CommandContext(t.Context(), filepath.Join(bin, name), arguments...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if len(out) == 0 {
				t.Error("it says nothing")
			}
		})
	}
}

func postgres(t *testing.T) string {
	dsn := os.Getenv("EVENTS_POSTGRES_DSN")
	if dsn == "" {
		const message = "EVENTS_POSTGRES_DSN is not set (scripts/services up)"
		if slices.Contains(strings.Split(os.Getenv("EVENTS_REQUIRE"), ","), "postgres") {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	return dsn
}
