package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/internal/dashboard"
)

// The drawing is XML with each panel's title, whatever the data are.
func TestSVG(t *testing.T) {
	began := time.Unix(1000, 0)
	chartOf := func(title string, points ...dashboard.Sample) chart {
		c := chart{lines: []line{{label: `a "b" <c>`, points: points}, {label: strings.Repeat("long ", 20)}}}
		c.panel.Title, c.panel.GridPos = title, dashboard.Rectangle{Y: 1, W: 6, H: 8}
		return c
	}
	d := drawing{title: "A & B", from: began, to: began.Add(time.Minute), charts: []chart{
		chartOf("nothing"),
		chartOf("numbers", dashboard.Sample{At: 1000, Value: 0}, dashboard.Sample{At: 1002, Value: 40}),
		chartOf("no numbers", dashboard.Sample{At: 1000, Value: math.NaN()}, dashboard.Sample{At: 1002, Value: math.Inf(1)}),
		chartOf("a hole", dashboard.Sample{At: 1000, Value: 5}, dashboard.Sample{At: 1002, Value: math.NaN()}, dashboard.Sample{At: 1004, Value: 5}, dashboard.Sample{At: 1050, Value: 2}),
	}}
	text := d.svg()
	decoder := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"A &amp; B", ">nothing<", ">numbers<", ">no numbers<", ">a hole<", "&lt;c&gt;",
		`d="M48.0 158.0L55.8 52.4"`, // 0 of 50, and 2 s later 40 of 50
		`d=""`,                      // nothing to draw
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("what is no number is drawn")
	}
	if n := strings.Count(text[strings.Index(text, "a hole"):], "M"); n < 3 {
		t.Errorf("a line with two holes begins %d times", n)
	}
}

func TestRoundUp(t *testing.T) {
	for v, want := range map[float64]float64{0: 1, -3: 1, 0.0007: 0.001, 1: 1, 1.1: 2, 3: 5, 50: 50, 51: 100, 1500: 2000} {
		if got := roundUp(v); math.Abs(got-want) > want/1e9 {
			t.Errorf("%v is rounded up to %v, want %v", v, got, want)
		}
	}
}

func TestLegend(t *testing.T) {
	for _, test := range []struct {
		format string
		labels map[string]string
		want   string
	}{
		{"{{consumer_group}} {{topic}}", map[string]string{"consumer_group": "g", "topic": "t"}, "g t"},
		{"{{consumer_group}}", map[string]string{}, "broadcasts"},
		{"waiting {{scope}}", map[string]string{"scope": "demo-123."}, "waiting"},
		{"{{instance}} {{scope}}", map[string]string{"instance": "127.0.0.1:1", "scope": "s."}, "this process"},
		{"99 %", nil, "99 %"},
	} {
		if got := legend(test.format, test.labels); got != test.want {
			t.Errorf("%s with %v: %q, want %q", test.format, test.labels, got, test.want)
		}
	}
}
