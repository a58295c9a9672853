package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// texts returns what a picture says, and fails if it is not XML.
func texts(t *testing.T, svg string) []string {
	t.Helper()
	var found []string
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		if chars, ok := token.(xml.CharData); ok && strings.TrimSpace(string(chars)) != "" {
			found = append(found, string(chars))
		}
	}
}

func contains(t *testing.T, svg string, want ...string) {
	t.Helper()
	all := texts(t, svg)
	for _, w := range want {
		found := false
		for _, text := range all {
			found = found || strings.Contains(text, w)
		}
		if !found {
			t.Errorf("%q is not in %q", w, all)
		}
	}
}

var widths = regexp.MustCompile(`<rect x="150.0" y="[^"]*" width="([0-9.]+)"`)

func TestBarsAreAsLongAsTheirValues(t *testing.T) {
	svg := SVG([]Panel{Bars{Title: "produce <1>", Unit: "events/s", Bars: []Bar{
		{Label: "ours", Range: Range{900, 1000, 1100}, Ours: true},
		{Label: "theirs", Range: Range{500, 500, 500}},
	}}})
	contains(t, svg, "produce <1>", "ours", "theirs", "1k", "500", "1.5k events/s")
	found := widths.FindAllStringSubmatch(svg, -1)
	if len(found) != 2 {
		t.Fatalf("%d bars in\n%s", len(found), svg)
	}
	long, _ := strconv.ParseFloat(found[0][1], 64)
	short, _ := strconv.ParseFloat(found[1][1], 64)
	if long == 0 || long/short < 1.99 || long/short > 2.01 {
		t.Errorf("bars of 1000 and 500 are %v and %v long", long, short)
	}
	if strings.Count(svg, colours[0]) != 1 {
		t.Errorf("our colour is there %d times", strings.Count(svg, colours[0]))
	}
}

func TestBarsWithTails(t *testing.T) {
	contains(t, SVG([]Panel{Bars{Title: "latency", Unit: "ms", Bars: []Bar{{Label: "ours", Range: Range{1, 2, 3}, Tail: 7}}}}), "2 / 7", "7.5 ms")
}

func TestRatiosStandOnTheirSideOfOne(t *testing.T) {
	svg := SVG([]Panel{Ratios{Title: "ratios", Ratios: []Ratio{{"wins", 40, "peer"}, {"loses", 0.6, "bare"}}}})
	contains(t, svg, "40 × peer", "0.6 × bare", "64×", "1×")
	if !strings.Contains(svg, colours[0]) || !strings.Contains(svg, colours[2]) {
		t.Error("a win and a loss have the same colour")
	}
}

func TestLines(t *testing.T) {
	svg := SVG([]Panel{Lines{Title: "growth", Unit: "events/s", Axis: "topics", Sizes: []float64{1, 10, 5_000_000}, Series: []Series{
		{Label: "ours", Values: []Range{{1, 2, 3}, {2, 3, 4}, {3, 4, 5}}},
		{Label: "theirs", Values: []Range{{1, 1, 1}, {1, 1, 1}, {1, 1, 1}}},
	}}})
	contains(t, svg, "growth", "5M topics", "ours", "theirs", "events/s")
	if got := strings.Count(svg, "<circle"); got != 6 {
		t.Errorf("%d points, want 6", got)
	}
}

func TestPanelsOfNothing(t *testing.T) {
	texts(t, SVG([]Panel{Bars{}, Ratios{}, Lines{}}))
	if svg := SVG([]Panel{Bars{Bars: []Bar{{}}}, Lines{Sizes: []float64{1}, Series: []Series{{Values: []Range{{}}}}}}); strings.Contains(svg, "NaN") {
		t.Errorf("NaN in\n%s", svg)
	}
}

func TestCeiling(t *testing.T) {
	for _, c := range []struct{ v, want float64 }{{0, 1}, {-3, 1}, {0.3, 0.3}, {1, 1}, {1.01, 1.5}, {99, 100}, {143_000, 150_000}, {5.1, 7.5}} {
		if got := ceiling(c.v); got/c.want < 0.999 || got/c.want > 1.001 {
			t.Errorf("ceiling(%v) = %v, want %v", c.v, got, c.want)
		}
	}
}

func TestShort(t *testing.T) {
	for _, c := range []struct {
		v    float64
		want string
	}{{0, "0"}, {0.25, "0.25"}, {999, "999"}, {45_834, "45.8k"}, {1_060_000, "1.06M"}} {
		if got := short(c.v); got != c.want {
			t.Errorf("short(%v) = %s, want %s", c.v, got, c.want)
		}
	}
}
