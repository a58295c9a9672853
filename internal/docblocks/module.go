package docblocks

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Module is a reader's module, in which the library is the one of a tree.
type Module struct {
	dir, root string
	env       []string
}

// NewModule makes one in an empty folder. root is the project's folder, env
// the environment of the go command and of tests.
func NewModule(dir, root string, env []string) (*Module, error) {
	// With the tree's requirements nothing has to be looked up.
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	text := strings.Replace(string(mod), "module "+library, "module example.com/reader", 1) +
		fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace %[1]s => %s\n", library, root)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o666); err != nil {
		return nil, err
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return nil, err
	}
	return &Module{dir: dir, root: root, env: env}, os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o666)
}

// Add writes the Go blocks of a page into the module: each is a package of its
// own, together with what the page has declared for it before. It returns the
// packages' patterns by the blocks' lines. here turns the addresses of a text
// into those of the servers that there are.
func (m *Module) Add(blocks []Block, here func(string) string) (patterns map[int]string, err error) {
	patterns = make(map[int]string)
	var before []Block // whose declarations hold
	saved := map[string]Block{}
	for _, b := range blocks {
		if b.Language != "go" || b.NoRun != "" {
			continue
		}
		files := map[string]Block{"block.go": b}
		switch {
		case b.File != "":
			saved[b.File] = b
			files = saved
		case !IsFile(b.Text):
			if b.Hidden && !b.Keep {
				before = nil
			}
			for i, other := range before {
				files[fmt.Sprintf("before%d.go", i)] = other
			}
			if b.Hidden || b.Keep {
				before = append(before[:len(before):len(before)], b)
			}
		}
		if b.Test {
			files["block_test.go"] = b
			delete(files, "block.go")
		}
		folder := strings.NewReplacer("/", "_", ".", "_").Replace(b.Page) + fmt.Sprintf("_%d", b.Line)
		if err := os.Mkdir(filepath.Join(m.dir, folder), 0o777); err != nil {
			return nil, err
		}
		for name, f := range files {
			text, err := GoFile(f, m.root)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.Where(), err)
			}
			if err := os.WriteFile(filepath.Join(m.dir, folder, name), []byte(here(string(text))), 0o666); err != nil {
				return nil, err
			}
		}
		patterns[b.Line] = "./" + folder
	}
	return patterns, nil
}

// Go runs the go command in the module. The error has what it printed.
func (m *Module) Go(ctx context.Context, arguments ...string) error {
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Dir = m.dir
	command.Env = append(m.env[:len(m.env):len(m.env)], "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(arguments, " "), err, strings.ReplaceAll(string(out), m.root+"/", ""))
	}
	return nil
}
