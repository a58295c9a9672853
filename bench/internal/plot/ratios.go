package plot

import "math"

// Ratios are values around 1, on a logarithmic axis.
type Ratios struct {
	Title  string
	Ratios []Ratio
}

// Ratio is one of them; it is positive.
type Ratio struct {
	Label string
	Value float64
	// Beside is what stands behind the number, the name of the divisor for
	// instance.
	Beside string
}

const (
	ratioHeight = 20.0
	ratioLeft   = 200.0
	ratioRight  = 130.0
	markSpace   = 30.0 // what two numbers below the axis need
)

func (r Ratios) height() float64 {
	return titleHeight + float64(len(r.Ratios))*ratioHeight + axisSpace
}

func (r Ratios) draw(c *canvas, width float64) {
	c.title(r.Title)
	low, high := 0.5, 2.0
	for _, ratio := range r.Ratios {
		low, high = min(low, ratio.Value), max(high, ratio.Value)
	}
	low, high = math.Pow(2, math.Floor(math.Log2(low))), math.Pow(2, math.Ceil(math.Log2(high)))
	bottom := titleHeight + float64(len(r.Ratios))*ratioHeight
	at := func(v float64) float64 {
		return ratioLeft + (width-ratioRight-ratioLeft)*math.Log(v/low)/math.Log(high/low)
	}
	for _, mark := range []float64{low, 1, high} {
		c.line(at(mark), titleHeight, at(mark), bottom, grid)
		if mark != 1 && math.Abs(at(mark)-at(1)) < markSpace {
			continue
		}
		c.text(at(mark), bottom+13, "middle", dim, short(mark)+"×")
	}
	for i, ratio := range r.Ratios {
		y := titleHeight + float64(i)*ratioHeight
		colour := colours[0]
		if ratio.Value < 1 {
			colour = colours[2]
		}
		left, right := min(at(1), at(ratio.Value)), max(at(1), at(ratio.Value))
		c.text(ratioLeft-6, y+14, "end", "#000000", ratio.Label)
		c.rect(left, y+4, right-left, ratioHeight-8, colour)
		c.text(right+5, y+14, "start", "#000000", short(ratio.Value)+" × "+ratio.Beside)
	}
}
