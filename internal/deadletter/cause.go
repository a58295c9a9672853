package deadletter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/delivery"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// causeText is how many characters of an error's text go into the cause.
const causeText = 200

// Cause groups failures that are one problem: a hash of the handler, the class
// of the error, and its text without what differs from event to event.
func Cause(handler string, err error) string {
	h := sha256.New()
	for _, part := range []string{handler, classOf(err), blank(err.Error())} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// classOf says what kind of error it is.
func classOf(err error) string {
	var panicked *delivery.PanicError
	var state interface{ SQLState() string }
	switch {
	case errors.As(err, &panicked):
		return "panic in " + panicFrame(string(panicked.Stack))
	case errors.Is(err, eventmodels.ErrDecode):
		return "decode"
	case errors.As(err, &state):
		return "SQLSTATE " + state.SQLState()
	}
	if code, ok := kafka.CodeOf(err); ok {
		return "Kafka " + code
	}
	if errors.Is(err, eventmodels.TimeoutErr) || errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return deepest(err)
}

// deepest is the type of the innermost error that has one of its own; of
// several that are joined, the first one's.
func deepest(err error) string {
	found := ""
	for err != nil {
		switch t := fmt.Sprintf("%T", err); {
		case t == "*errors.errorString", t == "*fmt.wrapError", t == "*fmt.wrapErrors", t == "*errors.joinError":
		case strings.HasPrefix(t, "*eventmodels."): // says what to do, not what happened
		default:
			found = t
		}
		switch wrapping := err.(type) {
		case interface{ Unwrap() error }:
			err = wrapping.Unwrap()
		case interface{ Unwrap() []error }:
			err = nil
			for _, inner := range wrapping.Unwrap() {
				if inner != nil {
					err = inner
					break
				}
			}
		default:
			err = nil
		}
	}
	return found
}

// module is where the library's own frames are.
const module = "github.com/seed46dd6f11/events"

// panicFrame is the function of the service that has panicked, or that has
// called what has: the first frame behind the panic that is neither Go's nor
// the library's.
func panicFrame(stack string) string {
	lines := strings.Split(stack, "\n")
	for len(lines) > 0 && !strings.HasPrefix(lines[0], "panic(") {
		lines = lines[1:]
	}
	for i := 2; i+1 < len(lines); i += 2 { // a function, and below it its file
		name, file := lines[i], strings.TrimSpace(lines[i+1])
		if end := strings.LastIndexByte(name, '('); end > 0 {
			name = name[:end] // its arguments
		}
		if !standard(name, file) && !strings.HasPrefix(name, module+".") && !strings.HasPrefix(name, module+"/internal/") && !strings.HasPrefix(name, module+"/eventmodels.") {
			return name
		}
	}
	return ""
}

// standard says whether a function belongs to Go's own packages, which lie in a
// folder src under their names.
func standard(function, file string) bool {
	folder, rest := "", function
	if i := strings.LastIndexByte(function, '/'); i >= 0 {
		folder, rest = function[:i+1], function[i+1:]
	}
	name, _, _ := strings.Cut(rest, ".")
	return name != "main" && strings.Contains(file, "/src/"+folder+name+"/")
}

// blank replaces quoted parts by "…", and words with digits in them (numbers,
// ids, durations, addresses) by #, and cuts the text.
func blank(text string) string {
	var b strings.Builder
	left := causeText
	put := func(s string) {
		for _, r := range s {
			if left > 0 {
				b.WriteRune(r)
				left--
			}
		}
	}
	previous := ' '
	for text != "" && left > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == '"' || r == '`' || r == '\'' && !letterOrDigit(previous):
			end := strings.IndexRune(text[size:], r)
			if end >= 0 {
				put("“…”")
				text = text[size+end+size:]
				previous = r
				continue
			}
			put(string(r))
		case letterOrDigit(r):
			word := text[:wordEnd(text)]
			if strings.IndexFunc(word, unicode.IsDigit) >= 0 {
				put("#")
			} else {
				put(word)
			}
			text = text[len(word):]
			previous = r
			continue
		case unicode.IsSpace(r):
			if previous != ' ' || b.Len() == 0 {
				put(" ")
			}
			text = text[size:]
			previous = ' '
			continue
		default:
			put(string(r))
		}
		previous = r
		text = text[size:]
	}
	return b.String()
}

func letterOrDigit(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// wordEnd is where the word ends that text begins with. What connects parts of
// ids, addresses and times belongs to it if such a part follows.
func wordEnd(text string) int {
	end := 0
	for i, r := range text {
		switch {
		case letterOrDigit(r):
			end = i + utf8.RuneLen(r)
		case strings.ContainsRune("-_.:@+", r):
			if i > end {
				return end // two of them
			}
		default:
			return end
		}
	}
	return end
}
