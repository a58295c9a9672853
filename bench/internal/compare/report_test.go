package compare

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sampleOf is a sample of one second.
func sampleOf(events int, latencies ...time.Duration) Sample {
	s := Sample{Events: events, Elapsed: time.Second, CPU: time.Second, Allocations: 2 * uint64(events), Memory: 30 << 20}
	if len(latencies) > 0 {
		s.Latencies = []Latencies{{What: "to Kafka", Of: latencies}}
	}
	return s
}

func standingOf(name string, peer bool, samples ...Sample) Standing {
	return Standing{Contender: Contender{Name: name, Peer: peer}, Samples: samples}
}

// report is one of each kind of result.
func report() Report {
	grown := func(size float64, rate int) Standing {
		s := standingOf("ours, topics: "+thousands(size), false, sampleOf(rate))
		s.Series, s.Size = "ours", size
		return s
	}
	return Report{
		Title: "Speed", Facts: []string{"2 CPUs"}, Reading: []string{"what counts is the ratio"}, LeftOut: []string{"relay/500", "once"},
		Results: []Result{{
			Measurement: Measurement{Name: "produce/1", Title: "a test", Unit: "events", Notes: []string{"a remark"},
				Goals: []Goal{RatioAtLeast("theirs", 1.3), AllocationsAtMost(2)}},
			Standings: []Standing{
				standingOf("ours", false, sampleOf(1_234_567)),
				standingOf("theirs", true, sampleOf(1_000_000), sampleOf(500_000), sampleOf(2_000_000)),
				{Contender: Contender{Name: "broken", Peer: true}, Errs: []error{errors.New("no\nserver")}},
			},
		}, {
			Measurement: Measurement{Name: "latency/200", Title: "another", Unit: "events", Goals: []Goal{LatencyAtMost("to Kafka", 0.5, time.Second)}},
			Standings: []Standing{
				standingOf("ours", false, sampleOf(200, 2*time.Millisecond, 5*time.Millisecond)),
				standingOf("slow", true, sampleOf(200, 90*time.Millisecond, 95*time.Millisecond)),
				standingOf("quick", true, sampleOf(200, 8*time.Millisecond, 9*time.Millisecond)),
			},
		}, {
			Measurement: Measurement{Name: "growth/topics", Title: "a third", Unit: "rows", Axis: "topics", Goals: []Goal{SteadyWithin(0.2)}},
			Standings:   []Standing{grown(1, 1000), grown(10, 700)},
		}},
	}
}

func TestReport(t *testing.T) {
	var text strings.Builder
	if err := report().Write(&text, func(group string) string { return group + ".svg" }); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# Speed\n\n- 2 CPUs\n",
		"[produce/1](#produce1)", "1,234,567 | theirs ", "1,000,000 |  1.23 | ≥ 1.3 of theirs: 1.23, **missed**; ≤ 2 allocations: 2.0, met",
		"[latency/200](#latency200), to Kafka", "2.00 / 5.00 | quick ", "8.00 / 9.00 |         0.25 | to Kafka p50 ≤ 1s: 2.00 ms, met",
		"[growth/topics](#growthtopics): 1 / 10 topics", "1,000 / 700 | 1.00 / 0.70 |    30 / 30 | rate within 20 % of the first: -30 %, **missed**",
		"Not measured in this run: relay/500, once.", "![summary](summary.svg)", "- what counts is the ratio\n",
		"## produce\n\n![produce](produce.svg)\n\n### produce/1\n\nA test.\n", "÷ theirs", "500,000 | 1,000,000 | 2,000,000",
		"- Goal ≥ 1.3 of theirs: 1.23, **missed**\n", "- a remark\n", "- broken FAILED: no; server\n",
		"| ours, to Kafka ",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in the report:\n%s", want, &text)
		}
	}
	if strings.Index(text.String(), "**missed**") > strings.Index(text.String(), "## produce") {
		t.Error("the summary does not come first")
	}
}

func TestReportWithoutNumbers(t *testing.T) {
	r := report()
	for i := range r.Results {
		r.Results[i].Standings = nil
	}
	var text strings.Builder
	if err := r.Write(&text, func(string) string { return "" }); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "Not measured in this run: produce/1, latency/200, growth/topics, relay/500, once.") || strings.Contains(text.String(), "NaN") || strings.Contains(text.String(), ".svg") {
		t.Errorf("report:\n%s", &text)
	}
}

func TestFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "docs", "speed")
	if err := report().WriteFolder(folder); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	page := read("README.md")
	for file, want := range map[string]string{
		"summary.svg": "1.23 × theirs",
		"produce.svg": "1.23M",
		"latency.svg": "2 / 5",
		"growth.svg":  "10 topics",
	} {
		if !strings.Contains(page, "("+file+")") {
			t.Errorf("the page does not show %s", file)
		}
		if !strings.Contains(read(file), want) {
			t.Errorf("%s does not say %q", file, want)
		}
	}
}
