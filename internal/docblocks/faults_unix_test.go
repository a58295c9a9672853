//go:build unix

package docblocks

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A page with faults is not passed.
func TestFaultsAreFound(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ page, want string }{
		"does not compile": {"```go\nvar x int = \"\"\n```", "p.md:2"},
		"is not vetted":    {"```go\nfmt.Printf(\"%d\", \"x\")\n```", "p.md:2"},
		"misses what was declared before": {
			"<!-- go\nvar x int\n-->\n<!-- go\nvar y int\n-->\n```go\n_ = x\n```", "undefined: x"},
		"program fails":          {"```go\npackage main\n\nimport \"os\"\n\nfunc main() { os.Exit(3) }\n```", "exit status 3"},
		"program should fail":    {"```go exit=3\npackage main\n\nfunc main() {}\n```", "exit code 0, not 3"},
		"program is silent":      {"```go until=ready\npackage main\n\nfunc main() { println(\"reedy\") }\n```", `has not printed "ready"; it printed`},
		"test fails":             {"```go test\nfunc TestX(t *testing.T) { t.Fatal(\"no\") }\n```", "no"},
		"command fails":          {"```sh\nfalse\ntrue\n```", "exit status 1"},
		"variable is not set":    {"```sh\necho $nothing\n```", "nothing: unbound"},
		"ends badly":             {"```sh until=ready\ntrap 'exit 4' INT\necho ready\nwhile :; do :; done\n```", "exit status 4"},
		"command in a console":   {"```console\n$ echo a\na\n$ exit 5\n```", "exit status 5"},
		"file that nothing uses": {"```sh\ntrue\n```\n```go file=main.go\npackage main\n\nfunc main() {}\n```", "no block behind it"},
		"does not end":           {"```sh\nwhile :; do :; done\n```", "did not end in time"},
		"statement fails":        {"```sql postgres\nSELECT 1; SELECT nothing\n```", "nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			limit := patience
			if name == "does not end" {
				limit = 100 * time.Millisecond
			}
			if err := follow(t, root, test.page, limit); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q is missing in: %v", test.want, err)
			}
		})
	}
}

// Blocks of a page find what those before them have left: files, variables,
// the folder. What is left running ends with the page: else its output would
// still be copied when TestMain looks for goroutines.
func TestBlocksShareASession(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.NewReplacer("~~~", "```").Replace(`
<!-- go
type greeting struct{ text string }
-->

~~~go keep
var hello = greeting{"hello"}
~~~

~~~go test
func TestGreeting(t *testing.T) {
	if hello.text != "hello" {
		t.Fatal(hello)
	}
}
~~~

~~~go file=main.go
package main

import "fmt"

func main() { fmt.Println("localhost:9092 of the page") }
~~~

~~~console
$ mkdir service && cd service && export NAME=x
$ sleep 1000 &
$ mv ../main.go .
~~~

~~~sh tree
test -e go.mod
test "$NAME" = x
~~~

~~~sh
test "$(basename "$PWD")" = service
[[ $(go run main.go) == 127.0.0.1:*" of the page" ]] # not the words that stand there
[[ $(go run main.go) != *9092* ]]
~~~
`)
	if err := follow(t, root, page, patience); err != nil {
		t.Fatal(err)
	}
}

// A reader's commands find the library as it stands in the tree.
func TestTheLibraryIsTheTrees(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(`
~~~go file=main.go
package main

import (
	"fmt"

	"github.com/seed46dd6f11/events"
)

func main() { fmt.Println(events.DeadLetterTopic("orders.placed", events.NewConsumerGroup("billing"))) }
~~~

~~~sh
mkdir shop && cd shop && mv ../main.go .
go mod init example.com/shop
go get github.com/seed46dd6f11/events
[[ $(go run .) == orders.placed.billing.dead-letter ]]
go install github.com/seed46dd6f11/events/cmd/events@latest
events help
~~~
`, "~~~", "```")
	if err := follow(t, root, page, patience); err != nil {
		t.Fatal(err)
	}
}

// follow runs a page's blocks up to the first fault.
func follow(t *testing.T, root, page string, limit time.Duration) error {
	blocks, err := Parse("p.md", page)
	if err != nil {
		return err
	}
	r, err := newReader(t, root, blocks)
	if err != nil {
		return err
	}
	for i, b := range blocks {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		err := r.do(ctx, i)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", b.Where(), err)
		}
	}
	return nil
}
