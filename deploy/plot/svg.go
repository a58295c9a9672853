package main

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/seed46dd6f11/events/internal/dashboard"
)

// The page: 24 columns as Grafana's.
const (
	column    = 50.0
	row       = 27.0
	margin    = 10.0
	header    = 40.0
	mostLines = 6 // in a legend
)

var colours = []string{"#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b"}

type drawing struct {
	title    string
	from, to time.Time
	charts   []chart
}

type chart struct {
	panel dashboard.Panel
	lines []line
}

type line struct {
	label  string
	points []dashboard.Sample
}

// most is the largest value that can be drawn.
func (l *line) most() (most float64) {
	for _, p := range l.points {
		if drawable(p.Value) {
			most = max(most, p.Value)
		}
	}
	return most
}

func drawable(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func (d *drawing) svg() string {
	height := 0
	for _, c := range d.charts {
		height = max(height, c.panel.GridPos.Y+c.panel.GridPos.H)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="11">`+"\n",
		24*column+2*margin, float64(height)*row+header+margin)
	b.WriteString(`<rect width="100%" height="100%" fill="#ffffff"/>` + "\n")
	fmt.Fprintf(&b, `<text x="%g" y="26" font-size="18">%s</text>`+"\n", margin, html.EscapeString(d.title))
	for i := range d.charts {
		d.chart(&b, &d.charts[i])
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// chart draws one panel.
func (d *drawing) chart(b *strings.Builder, c *chart) {
	place := c.panel.GridPos
	x, y := margin+float64(place.X)*column, header+float64(place.Y)*row
	title := html.EscapeString(c.panel.Title)
	if c.panel.IsRow() {
		fmt.Fprintf(b, `<text x="%g" y="%g" font-size="15" font-weight="bold">%s</text>`+"\n", x, y+19, title)
		return
	}
	w, h := float64(place.W)*column-8, float64(place.H)*row-8
	fmt.Fprintf(b, `<g transform="translate(%g %g)"><rect width="%g" height="%g" fill="none" stroke="#cccccc"/>`, x, y, w, h)
	fmt.Fprintf(b, `<text x="6" y="16" font-weight="bold">%s</text>`, title)
	left, right, top, bottom := 48.0, w-10, 26.0, h-50
	most := 0.0
	for i := range c.lines {
		most = max(most, c.lines[i].most())
	}
	ceiling := roundUp(most)
	seconds := d.to.Sub(d.from).Seconds()
	at := func(p dashboard.Sample) (float64, float64) {
		return left + (right-left)*(p.At-float64(d.from.Unix()))/seconds, bottom - (bottom-top)*p.Value/ceiling
	}
	for _, part := range []float64{0, 0.5, 1} {
		level := bottom - (bottom-top)*part
		fmt.Fprintf(b, `<path d="M%.1f %.1fH%.1f" stroke="#eeeeee"/><text x="%.1f" y="%.1f" text-anchor="end" fill="#666666">%s</text>`,
			left, level, right, left-4, level+4, number(ceiling*part, c.panel.FieldConfig.Defaults.Unit))
	}
	for i, l := range c.lines {
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.3"/>`, path(l.points, at), colours[i%len(colours)])
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" fill="#666666">0</text><text x="%.1f" y="%.1f" text-anchor="end" fill="#666666">%s</text>`,
		left, bottom+13, right, bottom+13, d.to.Sub(d.from).Round(time.Second))
	legendOf(b, c, left-40, bottom+26, right)
	b.WriteString("</g>\n")
}

// legendOf names the lines, the largest first, as many as there is room for.
func legendOf(b *strings.Builder, c *chart, x, y, right float64) {
	begin, rest := x, 0
	for i, l := range c.lines {
		width := 20 + 5.6*float64(len(l.label))
		if x+width > right && x > begin {
			x, y = begin, y+13
		}
		if i >= mostLines || y > float64(c.panel.GridPos.H)*row-12 {
			rest = len(c.lines) - i
			break
		}
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="9" height="3" fill="%s"/><text x="%.1f" y="%.1f" font-size="10">%s</text>`,
			x, y-4, colours[i%len(colours)], x+12, y, html.EscapeString(l.label))
		x += width
	}
	if rest > 0 {
		fmt.Fprintf(b, `<text x="%.1f" y="16" text-anchor="end" font-size="10" fill="#666666">%d more lines</text>`, right, rest)
	}
}

// path draws what there is; where nothing is, the line is interrupted.
func path(points []dashboard.Sample, at func(dashboard.Sample) (float64, float64)) string {
	var b strings.Builder
	pen, last := "M", 0.0
	for _, p := range points {
		if !drawable(p.Value) {
			pen = "M"
			continue
		}
		if p.At-last > 10 {
			pen = "M"
		}
		x, y := at(p)
		fmt.Fprintf(&b, "%s%.1f %.1f", pen, x, y)
		pen, last = "L", p.At
	}
	return b.String()
}

// roundUp returns the next of 1, 2, 5, 10, 20 and so on.
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, factor := range []float64{1, 2, 5} {
		if v <= factor*power {
			return factor * power
		}
	}
	return 10 * power
}

func number(v float64, unit string) string {
	if unit == "s" && v > 0 && v < 1 {
		return strconv.FormatFloat(1000*v, 'g', 3, 64) + " ms"
	}
	text := strconv.FormatFloat(v, 'g', 6, 64)
	switch unit {
	case "s":
		return text + " s"
	case "ops":
		return text + "/s"
	}
	return text
}
