package compare

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Report is what a run has found.
type Report struct {
	Title string
	// Facts are what all measurements have in common, the machine for instance,
	// a line each.
	Facts []string
	// Reading says how the tables are read, a line each.
	Reading []string
	// Results are in the order in which they are shown; those of a group
	// follow each other.
	Results []Result
	// LeftOut are the names of measurements that were asked for and not made.
	LeftOut []string
}

// summary is the name of the picture that belongs to no group.
const summary = "summary"

// Write writes the report as Markdown: the summary, and then each result.
// picture returns the name of the file with a group's picture, or with that of
// the group "summary"; "" if it has none.
func (r Report) Write(w io.Writer, picture func(group string) string) error {
	var b strings.Builder
	r.writeHead(&b)
	r.writeSummary(&b, picture(summary))
	group := ""
	for _, result := range r.Results {
		if g := result.Group(); g != group {
			group = g
			fmt.Fprintf(&b, "## %s\n\n", group)
			if file := picture(group); file != "" {
				fmt.Fprintf(&b, "![%s](%s)\n\n", group, file)
			}
		}
		result.write(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Report) writeHead(b *strings.Builder) {
	fmt.Fprintf(b, "# %s\n\n", r.Title)
	for _, fact := range r.Facts {
		fmt.Fprintf(b, "- %s\n", fact)
	}
	b.WriteString("\n")
}

// Write writes a result as Markdown.
func (r Result) Write(w io.Writer) error {
	var b strings.Builder
	r.write(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Result) write(b *strings.Builder) {
	fmt.Fprintf(b, "### %s\n\n%s.\n\n", r.Name, sentence(r.Title))
	r.table().write(b)
	b.WriteString("\n")
	if t := r.latencyTable(); len(t.rows) > 0 {
		t.write(b)
		b.WriteString("\n")
	}
	lines := r.remarks()
	for _, line := range lines {
		fmt.Fprintf(b, "- %s\n", line)
	}
	if len(lines) > 0 {
		b.WriteString("\n")
	}
}

// remarks are what stands below the numbers.
func (r Result) remarks() []string {
	var lines []string
	for _, j := range r.judge() {
		lines = append(lines, "Goal "+j.String())
	}
	lines = append(lines, r.Notes...)
	for _, s := range r.Standings {
		for _, err := range s.Errs {
			lines = append(lines, fmt.Sprintf("%s FAILED: %s", s.Name, strings.ReplaceAll(err.Error(), "\n", "; ")))
		}
		for round, sample := range s.Samples {
			for _, note := range sample.Notes {
				lines = append(lines, fmt.Sprintf("%s, round %d: %s", s.Name, round+1, note))
			}
		}
	}
	return lines
}

// table has a row per contender, with the ratio of its median rate to each
// peer's or, where the cost grows, to that of the smallest size.
func (r Result) table() table {
	var peers []Standing
	for _, s := range r.Standings {
		if s.Peer && r.Axis == "" {
			peers = append(peers, s)
		}
	}
	t := table{header: []string{"", r.Unit + "/s min", "median", "max"}}
	if r.Axis != "" {
		t.header = append(t.header, "÷ first")
	}
	for _, peer := range peers {
		t.header = append(t.header, "÷ "+peer.Name)
	}
	t.header = append(t.header, "allocs each", "bytes each", "CPU s/million", "memory MiB")
	for _, s := range r.Standings {
		rate := s.rate()
		row := []string{s.Name, thousands(rate.Min), thousands(rate.Median), thousands(rate.Max)}
		if r.Axis != "" {
			first := slices.IndexFunc(r.Standings, func(other Standing) bool { return other.Series == s.Series })
			row = append(row, ratio(rate.Median, r.Standings[first].rate().Median))
		}
		for _, peer := range peers {
			row = append(row, ratio(rate.Median, peer.rate().Median))
		}
		row = append(row,
			fmt.Sprintf("%.1f", over(s.Samples, Sample.AllocationsPerEvent).Median),
			thousands(over(s.Samples, Sample.BytesPerEvent).Median),
			fmt.Sprintf("%.1f", over(s.Samples, Sample.CPUPerMillion).Median),
			thousands(over(s.Samples, Sample.mebibytes).Median))
		t.rows = append(t.rows, row)
	}
	return t
}

// latencyTable has a row per contender and latency; none where there are no
// latencies.
func (r Result) latencyTable() table {
	t := table{header: []string{"", "p50 ms min", "median", "max", "p99 ms min", "median", "max"}}
	for _, what := range r.latencies() {
		for _, s := range r.Standings {
			row := []string{s.Name + ", " + what}
			for _, q := range []float64{0.5, 0.99} {
				spread := s.quantile(what, q)
				row = append(row, millis(spread.Min), millis(spread.Median), millis(spread.Max))
			}
			if s.quantile(what, 1).Max > 0 {
				t.rows = append(t.rows, row)
			}
		}
	}
	return t
}

// sentence begins with a capital letter.
func sentence(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
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
