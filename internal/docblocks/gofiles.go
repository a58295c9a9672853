package docblocks

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
)

// library is the path of the module that the documentation is about.
const library = "github.com/seed46dd6f11/events"

// packages are what a fragment need not import. A name stands for the path
// that ends with it, or with it and a version.
var packages = []string{
	library, library + "/eventdb", library + "/eventembed", library + "/eventmodels", library + "/eventmysql", library + "/eventnodb",
	library + "/eventpg", library + "/events2", library + "/eventsqlite", library + "/eventtest", library + "/keyeddistributor",
	"github.com/google/uuid", "github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/pgxpool", "github.com/prometheus/client_golang/prometheus",
	"github.com/prometheus/client_golang/prometheus/promhttp", "github.com/segmentio/kafka-go", "github.com/segmentio/kafka-go/sasl",
	"github.com/segmentio/kafka-go/sasl/plain", "github.com/segmentio/kafka-go/sasl/scram", "github.com/sharnoff/eventdistributor",
	"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/trace",
	"bytes", "cmp", "context", "crypto/tls", "crypto/x509", "database/sql", "embed", "encoding/json", "errors", "flag", "fmt", "io", "io/fs", "iter", "log",
	"log/slog", "maps", "math/rand/v2", "net", "net/http", "net/http/httptest", "os", "os/exec", "os/signal", "path/filepath", "regexp", "runtime", "slices",
	"sort", "strconv", "strings", "sync", "sync/atomic", "syscall", "testing", "testing/fstest", "testing/synctest", "time",
}

// packagePaths are the packages by name.
var packagePaths = func() map[string]string {
	paths := make(map[string]string)
	for _, p := range packages {
		name := path.Base(p)
		if len(name) == 2 && name[0] == 'v' {
			name = path.Base(path.Dir(p))
		}
		paths[strings.TrimSuffix(name, "-go")] = p
	}
	return paths
}()

// IsFile reports whether a Go block is a whole file: it has a package clause.
func IsFile(text string) bool {
	_, err := parser.ParseFile(token.NewFileSet(), "", text, parser.PackageClauseOnly)
	return err == nil
}

// IsProgram reports whether a Go block can be run by itself.
func IsProgram(text string) bool {
	f, err := parser.ParseFile(token.NewFileSet(), "", text, parser.PackageClauseOnly)
	return err == nil && f.Name.Name == "main"
}

// GoFile makes a file of a block that compiles if the block is right: a file
// stays as it is, declarations get a package clause and their imports,
// statements a function that has ctx and may return an error. Lines have the
// numbers of the page, whose path is prefixed by root.
func GoFile(b Block, root string) ([]byte, error) {
	at := fmt.Sprintf("//line %s:%d\n", path.Join(root, b.Page), b.Line)
	if IsFile(b.Text) {
		return []byte(at + b.Text), checkFormat(b)
	}
	const clause = "package fragment\n"
	if f, err := parser.ParseFile(token.NewFileSet(), "", clause+b.Text, 0); err == nil {
		return []byte(clause + imports(f) + at + b.Text), checkFormat(b)
	}
	const begin, end = "func _(ctx context.Context) error {\nif ctx != nil {\n", "\n}\nreturn nil\n}\n"
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, "", clause+begin+at+b.Text+end, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("neither a file nor declarations nor statements: %w", err)
	}
	// Showing where a variable comes from is often the point of a fragment;
	// that it is not used is no fault of it.
	body := f.Decls[0].(*ast.FuncDecl).Body.List[0].(*ast.IfStmt).Body.List
	use := strings.Join(declared(body), ", ")
	text := b.Text
	if use != "" {
		use = strings.Repeat("_, ", strings.Count(use, ",")) + "_ = " + use + "; "
		cut := len(text)
		if last, ok := body[len(body)-1].(*ast.ReturnStmt); ok { // behind it nothing can be reached
			cut = set.PositionFor(last.Pos(), false).Offset - len(clause+begin+at)
		}
		text = text[:cut] + use + text[cut:]
	}
	return []byte(clause + imports(f) + begin + at + text + end), checkFormat(b)
}

// imports are the declarations for the packages that a file names and does
// not import.
func imports(f *ast.File) string {
	var local []string
	for _, s := range f.Imports {
		local = append(local, path.Base(strings.Trim(s.Path.Value, `"`)))
	}
	used := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && n.Sel.IsExported() && packagePaths[x.Name] != "" {
				used[x.Name] = true
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, left := range n.Lhs {
					if name, ok := left.(*ast.Ident); ok {
						local = append(local, name.Name)
					}
				}
			}
		case *ast.Field:
			for _, name := range n.Names {
				local = append(local, name.Name)
			}
		}
		return true
	})
	for _, name := range local {
		delete(used, name)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(used)) {
		fmt.Fprintf(&b, "import %q\n", packagePaths[name])
	}
	return b.String()
}

// declared are the names that statements declare, without those in the blocks
// of these.
func declared(statements []ast.Stmt) (names []string) {
	add := func(name *ast.Ident) {
		if name.Name != "_" && !slices.Contains(names, name.Name) {
			names = append(names, name.Name)
		}
	}
	for _, s := range statements {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok != token.DEFINE {
				continue
			}
			for _, left := range s.Lhs {
				if name, ok := left.(*ast.Ident); ok {
					add(name)
				}
			}
		case *ast.DeclStmt:
			for _, spec := range s.Decl.(*ast.GenDecl).Specs {
				if v, ok := spec.(*ast.ValueSpec); ok && s.Decl.(*ast.GenDecl).Tok == token.VAR {
					for _, name := range v.Names {
						add(name)
					}
				}
			}
		}
	}
	return names
}

// checkFormat returns an error if gofmt would write the block differently.
func checkFormat(b Block) error {
	formatted, err := format.Source([]byte(b.Text))
	if err != nil {
		return err
	}
	if !bytes.Equal(bytes.TrimSpace(formatted), bytes.TrimSpace([]byte(b.Text))) {
		return errors.New("not formatted as gofmt does")
	}
	return nil
}
