package events_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// DESIGN.md's map has every file of this package, and every package but the
// examples and those of modules of their own.
func TestMapIsComplete(t *testing.T) {
	text, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n## Map\n")
	plan, _, found := strings.Cut(rest, "\n## ")
	if !found {
		t.Fatal("DESIGN.md has no section Map")
	}
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (slices.Contains([]string{"bench", "interop", "examples", "scripts", "testdata"}, d.Name()) || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || path == "doc.go" {
			return nil
		}
		what := filepath.Dir(path)
		if what == "." {
			what = "`" + path + "`"
		}
		if !strings.Contains(plan, what) && !(strings.HasPrefix(what, "internal/faultcampaign/") && strings.Contains(plan, filepath.Base(what))) {
			t.Errorf("%s is not in DESIGN.md's map", what)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every package has a comment, and so has every exported name: types,
// functions, methods, constants and variables (alone or as a group). A type's
// comment speaks for the fields that need no words.
func TestEverythingIsDocumented(t *testing.T) {
	folders := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "bench" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			folders[filepath.Dir(path)] = append(folders[filepath.Dir(path)], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) < 10 {
		t.Fatalf("only %d packages were found", len(folders))
	}
	for folder, files := range folders {
		set := token.NewFileSet()
		commented := false
		for _, path := range files {
			file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			commented = commented || file.Doc != nil
			internal := strings.HasPrefix(folder, "internal")
			for _, missing := range undocumented(file) {
				if internal && slices.Contains([]string{"Error", "Unwrap", "String"}, missing.Name) {
					continue // what these do is known
				}
				t.Errorf("%s: %s has no doc comment", set.Position(missing.Pos()), missing.Name)
			}
		}
		if !commented {
			t.Errorf("package %s has no comment", folder)
		}
	}
}

func undocumented(file *ast.File) (missing []*ast.Ident) {
	need := func(name *ast.Ident, docs ...*ast.CommentGroup) {
		if !name.IsExported() {
			return
		}
		for _, doc := range docs {
			if doc != nil {
				return
			}
		}
		missing = append(missing, name)
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || ast.IsExported(receiver(d.Recv.List[0].Type)) {
				need(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					need(s.Name, s.Doc, d.Doc)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						need(name, s.Doc, s.Comment, d.Doc)
					}
				}
			}
		}
	}
	return missing
}

func receiver(expr ast.Expr) string {
	switch e := expr.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
