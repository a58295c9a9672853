package compare

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed46dd6f11/events/bench/internal/plot"
)

// WriteFolder writes the report into a folder, which is made if it is not
// there: README.md, summary.svg and a picture of each group.
func (r Report) WriteFolder(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	panels := map[string][]plot.Panel{summary: r.ratios()}
	for _, result := range r.Results {
		group := result.Group()
		panels[group] = append(panels[group], result.panels()...)
	}
	var b strings.Builder
	errs := []error{r.Write(&b, func(group string) string {
		if len(panels[group]) == 0 {
			return ""
		}
		return group + ".svg"
	})}
	for group, of := range panels {
		if len(of) > 0 {
			errs = append(errs, os.WriteFile(filepath.Join(folder, group+".svg"), []byte(plot.SVG(of)), 0o644))
		}
	}
	return errors.Join(append(errs, os.WriteFile(filepath.Join(folder, "README.md"), []byte(b.String()), 0o644))...)
}
