package plot

import (
	"fmt"
	"html"
	"strings"
)

// Panel is one drawing of a page.
type Panel interface {
	// height is what the panel needs, its title included.
	height() float64
	// draw draws it into width, from the upper left corner.
	draw(c *canvas, width float64)
}

// The page, in units of the view box.
const (
	pageWidth   = 980.0
	columns     = 2
	gap         = 12.0
	titleHeight = 26.0
)

// Colours: the first is ours.
var colours = []string{"#1f5fa8", "#8c8c8c", "#c98a1b", "#4f9d69"}

const (
	grid = "#e4e4e4"
	dim  = "#666666"
)

// SVG returns a page with the panels, two beside each other.
func SVG(panels []Panel) string {
	var body canvas
	width := (pageWidth - (columns+1)*gap) / columns
	y := gap
	for first := 0; first < len(panels); first += columns {
		row := panels[first:min(first+columns, len(panels))]
		tallest := 0.0
		for _, p := range row {
			tallest = max(tallest, p.height())
		}
		for i, p := range row {
			body.printf(`<g transform="translate(%.4g %.4g)">`, gap+float64(i)*(width+gap), y)
			body.printf(`<rect width="%.4g" height="%.4g" fill="#ffffff" stroke="#cccccc"/>`, width, tallest)
			p.draw(&body, width)
			body.printf("</g>\n")
		}
		y += tallest + gap
	}
	var page canvas
	page.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %.5g" font-family="sans-serif" font-size="11">`+"\n", pageWidth, y)
	page.printf(`<rect width="100%%" height="100%%" fill="#ffffff"/>` + "\n")
	return page.String() + body.String() + "</svg>\n"
}

// canvas collects shapes.
type canvas struct{ strings.Builder }

func (c *canvas) printf(format string, args ...any) { fmt.Fprintf(c, format, args...) }

// title writes what a panel is of.
func (c *canvas) title(text string) {
	c.printf(`<text x="8" y="17" font-weight="bold">%s</text>`, html.EscapeString(text))
}

// text writes at a point; anchor is start, middle or end.
func (c *canvas) text(x, y float64, anchor, colour, text string) {
	c.printf(`<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`, x, y, anchor, colour, html.EscapeString(text))
}

func (c *canvas) line(x1, y1, x2, y2 float64, colour string) {
	c.printf(`<path d="M%.1f %.1fL%.1f %.1f" stroke="%s" fill="none"/>`, x1, y1, x2, y2, colour)
}

func (c *canvas) rect(x, y, width, height float64, colour string) {
	c.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, x, y, max(width, 0), height, colour)
}
