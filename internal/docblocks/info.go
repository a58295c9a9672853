package docblocks

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Info is what the line that opens a block says.
type Info struct {
	// Language is go, sh, console, sql, or one of the languages that are only
	// shown.
	Language string
	// NoRun is why the block is neither compiled nor run; "" if it is.
	NoRun string
	// Vet is why a program is compiled and not run.
	Vet string
	// Test says that the block's tests are run.
	Test bool
	// Keep says that the block's declarations hold for the fragments behind it.
	Keep bool
	// Tree says that the commands run in the project's folder instead of the
	// page's.
	Tree bool
	// File is the name under which the block is saved in the page's folder.
	File string
	// Needs are the databases that the block needs: postgres, mysql.
	Needs []string
	// Until is what is printed when the program or the last command is to be
	// interrupted; "" waits until it ends by itself.
	Until string
	// Exit is the expected exit code.
	Exit int
}

// shown are the languages that nothing is done with.
var shown = []string{"text", "json", "yaml", "toml", "properties", "mermaid", "promql", "http", "python", "javascript", "java"}

// words are what may stand behind each language that something is done with.
// A word that ends with = has a value, one that ends with : has the rest of
// the line.
var words = map[string][]string{
	"go":      {"norun:", "vet:", "test", "keep", "file=", "needs=", "until=", "exit="},
	"sh":      {"norun:", "tree", "file=", "needs=", "until=", "exit="},
	"console": {"norun:", "tree", "needs=", "until=", "exit="},
	"sql":     {"norun:", "postgres", "mysql"},
}

// ParseInfo reads a line like `go file=main.go` or `sh norun: it takes a
// cluster`.
func ParseInfo(line string) (Info, error) {
	language, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	info := Info{Language: language}
	switch language {
	case "":
		return info, errors.New("a block needs a language; text, if it is none")
	case "bash", "shell":
		return info, fmt.Errorf("write sh instead of %s", language)
	}
	allowed := words[language]
	if allowed == nil && !slices.Contains(shown, language) {
		return info, fmt.Errorf("unknown language %q", language)
	}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		var word, value string
		var err error
		if word, value, rest, err = nextWord(rest); err != nil {
			return info, err
		}
		if !slices.Contains(allowed, word) {
			return info, fmt.Errorf("%s blocks have no word %q; these may stand there: %s", language, word, strings.Join(allowed, " "))
		}
		if strings.TrimRight(word, "=:") != word && value == "" {
			return info, fmt.Errorf("nothing stands behind %s", word)
		}
		if err := info.set(word, value); err != nil {
			return info, err
		}
	}
	if language == "sql" && info.NoRun == "" && len(info.Needs) == 0 {
		return info, errors.New("an sql block says where it is run: postgres, mysql; or norun: why it is not")
	}
	if info.Exit != 0 && info.Until != "" {
		return info, errors.New("exit= and until= do not go together: what is interrupted must end well")
	}
	return info, nil
}

// nextWord cuts the first word off, and its value.
func nextWord(line string) (word, value, rest string, err error) {
	end := strings.IndexAny(line, " =:")
	if end < 0 {
		return line, "", "", nil
	}
	switch word = line[:end]; line[end] {
	case ' ':
		return word, "", line[end:], nil
	case ':':
		return word + ":", strings.TrimSpace(line[end+1:]), "", nil
	}
	word, line = word+"=", line[end+1:]
	if !strings.HasPrefix(line, `"`) {
		value, rest, _ = strings.Cut(line, " ")
		return word, value, rest, nil
	}
	quoted, err := strconv.QuotedPrefix(line)
	if err != nil {
		return word, "", "", fmt.Errorf("%s: a quote is not closed", word)
	}
	value, err = strconv.Unquote(quoted)
	return word, value, line[len(quoted):], err
}

func (i *Info) set(word, value string) error {
	switch word {
	case "norun:":
		i.NoRun = value
	case "vet:":
		i.Vet = value
	case "test":
		i.Test = true
	case "keep":
		i.Keep = true
	case "tree":
		i.Tree = true
	case "file=":
		if value == "" || strings.ContainsAny(value, `/\`) {
			return fmt.Errorf("file=%s is not a file's name", value)
		}
		i.File = value
	case "needs=":
		i.Needs = strings.Split(value, ",")
		for _, server := range i.Needs {
			if server != "postgres" && server != "mysql" {
				return fmt.Errorf("needs=%s: there are postgres and mysql", value)
			}
		}
	case "postgres", "mysql":
		i.Needs = []string{word}
	case "until=":
		i.Until = value
	case "exit=":
		code, err := strconv.Atoi(value)
		if err != nil || code < 1 || code > 255 {
			return fmt.Errorf("exit=%s is no code from 1 to 255", value)
		}
		i.Exit = code
	}
	return nil
}
