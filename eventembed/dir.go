package eventembed

import (
	"fmt"
	"os"
	"path/filepath"
)

// openDir makes a directory ready for one broker. The file that it returns
// says that the directory is in use, until it is closed.
func openDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("eventembed: InDir: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "in-use.lock"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, fmt.Errorf("eventembed: InDir: %w", err)
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("eventembed: InDir(%q): another broker uses the directory; close it, or use another directory", dir)
	}
	return f, nil
}
