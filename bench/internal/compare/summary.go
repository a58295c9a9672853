package compare

import (
	"fmt"
	"strings"
)

// writeSummary writes a table of all that is compared, one of latencies, and
// one of how the cost grows: what a reader looks at first.
func (r Report) writeSummary(b *strings.Builder, picture string) {
	rates := table{header: []string{"work", "ours, median/s", "best peer", "its median/s", "ratio", "goals"}, text: []int{2, 5}}
	latencies := table{header: []string{"latency", "ours, p50 / p99 ms", "best peer", "its p50 / p99 ms", "ratio of p50", "goals"}, text: []int{2, 5}}
	growth := table{header: []string{"growth", "ours, median/s", "÷ first", "memory MiB", "goals"}, text: []int{4}}
	var failed []string // before the first contender had its turn
	for _, result := range r.Results {
		switch {
		case len(result.Standings) == 0:
			failed = append(failed, result.Name)
		case result.Axis != "":
			growth.rows = append(growth.rows, result.growthSummary())
		case len(result.latencies()) > 0:
			latencies.rows = append(latencies.rows, result.latencySummary()...)
		default:
			rates.rows = append(rates.rows, result.rateSummary())
		}
	}
	for _, t := range []table{rates, latencies, growth} {
		if len(t.rows) > 0 {
			t.write(b)
			b.WriteString("\n")
		}
	}
	if missing := append(failed, r.LeftOut...); len(missing) > 0 {
		fmt.Fprintf(b, "Not measured in this run: %s.\n\n", strings.Join(missing, ", "))
	}
	if picture != "" {
		fmt.Fprintf(b, "![%s](%s)\n\n", summary, picture)
	}
	for _, line := range r.Reading {
		fmt.Fprintf(b, "- %s\n", line)
	}
	if len(r.Reading) > 0 {
		b.WriteString("\n")
	}
}

// anchor is what Markdown's renderers make of the result's heading.
func (r Result) anchor() string { return strings.ReplaceAll(r.Name, "/", "") }

// link leads to the result's heading.
func (r Result) link() string { return fmt.Sprintf("[%s](#%s)", r.Name, r.anchor()) }

// goals is what became of them, in a cell.
func (r Result) goals() string {
	var parts []string
	for _, j := range r.judge() {
		parts = append(parts, j.String())
	}
	return strings.Join(parts, "; ")
}

// bestRate is the peer with the largest median rate, the zero Standing if there
// is none.
func (r Result) bestRate() (best Standing) {
	for _, s := range r.Standings {
		if rate := s.rate().Median; s.Peer && rate > best.rate().Median {
			best = s
		}
	}
	return best
}

// bestLatency is the peer with the smallest median p50, the zero Standing if
// there is none.
func (r Result) bestLatency(what string) (best Standing) {
	for _, s := range r.Standings {
		if p50 := s.quantile(what, 0.5).Median; s.Peer && p50 > 0 && (best.Name == "" || p50 < best.quantile(what, 0.5).Median) {
			best = s
		}
	}
	return best
}

// orDash is what stands in a cell for nothing.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (r Result) rateSummary() []string {
	ours, best := r.ours().rate().Median, r.bestRate()
	return []string{r.link(), thousands(ours), orDash(best.Name), thousands(best.rate().Median), ratio(ours, best.rate().Median), r.goals()}
}

func (r Result) latencySummary() [][]string {
	var rows [][]string
	for i, what := range r.latencies() {
		ours, best := r.ours(), r.bestLatency(what)
		goals := ""
		if i == 0 {
			goals = r.goals()
		}
		rows = append(rows, []string{r.link() + ", " + what, ours.quantiles(what), orDash(best.Name), best.quantiles(what),
			ratio(ours.quantile(what, 0.5).Median, best.quantile(what, 0.5).Median), goals})
	}
	return rows
}

// quantiles are p50 and p99, in a cell.
func (s Standing) quantiles(what string) string {
	if len(s.Samples) == 0 {
		return "-"
	}
	return millis(s.quantile(what, 0.5).Median) + " / " + millis(s.quantile(what, 0.99).Median)
}

func (r Result) growthSummary() []string {
	var rates, ratios, memory []string
	first := 0.0
	for _, s := range r.Standings {
		if s.Peer {
			continue
		}
		rate := s.rate().Median
		if first == 0 {
			first = rate
		}
		rates = append(rates, thousands(rate))
		ratios = append(ratios, ratio(rate, first))
		memory = append(memory, thousands(over(s.Samples, Sample.mebibytes).Median))
	}
	join := func(parts []string) string { return strings.Join(parts, " / ") }
	return []string{r.link() + ": " + r.sizes(), join(rates), join(ratios), join(memory), r.goals()}
}

// sizes are those of our series: "1 / 10 / 100 topics".
func (r Result) sizes() string {
	var sizes []string
	for _, s := range r.Standings {
		if !s.Peer {
			sizes = append(sizes, thousands(s.Size))
		}
	}
	return strings.Join(sizes, " / ") + " " + r.Axis
}
