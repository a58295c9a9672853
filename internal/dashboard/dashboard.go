package dashboard

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Dashboard is what is read of Grafana's JSON.
type Dashboard struct {
	UID        string
	Title      string
	Panels     []Panel
	Templating struct{ List []Variable }
}

// Variable is one of the choices at the top of the page.
type Variable struct{ Name, Type string }

// Panel is a chart, or the title of a row of them.
type Panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	Datasource  Datasource
	GridPos     Rectangle
	Targets     []Target
	FieldConfig struct{ Defaults struct{ Unit string } }
}

// IsRow says that it is a title.
func (p *Panel) IsRow() bool { return p.Type == "row" }

// Datasource says where a panel's data come from.
type Datasource struct{ Type, UID string }

// Rectangle is a place on the page, which is 24 wide.
type Rectangle struct{ X, Y, W, H int }

// Overlaps reports whether two rectangles have a place in common.
func (r Rectangle) Overlaps(o Rectangle) bool {
	return r.X < o.X+o.W && o.X < r.X+r.W && r.Y < o.Y+o.H && o.Y < r.Y+r.H
}

// Target is what a panel asks for.
type Target struct {
	RefID        string
	Expr         string
	LegendFormat string
	Datasource   Datasource
}

// Query returns the expression as Grafana sends it for all services, with rates
// over interval.
func (t Target) Query(interval string) string {
	return strings.NewReplacer("$__rate_interval", interval, "$job", ".*").Replace(t.Expr)
}

// Load reads a dashboard.
func Load(file string) (Dashboard, error) {
	var d Dashboard
	text, err := os.ReadFile(file)
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return d, fmt.Errorf("%s: %w", file, err)
	}
	return d, nil
}
