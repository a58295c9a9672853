package dashboard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// comparison is how the expression of an alert ends.
var comparison = regexp.MustCompile(`^(.*\S) *(?:>=|<=|==|!=|>|<) *[0-9.]+$`)

// Every expression of the dashboard and of the alerts finds series in a real
// Prometheus that scrapes the running example; no alert has an error, and each
// has a section in the runbook.
func TestExpressionsFindSeries(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	example, err := StartExample(ctx, "../..", 3*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := example.Stop(); err != nil {
			t.Error(err)
		}
	}()
	server, err := Start(ctx, example.Address, "../../deploy/prometheus/rules.yml")
	if errors.Is(err, exec.ErrNotFound) {
		const message = "Prometheus is not installed (on Debian: apt-get install prometheus)"
		if strings.Contains(os.Getenv("EVENTS_REQUIRE"), "prometheus") {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()

	expressions := map[string]string{} // by where they are
	for _, p := range load(t).Panels {
		for _, target := range p.Targets {
			expressions[fmt.Sprintf("panel %q, %s", p.Title, target.RefID)] = target.Query("10s")
		}
	}
	var rules []Rule
	if err := poll(ctx, 30*time.Second, func() error {
		rules, err = server.Rules(ctx)
		for _, rule := range rules {
			if rule.Health != "ok" {
				return fmt.Errorf("the alert %s is %s: %s", rule.Name, rule.Health, rule.LastError)
			}
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if len(rules) < 7 {
		t.Errorf("only %d alerts are loaded", len(rules))
	}
	for _, rule := range rules {
		parts := comparison.FindStringSubmatch(rule.Query)
		if parts == nil {
			t.Errorf("the alert %s does not end with a comparison with a number: %s", rule.Name, rule.Query)
			continue
		}
		expressions["alert "+rule.Name] = parts[1]
	}
	// What is sampled is there after 15 s.
	for where, expr := range expressions {
		err := poll(ctx, time.Minute, func() error {
			series, err := server.Query(ctx, expr)
			if err == nil && len(series) == 0 {
				err = errors.New("finds no series")
			}
			return err
		})
		if err != nil {
			t.Errorf("%s: %s: %v", where, expr, err)
		}
	}
	if series, err := server.Query(ctx, "no_such_metric"); err != nil || len(series) != 0 {
		t.Errorf("what is not there is found: %v, %v", series, err)
	}
	if _, err := server.Query(ctx, "sum by ("); err == nil {
		t.Error("what cannot be parsed is no error")
	}

	runbook, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range rules {
		page, anchor, _ := strings.Cut(rule.Annotations["runbook_url"], "#")
		if page != "docs/operating.md" || anchor != strings.ToLower(rule.Name) || !strings.Contains(string(runbook), "\n### "+rule.Name+"\n") {
			t.Errorf("the alert %s has no section in the runbook (%s)", rule.Name, rule.Annotations["runbook_url"])
		}
		if rule.Annotations["summary"] == "" || rule.Labels["severity"] == "" {
			t.Errorf("the alert %s has no summary or no severity", rule.Name)
		}
	}
}
