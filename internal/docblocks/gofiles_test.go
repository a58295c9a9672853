package docblocks

import (
	"strings"
	"testing"
)

func TestGoFile(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"file": {
			"package main\n\nfunc main() {}\n",
			"//line /tree/p.md:7\npackage main\n\nfunc main() {}\n",
		},
		"declarations": {
			"var lib = eventpg.NewLibrary()\n",
			"package fragment\nimport \"github.com/seed46dd6f11/events/eventpg\"\n//line /tree/p.md:7\nvar lib = eventpg.NewLibrary()\n",
		},
		"declarations that import": {
			"import \"github.com/x/sql\"\n\nvar db *sql.DB\n",
			"package fragment\n//line /tree/p.md:7\nimport \"github.com/x/sql\"\n\nvar db *sql.DB\n",
		},
		"statements": {
			"log := 1\nlog.Print()\nkafka.New()\n",
			"package fragment\nimport \"context\"\nimport \"github.com/segmentio/kafka-go\"\nfunc _(ctx context.Context) error {\nif ctx != nil {\n" +
				"//line /tree/p.md:7\nlog := 1\nlog.Print()\nkafka.New()\n_ = log; \n}\nreturn nil\n}\n",
		},
		"statements that return": {
			"a, _, b := f()\nvar c int\nfor x := range 3 {\n}\nreturn a // why\n",
			"package fragment\nimport \"context\"\nfunc _(ctx context.Context) error {\nif ctx != nil {\n" +
				"//line /tree/p.md:7\na, _, b := f()\nvar c int\nfor x := range 3 {\n}\n_, _, _ = a, b, c; return a // why\n\n}\nreturn nil\n}\n",
		},
	} {
		got, err := GoFile(Block{Page: "p.md", Line: 7, Text: test.text}, "/tree")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if string(got) != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, test.want)
		}
	}
	for text, want := range map[string]string{
		"x := \n":                       "/tree/p.md:9", // where the parser looks for what follows
		"package main\nfunc main(){}\n": "not formatted",
		"func f() {}\nf()\n":            "neither a file nor",
	} {
		if _, err := GoFile(Block{Page: "p.md", Line: 7, Text: text}, "/tree"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q is missing in: %v", text, want, err)
		}
	}
}
