package plot

// Bars are values beside each other, larger to the right.
type Bars struct {
	Title string
	Unit  string // of the values
	Bars  []Bar
}

// Bar is one value.
type Bar struct {
	Label string
	Range
	// Tail is a second, larger value of the same thing, a high quantile for
	// instance, drawn behind the first; 0 if there is none.
	Tail float64
	// Ours marks the bars that the picture is about.
	Ours bool
}

const (
	barHeight = 24.0
	labelEnd  = 150.0 // the bars begin here
	barsRight = 58.0  // room for a number behind the longest
	axisSpace = 20.0
)

func (b Bars) height() float64 {
	return titleHeight + float64(len(b.Bars))*barHeight + axisSpace
}

func (b Bars) draw(c *canvas, width float64) {
	c.title(b.Title)
	most := 0.0
	for _, bar := range b.Bars {
		most = max(most, bar.Max, bar.Tail)
	}
	end := ceiling(most)
	bottom := titleHeight + float64(len(b.Bars))*barHeight
	at := func(v float64) float64 { return labelEnd + (width-barsRight-labelEnd)*v/end }
	for _, part := range []float64{0, 0.5, 1} {
		c.line(at(end*part), titleHeight, at(end*part), bottom, grid)
		label := short(end * part)
		if part == 1 {
			label += " " + b.Unit
		}
		c.text(at(end*part), bottom+13, "middle", dim, label)
	}
	for i, bar := range b.Bars {
		y := titleHeight + float64(i)*barHeight
		colour := colours[1]
		if bar.Ours {
			colour = colours[0]
		}
		c.text(labelEnd-6, y+15, "end", "#000000", bar.Label)
		right := at(max(bar.Max, bar.Tail))
		if bar.Tail > 0 {
			c.printf(`<g opacity="0.35">`)
			c.rect(labelEnd, y+7, at(bar.Tail)-labelEnd, barHeight-14, colour)
			c.printf(`</g>`)
		}
		c.rect(labelEnd, y+4, at(bar.Median)-labelEnd, barHeight-8, colour)
		c.line(at(bar.Min), y+barHeight/2, at(bar.Max), y+barHeight/2, "#000000")
		for _, edge := range []float64{bar.Min, bar.Max} {
			c.line(at(edge), y+9, at(edge), y+15, "#000000")
		}
		label := short(bar.Median)
		if bar.Tail > 0 {
			label += " / " + short(bar.Tail)
		}
		c.text(right+5, y+15, "start", "#000000", label)
	}
}
