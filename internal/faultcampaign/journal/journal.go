// Package journal is what a process of the fault campaign has seen, written so
// that SIGKILL takes none of it: each line is one write to a file, which the
// operating system has once the write has returned. A line stands there before
// what it tells of can have any effect.
package journal

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// Kind says what a line tells.
type Kind string

const (
	// Ready: the process consumes; broadcasts have their places.
	Ready Kind = "ready"
	// Stopping: an orderly stop has begun, from here on broadcasts owe nothing.
	Stopping Kind = "stopping"
	// Began: a handler was given an event.
	Began Kind = "began"
	// Outcome: a transaction has ended, with Note as one of the outcomes.
	Outcome Kind = "outcome"
	// Gap: the library has reported that broadcast events of Topic are lost.
	Gap Kind = "gap"
)

// The outcomes of a transaction, as its caller was told.
const (
	Committed  = "committed"
	RolledBack = "rolled-back" // the function returned an error on purpose
	Failed     = "failed"      // another error: it must not have taken effect
	Unknown    = "unknown"     // eventmodels.ErrCommitUnknown
)

// Line is one line.
type Line struct {
	At   time.Time
	Kind Kind
	// Of Began: the handler, "" in the other kinds.
	Handler string
	// Of Began and Gap.
	Topic     string
	Partition int32
	Offset    int64
	Attempt   int
	// ID is the event's own in Began, the transaction's in Outcome.
	ID   string
	Note string
}

const fields = 9

// String is the line's text, without line break.
func (l Line) String() string {
	return strings.Join([]string{strconv.FormatInt(l.At.UnixNano(), 10), string(l.Kind), l.Handler, l.Topic,
		strconv.Itoa(int(l.Partition)), strconv.FormatInt(l.Offset, 10), strconv.Itoa(l.Attempt), l.ID, clean(l.Note)}, "\t")
}

func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' {
			return ' '
		}
		return r
	}, text)
}

// Parse reads what String has written.
func Parse(text string) (l Line, err error) {
	parts := strings.Split(text, "\t")
	if len(parts) != fields {
		return l, fmt.Errorf("a journal's line has %d fields, not %d: %q", fields, len(parts), text)
	}
	at, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return l, err
	}
	partition, err := strconv.ParseInt(parts[4], 10, 32)
	if err != nil {
		return l, err
	}
	offset, err := strconv.ParseInt(parts[5], 10, 64)
	if err != nil {
		return l, err
	}
	attempt, err := strconv.Atoi(parts[6])
	return Line{At: time.Unix(0, at), Kind: Kind(parts[1]), Handler: parts[2], Topic: parts[3],
		Partition: int32(partition), Offset: offset, Attempt: attempt, ID: parts[7], Note: parts[8]}, err
}

// Writer writes a journal. Its methods may be called at the same time.
type Writer struct{ file *os.File }

// Create begins a journal.
func Create(path string) (*Writer, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &Writer{file}, nil
}

// Write adds a line with the present time. A journal that cannot be written
// would make the campaign find what is not there, so it panics.
func (w *Writer) Write(l Line) {
	l.At = time.Now()
	// One write: lines of several goroutines do not mix, and none is torn by
	// the process's end.
	if _, err := w.file.WriteString(l.String() + "\n"); err != nil {
		panic(fmt.Sprintf("the journal cannot be written: %v", err))
	}
}

// Close ends the journal.
func (w *Writer) Close() error { return w.file.Close() }

// Read calls each with the lines of a journal, in order.
func Read(path string, each func(Line)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return read(file, each)
}

func read(from io.Reader, each func(Line)) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		l, err := Parse(lines.Text())
		if err != nil {
			return err
		}
		each(l)
	}
	return lines.Err()
}
