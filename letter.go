package events

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// LetterID names a letter: the same event, group and handler always have the
// same one. Its text form has 32 hexadecimal digits.
type LetterID [16]byte

// String returns the text form.
func (id LetterID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id LetterID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *LetterID) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(id)) {
		return fmt.Errorf("%q is no letter id: it has 32 hexadecimal digits", text)
	}
	var read LetterID
	if _, err := hex.Decode(read[:], text); err != nil {
		return fmt.Errorf("%q is no letter id: it has 32 hexadecimal digits", text)
	}
	*id = read
	return nil
}

// ParseLetterID reads the text form.
func ParseLetterID(text string) (id LetterID, err error) {
	return id, id.UnmarshalText([]byte(text))
}

// LetterState is what has become of a letter.
type LetterState string

// The states of letters.
const (
	// LetterSaved waits until somebody asks for a replay.
	LetterSaved LetterState = "saved"
	// LetterWaiting is tried again by itself; see Letter.NotBefore.
	LetterWaiting LetterState = "waiting"
	// LetterReplaying has been asked to be handled again. If it stays so, no
	// instance with the handler runs.
	LetterReplaying LetterState = "replaying"
	// LetterDone was handled in the end.
	LetterDone LetterState = "done"
	// LetterDiscarded was put aside by somebody.
	LetterDiscarded LetterState = "discarded"
	// LetterForeign is a record in a dead-letter topic that this library has
	// not written, or that cannot be read. Nothing can be done with it.
	LetterForeign LetterState = "foreign"
)

// Letter is a dead letter as it was when it was looked at.
type Letter struct {
	ID    LetterID    `json:"id"`
	State LetterState `json:"state"`
	// Topic and Handler, without prefix, are what has failed.
	Topic   string `json:"topic,omitempty"`
	Handler string `json:"handler,omitempty"`
	// Error is the last failure's text, shortened. For a foreign record that
	// cannot be read it says why.
	Error string `json:"error,omitempty"`
	// Cause groups letters with the same problem.
	Cause string `json:"cause,omitempty"`
	// Attempts is how often the event was tried.
	Attempts int `json:"attempts,omitempty"`
	// First and Last are the times of the first and the last failure, by the
	// clocks of the services; NotBefore is when a waiting letter is tried again.
	First     time.Time `json:"first,omitzero"`
	Last      time.Time `json:"last,omitzero"`
	NotBefore time.Time `json:"not_before,omitzero"`
	// Time is Last, or of a foreign record its timestamp. The list is in its
	// order, as far as the clocks of the services agree with the order in which
	// letters were written.
	Time time.Time `json:"time"`
	// Since is when the letter came into its state, By and Reason are the
	// words of who brought it there, if somebody did.
	Since  time.Time `json:"since,omitzero"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	// Replay is the id of the replay that is under way, or that has failed or
	// succeeded last.
	Replay string `json:"replay,omitempty"`
	// Instance is the process in which it has failed.
	Instance string `json:"instance,omitempty"`
	// OriginTopic (with the prefix), OriginPartition and OriginOffset are where
	// the event was first written.
	OriginTopic     string `json:"origin_topic,omitempty"`
	OriginPartition int32  `json:"origin_partition,omitempty"`
	OriginOffset    int64  `json:"origin_offset,omitempty"`
	// Key is the event's key, nil if it has none. PayloadSize is in bytes; Show
	// has the payload.
	Key         []byte `json:"key,omitempty"`
	PayloadSize int    `json:"payload_size"`

	// DeadLetterTopic (without prefix) and Partition are where the letter's
	// records lie; Record is the offset of the one that has made the state,
	// Failure that of the last failure (-1 if the log no longer has it), and
	// AsOf the end of the partition when it was looked at. Operations need
	// them.
	DeadLetterTopic string `json:"dead_letter_topic"`
	Partition       int32  `json:"partition"`
	Record          int64  `json:"record"`
	Failure         int64  `json:"failure"`
	AsOf            int64  `json:"as_of"`

	cursor LetterCursor
}

// LetterCursor is a place in the list, in a form that can be kept.
type LetterCursor string

// Cursor is the letter's place in the list; [LetterFilter].After continues
// behind it. Only letters that List has yielded have one.
func (l Letter) Cursor() LetterCursor { return l.cursor }

// LetterFilter says which letters are wanted; zero fields say nothing.
type LetterFilter struct {
	Topic, Handler, Cause string
	// States, if there are any, are the states that are wanted. OpenLetters are
	// those with which something is to be done.
	States []LetterState
	// Since and Until bound Letter.Time: from Since on, before Until. Since also
	// ends the reading; the clocks of the services are believed to within an
	// hour.
	Since, Until time.Time
	// Limit is the largest number of letters; 0 is no limit.
	Limit int
	// After continues a list behind the letter with this cursor. The
	// newest letters have to be read nevertheless, since they tell what has
	// become of the others.
	After LetterCursor
	// Progress, if it is not nil, is called from time to time with how many of
	// the offsets of the topics have been read.
	Progress func(read, total int64)
}

// OpenLetters are the states of letters that are not done with.
var OpenLetters = []LetterState{LetterSaved, LetterWaiting, LetterReplaying}

func (f *LetterFilter) wants(l *Letter) bool {
	return (f.Topic == "" || f.Topic == l.Topic) && (f.Handler == "" || f.Handler == l.Handler) && (f.Cause == "" || f.Cause == l.Cause) &&
		(len(f.States) == 0 || slices.Contains(f.States, l.State)) && (f.Until.IsZero() || l.Time.Before(f.Until))
}

// LetterRecord is a record of a letter's history.
type LetterRecord struct {
	Offset int64     `json:"offset"`
	Time   time.Time `json:"time"`
	// Kind is letter, copy, replay, done, discard or reopen.
	Kind string `json:"kind"`
	// Effect says whether the record has had an effect; it has none if it was
	// written without knowing of an operation before it.
	Effect bool `json:"effect"`
	// Follows is the offset of the record that it acts on, -1 for none.
	Follows  int64         `json:"follows"`
	Error    string        `json:"error,omitempty"`
	Attempts int           `json:"attempts,omitempty"`
	Replay   string        `json:"replay,omitempty"`
	By       string        `json:"by,omitempty"`
	Reason   string        `json:"reason,omitempty"`
	Instance string        `json:"instance,omitempty"`
	Took     time.Duration `json:"took,omitempty"`
}

// LetterHeader is a header of the event.
type LetterHeader struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// LetterHistory is everything that is known of a letter.
type LetterHistory struct {
	Letter
	// Records are in the order in which they were written.
	Records []LetterRecord `json:"records"`
	// Headers and Payload are the event's, as it failed last. They are nil, and
	// HasEvent false, if the log no longer has it.
	HasEvent bool           `json:"has_event"`
	Headers  []LetterHeader `json:"headers,omitempty"`
	Payload  []byte         `json:"payload,omitempty"`
}
