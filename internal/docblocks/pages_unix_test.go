//go:build unix

package docblocks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// patience is for one block, which may compile the library first.
const patience = 5 * time.Minute

// Every block of the documentation compiles and does what the page says.
func TestPages(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages(t, root) {
		t.Run(page, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, page))
			if err != nil {
				t.Fatal(err)
			}
			blocks, err := Parse(page, string(text))
			if err != nil {
				t.Fatal(err)
			}
			r, err := newReader(t, root, blocks)
			if err != nil {
				t.Fatal(err)
			}
			for i, b := range blocks {
				t.Run(fmt.Sprintf("line %d", b.Line), func(t *testing.T) {
					if b.NoRun != "" {
						t.Logf("%s block not run: %s", b.Language, b.NoRun)
						return
					}
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					if err := r.do(ctx, i); err != nil {
						t.Errorf("%s: %v", b.Where(), err)
					}
				})
			}
		})
	}
}

// reader does what a page says, in its order.
type reader struct {
	servers
	blocks   []Block
	module   *Module
	patterns map[int]string
	session  *Session
	bin      string // a folder for programs
}

func newReader(t *testing.T, root string, blocks []Block) (*reader, error) {
	r := &reader{blocks: blocks, servers: startServers(t, blocks), bin: t.TempDir()}
	var err error
	if err := Publish(r.bin, root); err != nil {
		return nil, err
	}
	env := r.env(r.bin)
	if r.module, err = NewModule(t.TempDir(), root, env); err != nil {
		return nil, err
	}
	if r.patterns, err = r.module.Add(blocks, r.here); err != nil {
		return nil, err
	}
	r.session, err = NewSession(t.TempDir(), root, env, r.here)
	t.Cleanup(func() {
		if r.session != nil {
			r.session.Close()
		}
	})
	if err == nil && len(r.patterns) > 0 {
		err = r.module.Go(t.Context(), "vet", "-tags", "synctests", "./...")
	}
	return r, err
}

// do runs the i-th block. Go code was compiled before.
func (r *reader) do(ctx context.Context, i int) error {
	b := r.blocks[i]
	switch {
	case b.File != "":
		for _, later := range r.blocks[i+1:] {
			if (later.Language == "sh" || later.Language == "console") && later.NoRun == "" {
				return r.session.Save(b)
			}
		}
		return errors.New("a file is saved, and no block behind it runs a command")
	case b.Language == "sh" || b.Language == "console":
		return r.session.Shell(ctx, b)
	case b.Language == "sql":
		return r.execute(b)
	case b.Language == "go" && b.Test:
		return r.module.Go(ctx, "test", "-count=1", "-tags", "synctests", r.patterns[b.Line])
	case b.Language == "go" && IsProgram(b.Text) && b.Vet == "":
		binary := filepath.Join(r.bin, fmt.Sprintf("program%d", b.Line))
		if err := r.module.Go(ctx, "build", "-o", binary, r.patterns[b.Line]); err != nil {
			return err
		}
		return r.session.Program(ctx, binary, b)
	}
	return nil
}
