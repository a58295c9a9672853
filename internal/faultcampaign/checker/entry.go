package checker

import "time"

// Entry is something that happened, or that was found at the end.
type Entry interface {
	// when is the entry's time; zero where it has none.
	when() time.Time
}

// Kind is what a handler promises.
type Kind string

// The kinds of handlers.
const (
	Idempotent  Kind = "idempotent"
	ExactlyOnce Kind = "exactly-once"
	Broadcast   Kind = "broadcast"
)

// Handler declares a handler. Group is "" for broadcasts.
type Handler struct {
	Group, Name string
	Kind        Kind
	Topics      []string
	Ordered     bool // WithOrdering(ByKey)
	Letters     bool // what fails for good becomes a dead letter
}

// Committed is an event that must arrive: its transaction was committed, or
// the brokers acknowledged it.
type Committed struct {
	At    time.Time // not later than the moment when it could have been seen first: the begin of the transaction, say
	Topic string
	ID    string // unique among all topics
	Key   string // "" is no key: nothing is promised about its order
	Seq   int64  // the commit order within (Topic, Key), rising, drawn under the key's row lock; 0 is none
}

// Uncertain is an event of which nobody was told whether it was written, and
// for which nothing tells it afterwards: an immediate Produce that returned an
// error. It may arrive.
type Uncertain struct {
	At    time.Time
	Topic string
	ID    string
	Key   string
}

// RolledBack is an event of a transaction that did not commit. It must not
// arrive. Committed of the same event takes precedence: a commit whose outcome
// was unknown may be recorded as RolledBack, and found Committed in the table.
type RolledBack struct {
	At    time.Time
	Topic string
	ID    string
	Key   string
}

// Told is what the caller of an event's transaction was told of its end. A
// caller who was told that the outcome is unknown was told nothing.
type Told struct {
	At        time.Time
	Instance  string
	Topic, ID string
	Committed bool
	Error     string
}

// Doomed says that the handler fails for good with the event, because the
// run wants it so.
type Doomed struct {
	Group, Handler string
	Topic, ID      string
	Unseen         bool // the handler is not called with it: the event cannot be decoded
}

// Delivered is the begin of a handler's call with an event. A batch is as many
// entries as it has events.
type Delivered struct {
	At             time.Time
	Instance       string // the process
	Group, Handler string
	Topic, ID, Key string
	Partition      int32
	Offset         int64
	Attempt        int
}

// Handled is the end of a handler's call that returned no error, recorded
// before it returns.
type Handled struct {
	At             time.Time
	Instance       string
	Group, Handler string
	Topic, ID      string
}

// Effect is what an exactly-once handler has left in the database.
type Effect struct {
	Group, Handler string
	Topic, ID      string
}

// Logged is a record in Kafka.
type Logged struct {
	At             time.Time // when it was appended; zero is unknown
	Topic          string
	Partition      int32
	Offset         int64
	ID, Key        string
	Producer       int64 // the batch's producer id; below 0 is none
	Epoch          int16 // and its epoch
	OtherwiseAdded bool  // written by the run itself, not with the library: nobody has committed it, and handlers may see it
}

// Grown says that the topic gained partitions: keys move.
type Grown struct {
	At         time.Time
	Topic      string
	Partitions int32
}

// Trimmed says that records of the topic were removed, maybe unread: what is
// no longer in the log need not have reached anybody.
type Trimmed struct {
	At    time.Time
	Topic string
}

// Letter is a dead letter of which the last word is that it failed. Copies and
// a second letter with the same LetterID are the same letter.
type Letter struct {
	Group, Handler string
	Topic, ID      string // of the event
	LetterID       string
	Error          string
}

// Up says that an instance's broadcast handlers are ready (StartConsuming's
// started is closed).
type Up struct {
	At       time.Time
	Instance string
}

// Down says that an instance has begun to stop, or is gone.
type Down struct {
	At       time.Time
	Instance string
}

// Gap is a call of OnBroadcastGap.
type Gap struct {
	At       time.Time
	Instance string
	Topic    string
}

func (Handler) when() time.Time      { return time.Time{} }
func (e Committed) when() time.Time  { return e.At }
func (e Uncertain) when() time.Time  { return e.At }
func (e RolledBack) when() time.Time { return e.At }
func (e Told) when() time.Time       { return e.At }
func (Doomed) when() time.Time       { return time.Time{} }
func (e Delivered) when() time.Time  { return e.At }
func (e Handled) when() time.Time    { return e.At }
func (Effect) when() time.Time       { return time.Time{} }
func (e Logged) when() time.Time     { return e.At }
func (e Grown) when() time.Time      { return e.At }
func (e Trimmed) when() time.Time    { return e.At }
func (Letter) when() time.Time       { return time.Time{} }
func (e Up) when() time.Time         { return e.At }
func (e Down) when() time.Time       { return e.At }
func (e Gap) when() time.Time        { return e.At }
