package compare

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// WriteHead writes what all measurements have in common, facts a line each.
func WriteHead(w io.Writer, title string, facts []string) error {
	if _, err := fmt.Fprintf(w, "# %s\n\n", title); err != nil {
		return err
	}
	for _, fact := range facts {
		if _, err := fmt.Fprintf(w, "- %s\n", fact); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

// Write writes a result as Markdown.
func (r Result) Write(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "## %s: %s\n\n", r.Name, r.Title); err != nil {
		return err
	}
	if err := r.table().write(w); err != nil {
		return err
	}
	notes := slices.Clone(r.Notes)
	for _, s := range r.Standings {
		for _, err := range s.Errs {
			notes = append(notes, fmt.Sprintf("%s FAILED: %s", s.Name, strings.ReplaceAll(err.Error(), "\n", "; ")))
		}
		for round, sample := range s.Samples {
			for _, note := range sample.Notes {
				notes = append(notes, fmt.Sprintf("%s, round %d: %s", s.Name, round+1, note))
			}
		}
	}
	for i, note := range notes {
		if i == 0 {
			note = "\n- " + note
		} else {
			note = "- " + note
		}
		if _, err := fmt.Fprintln(w, note); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

// table has a row per contender, and a column per peer with the ratio of the
// medians.
func (r Result) table() table {
	var peers []Standing
	latencies := false
	for _, s := range r.Standings {
		if s.Peer {
			peers = append(peers, s)
		}
		for _, sample := range s.Samples {
			latencies = latencies || len(sample.Latencies) > 0
		}
	}
	t := table{header: []string{"", r.Unit + "/s min", "median", "max"}}
	for _, peer := range peers {
		t.header = append(t.header, "÷ "+peer.Name)
	}
	if latencies {
		t.header = append(t.header, "p50 ms min", "median", "max", "p99 ms min", "median", "max")
	}
	t.header = append(t.header, "allocs each", "bytes each", "CPU s/million")
	for _, s := range r.Standings {
		rate := over(s.Samples, Sample.Rate)
		row := []string{s.Name, thousands(rate.Min), thousands(rate.Median), thousands(rate.Max)}
		for _, peer := range peers {
			row = append(row, ratio(rate.Median, over(peer.Samples, Sample.Rate).Median))
		}
		if latencies {
			for _, q := range []float64{0.5, 0.99} {
				spread := over(s.Samples, func(s Sample) float64 { return s.Quantile(q).Seconds() * 1000 })
				row = append(row, millis(spread.Min), millis(spread.Median), millis(spread.Max))
			}
		}
		row = append(row,
			fmt.Sprintf("%.1f", over(s.Samples, Sample.AllocationsPerEvent).Median),
			thousands(over(s.Samples, Sample.BytesPerEvent).Median),
			fmt.Sprintf("%.1f", over(s.Samples, Sample.CPUPerMillion).Median))
		t.rows = append(t.rows, row)
	}
	return t
}

// ratio is what a is of b, "-" if there is no b.
func ratio(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}

func millis(ms float64) string { return fmt.Sprintf("%.2f", ms) }

// thousands writes a number that is not negative without decimals: 45,834.
func thousands(v float64) string {
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
