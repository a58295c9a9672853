package compare

import (
	"io"
	"strings"
	"unicode/utf8"
)

// table is rows of cells below a header. It is written as Markdown whose columns
// are padded, so that it can also be read as it is. The first column is text,
// the others are numbers.
type table struct {
	header []string
	rows   [][]string
}

func (t table) write(w io.Writer) error {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	rule := make([]string, len(widths))
	for i, width := range widths {
		rule[i] = strings.Repeat("-", max(width, 3))
		if i > 0 {
			rule[i] = rule[i][1:] + ":"
		}
	}
	var b strings.Builder
	for _, row := range append([][]string{t.header, rule}, t.rows...) {
		for i, cell := range row {
			space := strings.Repeat(" ", max(widths[i], 3)-utf8.RuneCountInString(cell))
			if i == 0 {
				cell += space
			} else {
				cell = space + cell
			}
			b.WriteString("| " + cell + " ")
		}
		b.WriteString("|\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
