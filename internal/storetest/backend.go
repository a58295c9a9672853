package storetest

import (
	"context"
	"database/sql"
	"io/fs"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
)

// TX is a backend's own type of transactions.
type TX interface {
	eventdb.BasicTX
	eventmodels.EnhancedTX
}

// DB is a backend's own type of databases, with transactions of type T.
type DB[ID eventmodels.AbstractID[ID], T eventmodels.AbstractTX] interface {
	eventmodels.AbstractDB[ID, T]
	Close() error
}

// Backend is what the tests know of a backend: O is its type of options.
type Backend[ID eventmodels.AbstractID[ID], T TX, D DB[ID, T], O any] struct {
	// Name is the package's, as its errors have it.
	Name string
	// LeaveOut are the tests, or groups of them, that have no meaning for the
	// backend, or cannot be run there: "Group/Name" or "Group".
	LeaveOut []string
	// DialectOf is the dialect of an open database.
	DialectOf func(D) eventdb.Dialect
	// Proof is how the backend knows that a gap will not be filled.
	Proof eventmodels.ProofKind

	// What the package exports, under the same names.
	Open                  func(ctx context.Context, dsn string, opts ...O) (D, error)
	Wrap                  func(pool *sql.DB, opts ...O) D
	WithMigrate           func() O
	WithKeyLocks          func() O
	WithMarkWait          func(time.Duration) O
	WithMaxConnections    func(int) O
	DefaultMaxConnections int
	Migrate, CheckSchema  func(context.Context, *sql.DB) error
	Schema                fs.FS
	ErrSchema             error
	// New with types that are not the backend's own.
	New Constructors[ID]

	// PoolOf and Begin are the pool and BeginTx of what a D has wrapped.
	PoolOf func(D) *sql.DB
	Begin  func(context.Context, D) (T, error)

	Server[ID, T, D, O]
	Store[ID, T, D, O]
	Transactions[ID, T, D, O]
}

// Constructors are the backend's New for types of a service's own.
type Constructors[ID eventmodels.AbstractID[ID]] struct {
	SQL     func(*sql.DB) DB[ID, *sql.Tx]
	Example func(eventdb.ExampleBasicDB) DB[ID, *eventdb.ExampleBasicTX]
	Bare    func(BareDB) DB[ID, *sql.Tx]
	// Kept is the number of a pool's connections that are not for handlers.
	Kept int
}

// Server is how to get at the database's server, and its SQL.
type Server[ID eventmodels.AbstractID[ID], T TX, D DB[ID, T], O any] struct {
	// Empty makes an empty database that is dropped at the end of the test. It
	// skips the test if there is no server.
	Empty func(t testing.TB) (dsn string)
	// Pool opens a pool that is closed at the end of the test.
	Pool func(t testing.TB, dsn string) *sql.DB
	// ReadOnly opens a pool whose sessions cannot write.
	ReadOnly func(t testing.TB, dsn string) *sql.DB
	// WrongDSNs are refused by Open, with what is to be found in the errors.
	// Nobody listens at the address closed.
	WrongDSNs func(t testing.TB, closed string) map[string]WrongDSN
	// Secrets are found in none of these errors.
	Secrets []string

	// Ago is an expression for a time, as the library's tables have it.
	Ago func(time.Duration) string
	// Isolation asks for the level of the transaction that it is in.
	Isolation string
	// ConnectionID asks for the server's id of the connection.
	ConnectionID string
	// Kill is a statement that ends a connection, by this id.
	Kill func(id int64) string
	// Sleep is a statement that takes so long.
	Sleep func(time.Duration) string
	// AwaitBlocked returns once n statements wait for another transaction.
	AwaitBlocked func(t testing.TB, d *Database[ID, T, D, O], on Lock, n int)
	// Abandoned is how many statements go on waiting on the server for one
	// that was given up: 0 or 1.
	Abandoned int
}

// WrongDSN is a connection string that does not work.
type WrongDSN struct {
	DSN  string
	Want []string // in the error
}

// Lock is what a statement waits for.
type Lock int

// What is waited for.
const (
	OnMark Lock = iota
	OnLease
	OnKey
)

// Store is what the tests know of the backend's [eventmodels.OutboxStore].
type Store[ID eventmodels.AbstractID[ID], T TX, D DB[ID, T], O any] struct {
	// Work runs f with one of the connections that are not the lease's, as
	// calls of the store do.
	Work            func(ctx context.Context, s eventmodels.OutboxStore, f func(context.Context) error) error
	WorkConnections int
	// Cut ends the store's connections, and LostCalls is how many calls may
	// fail before the next one connects again.
	Cut       func(t testing.TB, d *Database[ID, T, D, O], s eventmodels.OutboxStore)
	LostCalls int
	ErrClosed error
	// InsertBytes is how much one INSERT takes.
	InsertBytes int
	// Ways are what can be done with rows to get them into the outbox, and
	// the stores that read them: nil stands for one of the Database.
	Ways func(t testing.TB, d *Database[ID, T, D, O]) map[string]Way
	// PassesLocked says that DeleteMarks passes over what another one deletes.
	PassesLocked bool
}

// Way is one into the outbox, and out of it.
type Way struct {
	Insert func(t testing.TB, rows []eventmodels.OutboxRow)
	Store  eventmodels.OutboxStore
}

// Transactions is what the tests know of the backend's transactions.
type Transactions[ID eventmodels.AbstractID[ID], T TX, D DB[ID, T], O any] struct {
	// Failures do not commit. They find the table orders, with an integer id,
	// and what Prepare has made; the pool has one connection.
	Failures map[string]Failure[T]
	Prepare  func(t testing.TB, d *Database[ID, T, D, O])
	// Commits commit behind Transact's back, besides COMMIT.
	Commits map[string]func(T) error
	// SlowCommit runs Transact with a transaction that stores an event and a
	// row in a table slow that it makes, and returns once COMMIT waits.
	SlowCommit func(t testing.TB, ctx context.Context, d *Database[ID, T, D, O]) SlowCommit
	// MarksDeadlock says that the server can find deliveries with common marks
	// deadlocked, which is a conflict, and comes before the handler.
	MarksDeadlock bool
	// NoTransactions are refused by ProduceTx with the package's
	// TransactionTypeError, whose text has TransactionType in it.
	NoTransactions         func(t testing.TB, d *Database[ID, T, D, O]) []any
	IsTransactionTypeError func(error) bool
	TransactionType        string
}

// Failure is a function for Transact that is not committed.
type Failure[T TX] struct {
	Do    func(T) error
	Want  func(error) bool // of Transact
	Fault eventmodels.Fault
}

// SlowCommit is a COMMIT that is under way.
type SlowCommit struct {
	ID      int64 // of its connection
	Release func()
	Result  <-chan error // of Transact
}

// group is tests of one subject.
type group struct {
	name  string
	tests map[string]func(*testing.T)
}

// Run runs all tests but those of LeaveOut.
func (b *Backend[ID, T, D, O]) Run(t *testing.T) {
	there := make(map[string]bool)
	for _, group := range b.groups() {
		there[group.name] = true
		for name := range group.tests {
			there[group.name+"/"+name] = true
		}
	}
	for _, name := range b.LeaveOut {
		if !there[name] {
			t.Errorf("there is no test %s to leave out", name)
		}
	}
	for _, group := range b.groups() {
		if slices.Contains(b.LeaveOut, group.name) {
			continue
		}
		t.Run(group.name, func(t *testing.T) {
			for _, name := range slices.Sorted(maps.Keys(group.tests)) {
				if !slices.Contains(b.LeaveOut, group.name+"/"+name) {
					t.Run(name, group.tests[name])
				}
			}
		})
	}
}

func (b *Backend[ID, T, D, O]) groups() []group {
	return []group{
		{"Open", map[string]func(*testing.T){
			"SaysWhatIsWrong":      b.openSaysWhatIsWrong,
			"AndClose":             b.openAndClose,
			"WrapPanicsOnMistakes": b.wrapPanicsOnMistakes,
			"OwnTypes":             b.ownTypes,
		}},
		{"Migrate", map[string]func(*testing.T){
			"ByAllInstancesAtOnce":                 b.migrateByAllInstancesAtOnce,
			"NeedsNoRightsWhereThereIsNothingToDo": b.migrateNeedsNoRights,
			"EndsWithItsContext":                   b.migrateEndsWithItsContext,
			"CheckSchema":                          b.checkSchema,
		}},
		{"Lease", map[string]func(*testing.T){
			"HasOneWinner":        b.leaseHasOneWinner,
			"Epochs":              b.leaseEpochs,
			"DoneTo":              b.leaseDoneTo,
			"ScopesAreApart":      b.leaseScopesAreApart,
			"OfAnotherCluster":    b.leaseOfAnotherCluster,
			"EpochNeverOverflows": b.leaseEpochNeverOverflows,
			"WaitsForNoOtherWork": b.leaseWaitsForNoOtherWork,
		}},
		{"Marks", map[string]func(*testing.T){
			"TransactOnce":         b.transactOnce,
			"AreBytes":             b.marksAreBytes,
			"OfOverlappingBatches": b.marksOfOverlappingBatches,
			"ThatAreBusy":          b.marksThatAreBusy,
			"Delete":               b.deleteMarks,
		}},
		{"Outbox", map[string]func(*testing.T){
			"KeepsEveryByte":                     b.outboxKeepsEveryByte,
			"InsertOfManyBytesIsSplitInOrder":    b.insertIsSplitInOrder,
			"Read":                               b.read,
			"ReadOfHeldTopics":                   b.readOfHeldTopics,
			"ReadByWeight":                       b.readByWeight,
			"ReadingKeepsCommitOrder":            b.readingKeepsCommitOrder,
			"Delete":                             b.deleteOutbox,
			"ParkAndStats":                       b.parkAndStats,
			"ParkedRows":                         b.parkedRows,
			"ParkedBefore":                       b.parkedBefore,
			"RowsThatManyRequeue":                b.rowsThatManyRequeue,
			"StoreReconnects":                    b.storeReconnects,
			"StoreClose":                         b.storeClose,
			"CallsOfTheStoreEndWithTheirContext": b.callsEndWithTheirContext,
		}},
		{"Transact", map[string]func(*testing.T){
			"CommitsDataAndEvents":   b.transactCommitsDataAndEvents,
			"OfManyEvents":           b.transactOfManyEvents,
			"ThatFails":              b.transactThatFails,
			"CommittedBehindItsBack": b.transactCommittedBehindItsBack,
			"AfterPanic":             b.transactAfterPanic,
			"WhenTheRelayFails":      b.transactWhenTheRelayFails,
			"WithoutLibrary":         b.produceWithoutLibrary,
			"WithoutTables":          b.produceWithoutTables,
			"WhoseContextEnds":       b.transactWhoseContextEnds,
			"WaitsForAConnectionNoLongerThanItsContext": b.transactWaitsForAConnection,
			"CommitWhoseConnectionIsLost":               b.commitWhoseConnectionIsLost,
			"CommitOutlivesItsContext":                  b.commitOutlivesItsContext,
			"ProduceTx":                                 b.produceTx,
			"KeyLocks":                                  b.keyLocks,
		}},
	}
}

// wrap is Wrap for a database that is closed at the end of the test.
func (b *Backend[ID, T, D, O]) wrap(t testing.TB, pool *sql.DB, opts ...O) D {
	db := b.Wrap(pool, opts...)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
