package events_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shownPackages are those whose functions users call.
var shownPackages = []string{".", "eventmodels", "eventdb", "eventpg", "eventmysql", "events2", "eventsqlite", "eventnodb",
	"keyeddistributor", "eventembed", "eventtest", "eventtest/sqlitetest"}

// notShown are the exported functions and methods that no example has, by why
// none has them.
var notShown = map[string][]string{
	"an interface of the standard library has it, and others call it": {
		"events.SASLConfig.UnmarshalText", "events.TLSConfig.UnmarshalJSON", "events.LetterID.MarshalText", "events.LetterID.UnmarshalText",
		"eventsqlite.Pool.Query", "eventsqlite.Tx.Query",
		"eventsqlite.Tx.Prepare", "eventsqlite.Tx.PrepareContext", "eventsqlite.Tx.Stmt", "eventsqlite.Tx.StmtContext",
	},
	"only the library calls it": {
		"eventmodels.BinaryEventID.Of", "eventmodels.StringEventID.Of", "eventmodels.SimpleEvent.GetHeaders", "eventmodels.Message.SharePayload",
		"eventmodels.OutboxRow.Weight", "eventmodels.OutboxRow.OutboxKey", "eventmodels.ParkedRow.ParkedKey",
		"eventdb.Pending.GetPendingEvents", "eventpg.Tx.Ended", "eventsqlite.Tx.Ended",
		"eventsqlite.Connection.OneWriter",
		"eventnodb.NoDB.AugmentWithProducer", "eventnodb.NoDB.OpenOutbox", "eventnodb.NoDB.Fault", "eventnodb.NoDB.MaxConnections",
	},
	"for backends, which eventdb's own tests and those in the tree show": {
		"eventdb.NewConnection", "eventdb.Connection.AugmentWithProducer", "eventdb.Connection.Fault", "eventdb.Connection.OpenOutbox",
		"eventdb.Connection.MaxConnections", "eventdb.NewRelay", "eventdb.Relay.Once", "eventdb.Relay.Leading", "eventdb.Relay.Wake",
		"eventdb.Relay.Missed", "eventdb.RoundTripsOf", "eventdb.RoundTrips.InsertMarks", "eventdb.RoundTrips.HasMarks", "eventdb.RoundTrips.Committing",
		"eventdb.RoundTrips.Ended", "eventdb.StartSweeper",
		"eventtest.Run",
	},
	"it takes a certificate, which an example would have to make first": {"eventembed.TLS"},
}

// Every exported function, option and method that users call is in an example:
// an Example function, or a command in examples.
func TestExamplesShowWhatUsersCall(t *testing.T) {
	functions, methods := calledInExamples(t)
	excepted := make(map[string]bool) // -> it was needed
	for _, names := range notShown {
		for _, name := range names {
			excepted[name] = false
		}
	}
	for _, folder := range shownPackages {
		for _, f := range exportedFunctions(t, folder) {
			shown := functions[f.pkg+"."+f.name]
			if f.receiver != "" {
				shown = methods[f.name]
			}
			if shown {
				continue
			}
			if _, ok := excepted[f.String()]; ok {
				excepted[f.String()] = true
				continue
			}
			t.Errorf("%s is in no example", f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(excepted)) {
		if !excepted[name] {
			t.Errorf("notShown: %s does not exist, or is in an example", name)
		}
	}
}

type function struct{ pkg, receiver, name string }

func (f function) String() string {
	if f.receiver == "" {
		return f.pkg + "." + f.name
	}
	return f.pkg + "." + f.receiver + "." + f.name
}

// exportedFunctions are the functions of a package, and the methods of its
// exported types.
func exportedFunctions(t *testing.T, folder string) (found []function) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file := parse(t, path)
		for _, decl := range file.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok || !d.Name.IsExported() {
				continue
			}
			f := function{pkg: file.Name.Name, name: d.Name.Name}
			if d.Recv != nil {
				if f.receiver = receiver(d.Recv.List[0].Type); !ast.IsExported(f.receiver) {
					continue
				}
			}
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		t.Errorf("package %s has no exported function", folder)
	}
	return found
}

// calledInExamples are the selectors of all examples: x.Name as a function of
// package x, and Name as a method.
func calledInExamples(t *testing.T) (functions, methods map[string]bool) {
	functions, methods = make(map[string]bool), make(map[string]bool)
	collect := func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		methods[s.Sel.Name] = true
		if x, ok := s.X.(*ast.Ident); ok {
			functions[x.Name+"."+s.Sel.Name] = true
		}
		return true
	}
	examples := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		test, command := strings.HasSuffix(path, "_test.go"), strings.HasPrefix(path, "examples"+string(filepath.Separator))
		if !test && !command {
			return nil
		}
		file := parse(t, path)
		if command && !test || strings.HasPrefix(d.Name(), "example_") {
			examples++
			ast.Inspect(file, collect)
			return nil
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Example") {
				examples++
				ast.Inspect(f, collect)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if examples < 20 {
		t.Fatalf("only %d examples were found", examples)
	}
	return functions, methods
}

func parse(t *testing.T, path string) *ast.File {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
