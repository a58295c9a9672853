package eventmodels

import (
	"database/sql/driver"

	"github.com/google/uuid"
)

// AbstractID is the type of the ids that a backend gives outbox rows: a
// UUIDv7 (RFC 9562) in the form that the database stores.
type AbstractID[ID any] interface {
	// New returns a new UUIDv7. The receiver does not matter.
	New() ID
	// Of returns the ID that holds id. The receiver does not matter.
	Of(id uuid.UUID) ID
	// Get returns the UUID.
	Get() uuid.UUID
	// String returns the usual form with hyphens.
	String() string
}

var (
	_ AbstractID[StringEventID] = StringEventID{}
	_ AbstractID[BinaryEventID] = BinaryEventID{}
	_ driver.Valuer             = StringEventID{}
	_ driver.Valuer             = BinaryEventID{}
)

// StringEventID is an id that the SQL driver sees as a string: PostgreSQL and
// SQLite.
type StringEventID struct{ uuid.UUID }

// New implements [AbstractID].
func (StringEventID) New() StringEventID { return StringEventID{newUUID()} }

// Of implements [AbstractID].
func (StringEventID) Of(id uuid.UUID) StringEventID { return StringEventID{id} }

// Get implements [AbstractID].
func (id StringEventID) Get() uuid.UUID { return id.UUID }

// BinaryEventID is an id that the SQL driver sees as 16 bytes: MySQL and
// SingleStore.
type BinaryEventID struct{ uuid.UUID }

// New implements [AbstractID].
func (BinaryEventID) New() BinaryEventID { return BinaryEventID{newUUID()} }

// Of implements [AbstractID].
func (BinaryEventID) Of(id uuid.UUID) BinaryEventID { return BinaryEventID{id} }

// Get implements [AbstractID].
func (id BinaryEventID) Get() uuid.UUID { return id.UUID }

// Value implements driver.Valuer.
func (id BinaryEventID) Value() (driver.Value, error) { return id.UUID[:], nil }

// newUUID panics only if the operating system has no randomness, in which
// case crypto/rand has already ended the process.
func newUUID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
