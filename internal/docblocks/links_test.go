package docblocks

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	// What only looks like links and headings.
	outside = regexp.MustCompile("(?ms)^(`{3,}|~{3,}).*?^(`{3,}|~{3,})$|^<!--.*?-->$")
	inline  = regexp.MustCompile("`[^`\\n]+`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
)

// anchor is what GitHub calls a heading in addresses.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// deadLinks are the links of a page to files of the project, and to headings in
// them, that are not there. Links to other hosts are not looked at.
func deadLinks(root, page, text string) (dead []string) {
	for _, m := range link.FindAllStringSubmatch(inline.ReplaceAllString(outside.ReplaceAllString(text, ""), ""), -1) {
		target := m[1]
		if strings.Contains(target, "://") {
			continue
		}
		file, fragment, _ := strings.Cut(target, "#")
		content := text
		if file != "" {
			path := filepath.Join(root, filepath.Dir(page), file)
			info, err := os.Stat(path)
			if err != nil {
				dead = append(dead, target)
				continue
			}
			if fragment == "" || info.IsDir() {
				continue
			}
			read, err := os.ReadFile(path)
			if err != nil {
				dead = append(dead, fmt.Sprintf("%s: %v", target, err))
				continue
			}
			content = string(read)
		}
		found := false
		for _, h := range heading.FindAllStringSubmatch(outside.ReplaceAllString(content, ""), -1) {
			found = found || anchor(h[1]) == fragment
		}
		if !found {
			dead = append(dead, target)
		}
	}
	return dead
}

// pages are the documentation, relative to the project's folder.
func pages(t *testing.T, root string) (found []string) {
	t.Helper()
	for _, pattern := range []string{"README.md", "CONTRIBUTING.md", "docs/*.md", "examples/*.md"} {
		matches, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range matches {
			page, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, page)
		}
	}
	if len(found) < 4 {
		t.Fatalf("only these pages were found: %v", found)
	}
	return found
}

// What a page links to is there, headings included.
func TestLinks(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, page := range append(pages(t, root), "DESIGN.md", "CHANGELOG.md", "eventtest/CASES.md") {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		links += len(link.FindAllString(string(text), -1))
		for _, target := range deadLinks(root, page, string(text)) {
			t.Errorf("%s: nothing is at %s", page, target)
		}
	}
	if links < 20 {
		t.Errorf("only %d links were found", links)
	}
}

func TestDeadLinksAreFound(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "other.md"), []byte("# Other page\n\n```text\n# Not this\n```\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for target, dead := range map[string]bool{
		"other.md": false, "other.md#other-page": false, "https://example.com/nothing": false, "#whats-here-and-there": false,
		"nothing.md": true, "other.md#nothing": true, "#nothing": true, "other.md#not-this": true, "folder/other.md": true,
	} {
		text := "# What's here, *and* there?\n\n[x](" + target + ")\n\n```go\n// [y](nowhere.md)\n```\n"
		if got := deadLinks(root, "page.md", text); (len(got) > 0) != dead || len(got) > 1 {
			t.Errorf("%s: dead links %q, want %t", target, got, dead)
		}
	}
}
