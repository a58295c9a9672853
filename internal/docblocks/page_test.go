package docblocks

import (
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	blocks, err := Parse("p.md", `# Title

<!-- go
var x int
-->

`+"```go keep"+`
x++
`+"```"+`

* a list

  `+"```sh"+`
  echo a
    indented
  `+"```"+`

      still the list

A long line that ends with a
    continued line is no block.

<!-- a remark
-->

`+"````text"+`
`+"```"+`
`+"````"+`

`+"```console"+`
$ echo \
a
a
$ false
`+"```"+`
`)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, b := range blocks {
		fmt.Fprintf(&got, "%s %s keep=%v hidden=%v %q\n", b.Where(), b.Language, b.Keep, b.Hidden, b.Script())
	}
	want := `p.md:4 go keep=false hidden=true "var x int\n"
p.md:8 go keep=true hidden=false "x++\n"
p.md:14 sh keep=false hidden=false "echo a\n  indented\n"
p.md:27 text keep=false hidden=false "` + "```" + `\n"
p.md:31 console keep=false hidden=false "echo \\\na\n\nfalse\n"
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

func TestParseNamesWhatIsNotAccountedFor(t *testing.T) {
	_, err := Parse("p.md", "text\n\n    indented\n    once\n\n```\nno language\n```\n\n```sh\nnot closed\n")
	if err == nil {
		t.Fatal("no fault was found")
	}
	for _, want := range []string{"p.md:3: an indented block", "p.md:6: a block needs a language", "p.md:10: the block is not closed"} {
		if strings.Count(err.Error(), want) != 1 {
			t.Errorf("%q is not there once: %v", want, err)
		}
	}
}
