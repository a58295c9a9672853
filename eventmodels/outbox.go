package eventmodels

import (
	"context"
	"math"
	"time"

	"github.com/google/uuid"
)

// OutboxRow is an event in the outbox.
type OutboxRow struct {
	// Seq is drawn by the database when the row is inserted.
	Seq int64
	// ID is the row's UUIDv7.
	ID uuid.UUID
	// Topic is the wire topic.
	Topic string
	// Key is nil for a record without key.
	Key []byte
	// Headers are the record's headers as the Kafka record format (v2)
	// writes them, their count first. A store keeps them as they are.
	Headers []byte
	// Payload is nil for a tombstone.
	Payload []byte
	// CreatedAt becomes the record's timestamp.
	CreatedAt time.Time
}

// OutboxKey identifies a row. A bare Seq can be issued again after a lossy
// recovery.
type OutboxKey struct {
	Seq int64
	ID  uuid.UUID
}

// Weight is the size of key, headers and payload in bytes.
func (r *OutboxRow) Weight() int { return len(r.Key) + len(r.Headers) + len(r.Payload) }

// OutboxKey returns what identifies the row.
func (r *OutboxRow) OutboxKey() OutboxKey { return OutboxKey{Seq: r.Seq, ID: r.ID} }

// SeqRange is a range of seqs, both ends included.
type SeqRange struct{ Lo, Hi int64 }

// OutboxRead asks for rows of a scope: those with a seq in Gaps or above
// Hint, in the order of seq, at most Limit.
type OutboxRead struct {
	Scope string
	// Gaps are ordered, do not overlap and lie at or below Hint.
	Gaps []SeqRange
	Hint int64
	// Limit is at least 1.
	Limit int
	// MaxBytes, if it is not 0, ends the page with the first row with which
	// keys, headers and payloads weigh as much.
	MaxBytes int
	// Blockers are ids of transactions, given only to stores that answer with
	// ProofXID. If one of them has ended in the read's snapshot the page has no
	// rows, and [OutboxPage].Ended says why.
	Blockers []uint64
	// Held are wire topics whose rows are returned without key, headers and
	// payload: they cannot be sent now.
	Held []string
}

// ProofKind is how a backend knows that a seq that was skipped will never
// appear.
type ProofKind int

const (
	// ProofClock: it does not know, and time has to do.
	ProofClock ProofKind = iota
	// ProofXID: transactions have an id before they draw a seq, and a
	// snapshot says which have ended (PostgreSQL).
	ProofXID
	// ProofSerial: one transaction writes at a time, so commits are in the
	// order of seq (SQLite).
	ProofSerial
)

// OutboxPage is the answer to an [OutboxRead], all of it from one snapshot.
type OutboxPage struct {
	Rows []OutboxRow
	// Cut says that MaxBytes has ended the page.
	Cut   bool
	Proof ProofKind
	// Xmin, with ProofXID, is the snapshot's: every transaction with an id
	// below it has ended.
	Xmin uint64
	// Drawn, with ProofXID, is a transaction id above all that were assigned
	// before ReadOutbox was called: one that was assigned since, or that would
	// be assigned next. (A snapshot's xmax will not do: it is one above the
	// highest id that has ended, and a transaction that runs may have an id
	// above it.)
	Drawn uint64
	// Xmax and Running, with ProofXID, are the snapshot's: all transactions
	// with an id below Xmax that are not in Running, which is in order, have
	// ended. Xmax is 0 if that is not known.
	Xmax    uint64
	Running []uint64
	// Ended, with ProofXID, says that one of the read's Blockers has ended.
	Ended bool
}

// Lease is the right to relay a scope.
type Lease struct {
	Scope string
	// Owner is unique to the process and its Library.
	Owner string
	// Epoch grows by one with every change of owner; it is the producer
	// epoch of what the owner writes to Kafka.
	Epoch int16
	// ProducerID is -1 until SetProducer was called.
	ProducerID int64
	// ClusterID is the Kafka cluster that the outbox is sent to.
	ClusterID string
	// DoneTo: no row with this seq or a smaller one is in the outbox, or will
	// be. 0 if that is not known of any.
	DoneTo int64
}

// LeaseState is what a lease row says.
type LeaseState struct {
	Owner string
	// Live says that the lease has not expired by the database's clock.
	Live bool
	// DoneTo is the lease's.
	DoneTo int64
}

// StatsLimit is how many rows are counted.
const StatsLimit = 100_000

// OutboxStats describe an outbox.
type OutboxStats struct {
	// Rows is the number of rows. Above [StatsLimit] it is estimated by their
	// seqs: it is too high where many were deleted behind the first ones, as
	// others' events are while those of a topic wait.
	Rows int64
	// Parked is the number of parked rows, at most [StatsLimit].
	Parked int64
	// OldestAge is the age of the oldest row (the one with the smallest seq) by
	// the database's clock; 0 for an empty outbox.
	OldestAge time.Duration
}

// OutboxCount is what a store has counted.
type OutboxCount struct {
	// Counted is the number of rows, or StatsLimit if there are more: those
	// with the smallest seqs.
	Counted int64
	// First and Last are the seqs of the first and the last that were counted;
	// Highest is the greatest seq of all rows. 0 in an empty outbox.
	First, Last, Highest int64
}

// Rows returns the number of rows, which it estimates if not all were counted:
// behind those that were they are taken to lie as close to each other.
func (c OutboxCount) Rows() int64 {
	if c.Counted < StatsLimit || c.Highest <= c.Last || c.Last <= c.First {
		return c.Counted
	}
	density := float64(c.Counted) / float64(c.Last-c.First+1)
	return c.Counted + int64(math.Round(density*float64(c.Highest-c.Last)))
}

// ParkedRow is an event that Kafka has refused for itself.
type ParkedRow struct {
	// OutboxRow is the row as it was in the outbox, without Headers and
	// Payload: most were parked because they are too large.
	OutboxRow
	// PayloadSize is in bytes.
	PayloadSize int
	// Error is why it was parked.
	Error    string
	ParkedAt time.Time
}

// ParkedKey is a place in the list of parked rows, the newest first. Two rows
// can have the same Seq after a lossy recovery.
type ParkedKey struct {
	ParkedAt time.Time
	OutboxKey
}

// ParkedKey returns the row's place.
func (r *ParkedRow) ParkedKey() ParkedKey { return ParkedKey{r.ParkedAt, r.OutboxKey()} }

// OutboxStore is what a database backend answers the relay: facts, one
// statement each, in autocommit, at READ COMMITTED. The algorithm lives in
// the package eventdb.
//
// Times are by the database's clock (SQLite: the process's). Methods may be
// called by several goroutines at once. A method whose connection is lost
// returns the error; the next call connects again.
type OutboxStore interface {
	// AcquireLease takes the lease of a scope if it is free, expired or
	// already owner's, with a new epoch, and with the DoneTo that was recorded
	// last. held is false, and only Owner of the lease set, if another owner's
	// lease is live. A first lease records clusterID; if another cluster is
	// recorded the error is a [*ClusterMismatchError].
	AcquireLease(ctx context.Context, scope, owner, clusterID string, ttl time.Duration) (l Lease, held bool, err error)
	// SetProducer records the producer id, and the epoch to begin with, for
	// the holder of l. [ErrLeaseLost] if it is l's no more.
	SetProducer(ctx context.Context, l Lease, producerID int64, epoch int16) (Lease, error)
	// RenewLease extends l to ttl from now, and records its DoneTo.
	// [ErrLeaseLost] if another owner has it or its epoch has changed; a lease
	// that has expired but that nobody has taken is renewed.
	RenewLease(ctx context.Context, l Lease, ttl time.Duration) error
	// ReleaseLease lets l expire at once, and records its DoneTo, if it is
	// still l's.
	ReleaseLease(ctx context.Context, l Lease) error
	// LookLease returns what the scope's row says, zero if there is none.
	LookLease(ctx context.Context, scope string) (LeaseState, error)

	// ReadOutbox reads; see [OutboxRead]. Rows that it returns were committed,
	// and are still when the server has crashed, as far as commits last there.
	ReadOutbox(ctx context.Context, read OutboxRead) (OutboxPage, error)
	// DeleteOutbox deletes the rows with these keys; those that are gone
	// are not an error.
	DeleteOutbox(ctx context.Context, scope string, keys []OutboxKey) error
	// ParkOutbox moves a row to the parked ones; a row that is gone is not an
	// error. reason is UTF-8 without NUL, of about 8 KiB at most.
	ParkOutbox(ctx context.Context, scope string, key OutboxKey, reason string) error
	// ListParked returns up to limit parked rows, those first that were parked
	// last: the rows behind the place after, or the first ones if it is zero.
	ListParked(ctx context.Context, scope string, after ParkedKey, limit int) ([]ParkedRow, error)
	// RequeueParked moves the parked rows with these ids back into the outbox,
	// in the order of their old seqs and with new ones, in one transaction, and
	// returns how many there were.
	RequeueParked(ctx context.Context, scope string, ids []uuid.UUID) (int, error)
	// DiscardParked deletes the parked rows with these ids, and returns how
	// many there were.
	DiscardParked(ctx context.Context, scope string, ids []uuid.UUID) (int, error)
	// Stats counts, up to a limit: see [OutboxStats]. Rows with a seq of doneTo
	// or less, of which there are none (see [Lease]), are not looked for.
	Stats(ctx context.Context, scope string, doneTo int64) (OutboxStats, error)

	// DeleteMarks deletes up to limit marks that were made longer than age
	// ago, and returns how many.
	DeleteMarks(ctx context.Context, age time.Duration, limit int) (int, error)

	// Concerns are settings of the server with which a promise does not hold,
	// each with what to do, in a sentence; they are logged when the relay
	// starts. What the library cannot work with at all is an error of
	// opening the store.
	Concerns(ctx context.Context) ([]string, error)

	// Wake tells the relays of other processes that a scope has new rows or
	// that its lease is free. A backend that cannot does nothing.
	Wake(ctx context.Context, scope string) error
	// Listen calls wake for each Wake of another process until ctx ends or
	// the connection is lost. listening is closed once no later Wake can be
	// missed. A backend that cannot returns errors.ErrUnsupported at once.
	Listen(ctx context.Context, scope string, listening chan<- struct{}, wake func()) error

	// Close closes the store's connections.
	Close() error
}
