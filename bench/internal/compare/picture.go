package compare

import (
	"github.com/seed46dd6f11/events/bench/internal/plot"
)

// panels are what is drawn of a result: its rates, or its latencies, or how both
// and the memory grow.
func (r Result) panels() []plot.Panel {
	switch {
	case r.Axis != "":
		return r.growthPanels()
	case len(r.latencies()) > 0:
		return r.latencyPanels()
	}
	bars := plot.Bars{Title: r.Name, Unit: r.Unit + "/s"}
	for _, s := range r.Standings {
		if len(s.Samples) > 0 {
			bars.Bars = append(bars.Bars, plot.Bar{Label: s.Name, Range: plot.Range(s.rate()), Ours: !s.Peer})
		}
	}
	return []plot.Panel{bars}
}

func (r Result) latencyPanels() []plot.Panel {
	var panels []plot.Panel
	for _, what := range r.latencies() {
		bars := plot.Bars{Title: r.Name + ": " + what + ", p50 / p99", Unit: "ms"}
		for _, s := range r.Standings {
			if p50 := s.quantile(what, 0.5); p50.Max > 0 {
				bars.Bars = append(bars.Bars, plot.Bar{Label: s.Name, Range: plot.Range(p50), Tail: s.quantile(what, 0.99).Median, Ours: !s.Peer})
			}
		}
		panels = append(panels, bars)
	}
	return panels
}

func (r Result) growthPanels() []plot.Panel {
	panels := []plot.Panel{
		r.lines("", r.Unit+"/s", Standing.rate),
		r.lines(": memory", "MiB", func(s Standing) Spread { return over(s.Samples, Sample.mebibytes) }),
	}
	for _, what := range r.latencies() {
		panels = append(panels, r.lines(": "+what+", p99", "ms", func(s Standing) Spread { return s.quantile(what, 0.99) }))
	}
	return panels
}

// lines draws a value of each series, as far as each has been measured.
func (r Result) lines(suffix, unit string, value func(Standing) Spread) plot.Lines {
	lines := plot.Lines{Title: r.Name + suffix, Unit: unit, Axis: r.Axis}
	series := make(map[string]int)
	for _, s := range r.Standings {
		i, known := series[s.Series]
		if !known {
			i = len(lines.Series)
			series[s.Series] = i
			lines.Series = append(lines.Series, plot.Series{Label: s.Series})
		}
		if i == 0 {
			lines.Sizes = append(lines.Sizes, s.Size)
		}
		if len(s.Samples) > 0 {
			lines.Series[i].Values = append(lines.Series[i].Values, plot.Range(value(s)))
		}
	}
	return lines
}

// ratios draws how ours relates to the best peer of each measurement: rates,
// and times where less is better.
func (r Report) ratios() []plot.Panel {
	rates, times := plot.Ratios{Title: "ours ÷ the best peer: rates (right: faster)"}, plot.Ratios{Title: "the best peer ÷ ours: p50 (right: faster)"}
	for _, result := range r.Results {
		if result.Axis != "" {
			continue
		}
		whats := result.latencies()
		if best := result.bestRate(); len(whats) == 0 && best.rate().Median > 0 && result.ours().rate().Median > 0 {
			rates.Ratios = append(rates.Ratios, plot.Ratio{Label: result.Name, Value: result.ours().rate().Median / best.rate().Median, Beside: best.Name})
		}
		for _, what := range whats {
			best, mine := result.bestLatency(what), result.ours().quantile(what, 0.5).Median
			if theirs := best.quantile(what, 0.5).Median; theirs > 0 && mine > 0 {
				times.Ratios = append(times.Ratios, plot.Ratio{Label: result.Name + ", " + what, Value: theirs / mine, Beside: best.Name})
			}
		}
	}
	var panels []plot.Panel
	for _, p := range []plot.Ratios{rates, times} {
		if len(p.Ratios) > 0 {
			panels = append(panels, p)
		}
	}
	return panels
}
