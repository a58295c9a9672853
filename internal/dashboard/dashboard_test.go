package dashboard

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

const dashboardFile = "../../deploy/grafana/dashboards/events.json"

func load(t *testing.T) Dashboard {
	t.Helper()
	d, err := Load(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The dashboard is one that Grafana shows: every panel has a title, a place of
// its own and something to ask the chosen data source for.
func TestDashboard(t *testing.T) {
	d := load(t)
	if d.UID == "" || d.Title == "" {
		t.Error("the dashboard has no uid or no title")
	}
	variables := map[string]string{}
	for _, v := range d.Templating.List {
		variables[v.Name] = v.Type
	}
	if variables["datasource"] != "datasource" || variables["job"] != "query" {
		t.Errorf("variables: %v", variables)
	}
	ids := map[int]string{}
	rows, charts := 0, 0
	for i, p := range d.Panels {
		if p.Title == "" {
			t.Errorf("panel %d has no title", p.ID)
		}
		if other, taken := ids[p.ID]; taken || p.ID <= 0 {
			t.Errorf("%q and %q have the id %d", p.Title, other, p.ID)
		}
		ids[p.ID] = p.Title
		if r := p.GridPos; r.X < 0 || r.Y < 0 || r.W <= 0 || r.H <= 0 || r.X+r.W > 24 {
			t.Errorf("%q lies at %+v", p.Title, r)
		}
		for _, other := range d.Panels[:i] {
			if p.GridPos.Overlaps(other.GridPos) {
				t.Errorf("%q and %q overlap", p.Title, other.Title)
			}
		}
		if p.IsRow() {
			rows++
			continue
		}
		charts++
		if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%q has no description, unit, data source or target", p.Title)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if target.Expr == "" || target.LegendFormat == "" || refs[target.RefID] || target.Datasource != (Datasource{"prometheus", "${datasource}"}) {
				t.Errorf("%q has a bad target: %+v", p.Title, target)
			}
			refs[target.RefID] = true
			if !strings.Contains(target.Expr, `job=~"$job"`) {
				t.Errorf("%q does not heed the chosen service: %s", p.Title, target.Expr)
			}
			if strings.Contains(target.Query("1m"), "$") {
				t.Errorf("%q has an unknown variable: %s", p.Title, target.Expr)
			}
		}
	}
	if rows != 4 || charts < 12 {
		t.Errorf("%d rows, %d charts", rows, charts)
	}
}

// What Grafana would silently ignore or migrate is not there: the names of the
// fields are those that this package knows or that are listed here.
func TestDashboardFields(t *testing.T) {
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d map[string]any
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"uid", "title", "schemaVersion", "panels", "templating", "time", "refresh"} {
		if d[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	known := map[string]bool{"id": true, "type": true, "title": true, "description": true, "datasource": true, "gridPos": true,
		"fieldConfig": true, "options": true, "targets": true, "collapsed": true, "panels": true}
	for _, panel := range d["panels"].([]any) {
		for name := range panel.(map[string]any) {
			if !known[name] {
				t.Errorf("a panel has the field %q", name)
			}
		}
	}
}

func TestOverlaps(t *testing.T) {
	a := Rectangle{X: 6, Y: 1, W: 6, H: 8}
	for _, test := range []struct {
		other Rectangle
		want  bool
	}{
		{a, true},
		{Rectangle{X: 0, Y: 1, W: 6, H: 8}, false},
		{Rectangle{X: 12, Y: 1, W: 6, H: 8}, false},
		{Rectangle{X: 0, Y: 0, W: 24, H: 1}, false},
		{Rectangle{X: 0, Y: 9, W: 24, H: 1}, false},
		{Rectangle{X: 11, Y: 8, W: 1, H: 1}, true},
		{Rectangle{X: 0, Y: 0, W: 24, H: 24}, true},
	} {
		if a.Overlaps(test.other) != test.want || test.other.Overlaps(a) != test.want {
			t.Errorf("%+v and %+v", a, test.other)
		}
	}
}
