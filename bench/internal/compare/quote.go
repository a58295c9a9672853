package compare

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// What a page has around the figures that are quoted from a report.
const (
	quoteBegin = "<!-- figures -->\n"
	quoteEnd   = "<!-- end of figures -->\n"
)

var errNoMarks = errors.New("the page has no lines " + strings.TrimSpace(quoteBegin) + " and " + strings.TrimSpace(quoteEnd))

// Quote replaces the figures of a page, between its two marks, with those of the
// report in folder: what was compared with a peer, and every goal that was
// missed.
func (r Report) Quote(page, folder string) error {
	content, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(content), quoteBegin)
	_, after, ends := strings.Cut(rest, quoteEnd)
	if !begins || !ends {
		return fmt.Errorf("%s: %w", page, errNoMarks)
	}
	relative, err := filepath.Rel(filepath.Dir(page), folder)
	if err != nil {
		return err
	}
	quoted := before + quoteBegin + r.quote(filepath.ToSlash(relative)) + quoteEnd + after
	return os.WriteFile(page, []byte(quoted), 0o644)
}

// quote is what stands between the marks, with links to the report in folder.
func (r Report) quote(folder string) string {
	report := path.Join(folder, "README.md")
	t := table{header: []string{"work", "ours", "best peer or bare limit", "its", "ratio"}, text: []int{2}}
	var missed []string
	for _, result := range r.Results {
		link := fmt.Sprintf("[%s](%s#%s)", result.Name, report, result.anchor())
		for _, j := range result.judge() {
			if j.known && !j.met {
				missed = append(missed, fmt.Sprintf("%s (%s: %s)", link, j.Text, j.value))
			}
		}
		whats := result.latencies()
		if best := result.bestRate(); result.Axis == "" && len(whats) == 0 && best.Name != "" {
			ours, theirs := result.ours().rate().Median, best.rate().Median
			t.rows = append(t.rows, []string{link, thousands(ours) + "/s", best.Name, thousands(theirs) + "/s", ratio(ours, theirs)})
		}
		for _, what := range whats {
			if best := result.bestLatency(what); result.Axis == "" && best.Name != "" {
				t.rows = append(t.rows, []string{link + ": " + what + ", p50 / p99", result.ours().quantiles(what) + " ms", best.Name, best.quantiles(what) + " ms",
					ratio(result.ours().quantile(what, 0.5).Median, best.quantile(what, 0.5).Median)})
			}
		}
	}
	var b strings.Builder
	b.WriteString("\n")
	t.write(&b)
	b.WriteString("\nMedians of one run; of times, less is better. ")
	if len(missed) == 0 {
		b.WriteString("It reached all of its goals.\n\n")
	} else {
		fmt.Fprintf(&b, "It missed these of its goals: %s.\n\n", strings.Join(missed, "; "))
	}
	return b.String()
}
