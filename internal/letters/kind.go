package letters

// Kind is what a record of a dead-letter topic is.
type Kind uint8

// The kinds of records. Unknown ones are passed over.
const (
	Unknown Kind = iota
	Letter
	Copy
	Replay
	Done
	Discard
	Reopen
)

var kinds = [...]string{Letter: "letter", Copy: "copy", Replay: "replay", Done: "done", Discard: "discard", Reopen: "reopen"}

// String returns the kind as it stands in the header.
func (k Kind) String() string {
	if int(k) < len(kinds) && kinds[k] != "" {
		return kinds[k]
	}
	return "unknown"
}

// parseKind returns Unknown for what this version does not know.
func parseKind(text string) Kind {
	for k, name := range kinds {
		if name != "" && name == text {
			return Kind(k)
		}
	}
	return Unknown
}

// Operation says whether the kind is one that overtakes: a record written
// without knowing of it has no effect.
func (k Kind) Operation() bool { return k == Replay || k == Done || k == Discard || k == Reopen }

// Mode says what becomes of a letter by itself.
type Mode uint8

const (
	// Save: it stays until somebody asks for a replay.
	Save Mode = iota
	// Retry: it is tried again after its not-before.
	Retry
)

// String returns the mode as it stands in the header.
func (m Mode) String() string {
	if m == Retry {
		return "retry"
	}
	return "save"
}

// State is what a letter's records say of it.
type State uint8

// The states of a letter.
const (
	// None: no record with effect is known.
	None State = iota
	Saved
	Waiting
	Replaying
	Finished
	Discarded
)

var states = [...]string{None: "none", Saved: "saved", Waiting: "waiting", Replaying: "replaying", Finished: "done", Discarded: "discarded"}

// String returns the state's word.
func (s State) String() string {
	if int(s) < len(states) {
		return states[s]
	}
	return "unknown"
}
