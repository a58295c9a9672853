package events

import (
	stderrors "errors"
	"fmt"

	"github.com/memsql/errors"

	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letterdesk"
)

const (
	// ErrLetterNotFound is the error of a letter id that no dead-letter topic
	// of the group has.
	ErrLetterNotFound errors.String = "no dead-letter topic of the group has a letter with this id"
	// ErrForeignLetter is the error of an operation on a record that is none of
	// this library's letters.
	ErrForeignLetter errors.String = "the record was not written as a letter by this library, or cannot be read: it can only be looked at"
	// ErrLetterGone is the error of a replay of a letter whose event the topic
	// no longer has.
	ErrLetterGone errors.String = "the dead-letter topic no longer has the letter's event; check its retention"
	// ErrLetterConflict is (errors.Is) the error of an operation on a letter
	// with which somebody else has done something; see [LetterConflictError].
	ErrLetterConflict errors.String = "the letter was changed by somebody else"
)

// LetterError says which letter something could not be done with, and why. Err
// is ErrForeignLetter, ErrLetterGone, a [LetterStateError], a
// [LetterConflictError], or what the brokers or LetterAction.Edit said.
type LetterError struct {
	ID  LetterID
	Op  string // replay, discard or reopen
	Err error
}

// Error names the letter and the operation.
func (e *LetterError) Error() string { return fmt.Sprintf("%s letter %s: %v", e.Op, e.ID, e.Err) }

// Unwrap returns the cause.
func (e *LetterError) Unwrap() error { return e.Err }

// LetterStateError says that an operation is not for letters in this state.
type LetterStateError struct {
	State LetterState
	Op    string // replay, discard or reopen
}

// Error says what can be done.
func (e *LetterStateError) Error() string {
	advice := "look at it again"
	switch {
	case e.Op == "reopen":
		advice = "only a discarded letter can be reopened"
	case e.State == LetterDone:
		advice = "it has been handled, nothing is left to do"
	case e.State == LetterDiscarded && e.Op == "replay":
		advice = "reopen it first"
	case e.State == LetterDiscarded:
		advice = "nothing is left to do"
	case e.State == LetterReplaying:
		advice = "wait for the outcome, or discard and reopen it if no instance runs the handler"
	}
	return fmt.Sprintf("the letter is %s; %s", e.State, advice)
}

// LetterConflictError says what somebody else has done with a letter since it
// was looked at. The operation that it is the error of had no effect.
type LetterConflictError struct {
	Op string // replay, done, discard or reopen
	By string // may be empty
}

// Error says what can be done.
func (e *LetterConflictError) Error() string {
	by := ""
	if e.By != "" {
		by = " by " + e.By
	}
	return fmt.Sprintf("%s (%s%s); look at it again and decide anew", ErrLetterConflict, e.Op, by)
}

// Is makes errors.Is(err, ErrLetterConflict) true.
func (e *LetterConflictError) Is(target error) bool { return target == ErrLetterConflict }

// letterError gives errors of internal/letterdesk the application's words.
func (d *DeadLetters) letterError(err error) error {
	var state *letterdesk.StateError
	var conflict *letterdesk.ConflictError
	var big *kafka.TooBigError
	switch {
	case stderrors.Is(err, letterdesk.ErrForeign):
		return ErrForeignLetter
	case stderrors.Is(err, letterdesk.ErrNoEvent):
		return ErrLetterGone
	case stderrors.As(err, &state):
		return &LetterStateError{State: letterStates[state.State], Op: state.Kind.String()}
	case stderrors.As(err, &conflict):
		return &LetterConflictError{Op: conflict.Kind.String(), By: conflict.By}
	case stderrors.As(err, &big):
		return &TooBigError{Topic: d.lib.topicOf(big.Topic), Size: big.Size, Limit: big.Limit}
	}
	return err
}
