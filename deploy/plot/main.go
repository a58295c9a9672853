// Command plot draws what the panels of the dashboard show, from a real run: it
// starts the example with trouble and a Prometheus that scrapes it, waits, and
// writes one SVG. From the module's root:
//
//	go run ./deploy/plot
//
// It needs Prometheus in PATH, and no Grafana.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/seed46dd6f11/events/internal/dashboard"
)

func main() {
	lasting := flag.Duration("for", 6*time.Minute, "how long the run lasts")
	out := flag.String("out", "docs/dashboard.svg", "the `file` to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *lasting, *out); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, lasting time.Duration, out string) (err error) {
	page, err := dashboard.Load("deploy/grafana/dashboards/events.json")
	if err != nil {
		return err
	}
	example, err := dashboard.StartExample(ctx, ".", lasting, "-trouble")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, example.Stop()) }()
	server, err := dashboard.Start(ctx, example.Address, "deploy/prometheus/rules.yml")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	began := time.Now()
	if err := example.Wait(ctx); err != nil {
		return err
	}
	// The last seconds are those after the end.
	d := drawing{title: page.Title, from: began.Add(5 * time.Second), to: time.Now().Add(-3 * time.Second)}
	for _, p := range page.Panels {
		c := chart{panel: p}
		for _, target := range p.Targets {
			found, err := server.QueryRange(ctx, target.Query("15s"), d.from, d.to, 2*time.Second)
			if err != nil {
				return fmt.Errorf("%s: %w", p.Title, err)
			}
			for _, series := range found {
				c.lines = append(c.lines, line{label: legend(target.LegendFormat, series.Metric), points: series.Values})
			}
		}
		slices.SortStableFunc(c.lines, func(a, b line) int { return cmp.Compare(b.most(), a.most()) })
		d.charts = append(d.charts, c)
	}
	return os.WriteFile(out, []byte(d.svg()), 0o644)
}

// legend fills in the labels as Grafana does. What is different from run to run
// (the prefix, the address) is left out.
func legend(format string, labels map[string]string) string {
	for name, value := range labels {
		if name == "scope" || name == "instance" {
			value = ""
		}
		format = strings.ReplaceAll(format, "{{"+name+"}}", value)
	}
	if i := strings.Index(format, "{{"); i >= 0 { // a label that is empty
		format = format[:i]
	}
	if format = strings.Join(strings.Fields(format), " "); format != "" {
		return format
	}
	if labels["consumer_group"] == "" && labels["instance"] == "" && labels["scope"] == "" {
		return "broadcasts"
	}
	return "this process"
}
