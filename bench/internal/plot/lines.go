package plot

import (
	"fmt"
	"strings"
)

// Lines show how values change along an axis of a few sizes, which stand at
// equal distances whatever lies between them.
type Lines struct {
	Title  string
	Unit   string    // of the values
	Axis   string    // what the sizes count
	Sizes  []float64 // in ascending order
	Series []Series
}

// Series is one line; the first of a panel is ours.
type Series struct {
	Label string
	// Values are those of the sizes, as many as there are sizes.
	Values []Range
}

const (
	linesHeight = 190.0
	linesLeft   = 46.0
	linesBottom = 150.0
)

func (l Lines) height() float64 { return linesHeight }

func (l Lines) draw(c *canvas, width float64) {
	c.title(l.Title)
	most := 0.0
	for _, s := range l.Series {
		for _, v := range s.Values {
			most = max(most, v.Max)
		}
	}
	end, right := ceiling(most), width-28
	top := titleHeight + 6
	y := func(v float64) float64 { return linesBottom - (linesBottom-top)*v/end }
	x := func(i int) float64 {
		if len(l.Sizes) < 2 {
			return (linesLeft + right) / 2
		}
		return linesLeft + 16 + (right-linesLeft-16)*float64(i)/float64(len(l.Sizes)-1)
	}
	for _, part := range []float64{0, 0.5, 1} {
		c.line(linesLeft, y(end*part), right, y(end*part), grid)
		c.text(linesLeft-4, y(end*part)+4, "end", dim, short(end*part))
	}
	for i, size := range l.Sizes {
		label := short(size)
		if i == len(l.Sizes)-1 {
			label += " " + l.Axis
			c.text(width-6, linesBottom+15, "end", dim, label)
			continue
		}
		c.text(x(i), linesBottom+15, "middle", dim, label)
	}
	legend := linesLeft
	for i, s := range l.Series {
		colour := colours[i%len(colours)]
		var path strings.Builder
		for j, v := range s.Values {
			at := x(j) + 3*float64(i) // so that the extremes of two series stand beside each other
			if j == 0 {
				path.WriteString("M")
			} else {
				path.WriteString("L")
			}
			fmt.Fprintf(&path, "%.1f %.1f", at, y(v.Median))
			c.line(at, y(v.Min), at, y(v.Max), colour)
			c.printf(`<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s"/>`, at, y(v.Median), colour)
		}
		c.printf(`<path d="%s" fill="none" stroke="%s" stroke-width="1.5"/>`, &path, colour)
		c.rect(legend, linesHeight-12, 12, 3, colour)
		c.text(legend+16, linesHeight-7, "start", "#000000", s.Label)
		legend += 30 + 6.2*float64(len(s.Label))
	}
	c.text(width-6, linesHeight-7, "end", dim, l.Unit)
}
