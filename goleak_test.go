package events_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// The tests of every package, those of the other modules too, fail when they
// leave a goroutine behind.
func TestEveryPackageLooksForLeaks(t *testing.T) {
	looks := map[string]bool{} // folder with tests -> its TestMain uses goleak
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder := filepath.Dir(path)
		looks[folder] = looks[folder] || testMainLooksForLeaks(file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(looks) < 15 {
		t.Fatalf("only %d packages with tests were found", len(looks))
	}
	for folder, does := range looks {
		if !does {
			t.Errorf("the tests of %s have no TestMain with goleak.VerifyTestMain", folder)
		}
	}
}

func testMainLooksForLeaks(file *ast.File) (found bool) {
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil || f.Name.Name != "TestMain" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "VerifyTestMain" {
				x, ok := s.X.(*ast.Ident)
				found = found || ok && x.Name == "goleak"
			}
			return true
		})
	}
	return found
}
