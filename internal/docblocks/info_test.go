package docblocks

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseInfo(t *testing.T) {
	for line, want := range map[string]Info{
		"go":                                  {Language: "go"},
		"go keep":                             {Language: "go", Keep: true},
		"go file=main.go":                     {Language: "go", File: "main.go"},
		`go needs=postgres,mysql until="a b"`: {Language: "go", Needs: []string{"postgres", "mysql"}, Until: "a b"},
		`sh until="say \"x\"" tree`:           {Language: "sh", Until: `say "x"`, Tree: true},
		"sh exit=3":                           {Language: "sh", Exit: 3},
		"sh norun: it takes: a = b cluster":   {Language: "sh", NoRun: "it takes: a = b cluster"},
		"go test vet: two words":              {Language: "go", Test: true, Vet: "two words"},
		" sql mysql":                          {Language: "sql", Needs: []string{"mysql"}},
		"yaml":                                {Language: "yaml"},
	} {
		got, err := ParseInfo(line)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %+v, not %+v", line, got, want)
		}
	}
	for line, want := range map[string]string{
		"":                      "needs a language",
		"bash":                  "write sh",
		"rust":                  "unknown language",
		"yaml tree":             "have no word",
		"go tree":               "have no word",
		"go vet":                "have no word", // it needs a reason
		"go vet:":               "nothing stands behind",
		"sh norun: ":            "nothing stands behind",
		"sh exit=0":             "no code",
		"sh exit=x":             "no code",
		"sh exit=":              "nothing stands behind",
		`sh until="x`:           "not closed",
		"sh exit=1 until=x":     "do not go together",
		"go file=../main.go":    "not a file's name",
		"go needs=oracle":       "there are postgres",
		"sql":                   "where it is run",
		"sh fast":               `no word "fast"`,
		"go file=main.go tree=": `no word "tree="`,
	} {
		if got, err := ParseInfo(line); err == nil {
			t.Errorf("%q is taken as %+v", line, got)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q is missing in: %v", line, want, err)
		}
	}
}
