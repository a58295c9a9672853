package compare

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// table is rows of cells below a header. It is written as Markdown whose columns
// are padded, so that it can also be read as it is. The first column is text,
// the others are numbers but for those in text.
type table struct {
	header []string
	rows   [][]string
	text   []int
}

func (t table) isText(column int) bool { return column == 0 || slices.Contains(t.text, column) }

func (t table) write(b *strings.Builder) {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	rule := make([]string, len(widths))
	for i, width := range widths {
		rule[i] = strings.Repeat("-", max(width, 3))
		if !t.isText(i) {
			rule[i] = rule[i][1:] + ":"
		}
	}
	for _, row := range append([][]string{t.header, rule}, t.rows...) {
		for i, cell := range row {
			space := strings.Repeat(" ", max(widths[i], 3)-utf8.RuneCountInString(cell))
			if t.isText(i) {
				cell += space
			} else {
				cell = space + cell
			}
			b.WriteString("| " + cell + " ")
		}
		b.WriteString("|\n")
	}
}
