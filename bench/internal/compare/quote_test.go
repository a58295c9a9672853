package compare

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestQuote(t *testing.T) {
	page := filepath.Join(t.TempDir(), "README.md")
	write := func(content string) {
		if err := os.WriteFile(page, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("before\n" + quoteBegin + "old\n" + quoteEnd + "after\n")
	folder := filepath.Join(filepath.Dir(page), "docs", "speed")
	for range 2 { // the second time replaces the first
		if err := report().Quote(page, folder); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	got := string(content)
	for _, want := range []string{
		"before\n<!-- figures -->\n",
		"1,234,567/s | theirs ", "1,000,000/s |  1.23 |",
		"to Kafka, p50 / p99 | 2.00 / 5.00 ms | quick ", "8.00 / 9.00 ms |  0.25 |",
		"[produce/1](docs/speed/README.md#produce1) (≥ 1.3 of theirs: 1.23)", "(rate within 20 % of the first: -30 %)",
		"<!-- end of figures -->\nafter\n",
	} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q is %d times in\n%s", want, strings.Count(got, want), got)
		}
	}
	if strings.Contains(got, "old") || strings.Contains(got, "allocations") {
		t.Errorf("old figures, or a goal that was reached, in\n%s", got)
	}

	write("no marks\n")
	if err := report().Quote(page, folder); !errors.Is(err, errNoMarks) {
		t.Errorf("error %v", err)
	}
}
