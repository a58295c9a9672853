package eventtest

import (
	"testing"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
)

// Harness says what the suite runs on.
type Harness[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]] struct {
	// Brokers are the addresses of a Kafka cluster that allows the suite to
	// create topics. Every test uses a prefix of its own.
	Brokers []string
	// Broker is the embedded broker behind Brokers, nil if it is Kafka. Tests
	// that need to make requests fail run only with it.
	Broker *eventembed.Broker
	// NewDatabase makes an empty, migrated database for one test, and returns
	// what opens a connection to it: each call is like another process of the
	// same service, and may be closed by the test's cleanup. nil: the suite
	// runs without database.
	NewDatabase func(t testing.TB) (open func() DB)
	// Concurrent says that several transactions of the database can write at
	// the same time, as they cannot in SQLite.
	Concurrent bool
	// DeferredConstraints says that a foreign key can be DEFERRABLE INITIALLY
	// DEFERRED, so that COMMIT refuses what violates it.
	DeferredConstraints bool
	// CommitsDefinitions says that a statement that defines a table commits
	// the transaction that it is in.
	CommitsDefinitions bool
	// OpenTransactions is a query for the number of the test's connections
	// that are in a transaction and idle, without the one that asks; "" if
	// the database cannot tell.
	OpenTransactions string
	// Quote is what stands around a column's name that is a reserved word;
	// "" is the double quote of the standard.
	Quote string
	// Bind is the placeholder of the n-th argument (from 1) of a statement.
	Bind func(n int) string
}

// Run runs the suite.
func Run[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]](t *testing.T, h Harness[ID, TX, DB]) {
	s := &suite[ID, TX, DB]{h: h}
	t.Run("Producing", s.producing)
	t.Run("Consuming", s.consuming)
	t.Run("Letters", s.letters)
	t.Run("Broadcast", s.broadcast)
	t.Run("States", s.states)
	if h.NewDatabase != nil {
		t.Run("Outbox", s.outbox)
		t.Run("ExactlyOnce", s.exactlyOnce)
	}
}

// suite is the tests' receiver.
type suite[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]] struct {
	h Harness[ID, TX, DB]
}
