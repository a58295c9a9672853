package docblocks

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Block is one block of a page.
type Block struct {
	Info
	// Page is the page's path, Line the number of the first line of Text.
	Page string
	Line int
	// Hidden says that the block is in a comment, which readers do not see.
	Hidden bool
	Text   string
}

// Where is the block's place, for messages.
func (b Block) Where() string { return fmt.Sprintf("%s:%d", b.Page, b.Line) }

// Script is what a shell is given for the block: of a console block the lines
// behind $, and what continues these.
func (b Block) Script() string {
	if b.Language != "console" {
		return b.Text
	}
	var script strings.Builder
	continues := false
	for line := range strings.Lines(b.Text) {
		command, found := strings.CutPrefix(line, "$ ")
		if found || continues {
			script.WriteString(command)
			continues = strings.HasSuffix(strings.TrimRight(command, "\n"), `\`)
		} else {
			script.WriteString("\n") // so that lines have the page's numbers
		}
	}
	return script.String()
}

var (
	// A fence may be indented, as in a list.
	fence    = regexp.MustCompile("^( *)(`{3,}|~{3,})(.*)$")
	listItem = regexp.MustCompile(`^ *([-*+]|\d+[.)]) `)
	hidden   = regexp.MustCompile(`^<!-- *(go|sh|sql)\b(.*)$`)
)

// Parse returns a page's blocks in their order. The error names every block
// that nothing can be done with.
func Parse(page, text string) ([]Block, error) {
	var blocks []Block
	var faults []error
	lines := strings.Split(text, "\n")
	fault := func(line int, err error) { faults = append(faults, fmt.Errorf("%s:%d: %w", page, line+1, err)) }
	inList, blank := false, true
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		info, closes, indent := "", "", ""
		if open := fence.FindStringSubmatch(line); open != nil {
			info, closes, indent = open[3], open[2], open[1]
		} else if open := hidden.FindStringSubmatch(line); open != nil {
			info, closes = open[1]+open[2], "-->"
		} else {
			indented := strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")
			switch {
			case listItem.MatchString(line):
				inList = true
			case strings.TrimSpace(line) != "" && !strings.HasPrefix(line, " "):
				inList = false
			}
			if indented && blank && !inList {
				fault(i, errors.New("an indented block has no language: put it between fences"))
			}
			blank = strings.TrimSpace(line) == ""
			continue
		}
		parsed, err := ParseInfo(info)
		if err != nil {
			fault(i, err)
		}
		b := Block{Info: parsed, Page: page, Line: i + 2, Hidden: closes == "-->"}
		var body strings.Builder
		for i++; i < len(lines) && !strings.HasPrefix(strings.TrimSpace(lines[i]), closes); i++ {
			body.WriteString(strings.TrimPrefix(lines[i], indent) + "\n")
		}
		if i == len(lines) {
			fault(b.Line-2, errors.New("the block is not closed"))
		}
		b.Text = body.String()
		if err == nil {
			blocks = append(blocks, b)
		}
		blank = false
	}
	return blocks, errors.Join(faults...)
}
