package service

import (
	"fmt"
	"os"

	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
)

// Journal is what a process has seen, as lines of the checker. Each line is one
// write to a file, which the operating system has once the write has returned:
// SIGKILL takes none of it. Its methods may be called at the same time.
type Journal struct{ file *os.File }

// CreateJournal begins a journal. It is an error if the file is there already.
func CreateJournal(path string) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &Journal{file}, nil
}

// Write adds an entry. Without its journal the campaign would find what is not
// there, so it panics when the file cannot be written.
func (j *Journal) Write(e checker.Entry) {
	line, err := checker.AppendLine(nil, e)
	if err == nil {
		_, err = j.file.Write(line)
	}
	if err != nil {
		panic(fmt.Sprintf("the journal cannot be written: %v", err))
	}
}

// Close ends the journal.
func (j *Journal) Close() error { return j.file.Close() }
