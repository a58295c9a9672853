// Package migration reads the schema of a backend: files of SQL whose names
// begin with a number, to be applied in its order. How they are applied is up to
// the database: in one transaction, or statement by statement.
package migration

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// Step is a file of the schema.
type Step struct {
	Version int // the number
	Name    string
	SQL     string
}

// Steps are the .sql files of a schema, of which there is one at least, in their
// order. The last one has the newest version.
func Steps(schema fs.FS) ([]Step, error) {
	names, err := fs.Glob(schema, "*.sql")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("the schema has no .sql files")
	}
	steps := make([]Step, len(names))
	for i, name := range names {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("the name of %s does not begin with a number", name)
		}
		text, err := fs.ReadFile(schema, name)
		if err != nil {
			return nil, err
		}
		steps[i] = Step{version, name, string(text)}
	}
	slices.SortFunc(steps, func(a, b Step) int { return cmp.Compare(a.Version, b.Version) })
	return steps, nil
}

// After are the steps that come after a version.
func After(version int, steps []Step) []Step {
	first := slices.IndexFunc(steps, func(s Step) bool { return s.Version > version })
	if first < 0 {
		return nil
	}
	return steps[first:]
}
