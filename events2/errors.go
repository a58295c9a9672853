package events2

import (
	"fmt"

	eventerrors "github.com/memsql/errors"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// ErrSchema says (errors.Is) that the database has not got the library's
// tables, or not all of them.
const ErrSchema eventerrors.String = "the tables of the events library are missing or older than it; run events2.Migrate (or Open with WithMigrate), or apply events2.Schema with the migration tool of your choice"

// DriverError says that a *sql.DB does not use github.com/go-sql-driver/mysql.
type DriverError = mysqldb.DriverError

// TransactionTypeError says that ProduceTx was given something that is not a
// transaction that it knows.
type TransactionTypeError struct {
	// Type of what was given.
	Type string
}

// Error says what may be given.
func (e *TransactionTypeError) Error() string {
	return fmt.Sprintf("%s is not a transaction that events can be produced in; give a *sql.Tx, or a type that embeds one (*events2.Tx, *sqlx.Tx). "+
		"A pool or a connection is none: the event would be stored although the transaction rolls back", e.Type)
}

// away are SingleStore's own numbers for a cluster that cannot work now: no
// memory (1712), a leaf that does not answer or was lost (1735, 2004, 2470), a
// partition without a master (1777), a cluster that is not ready (1772, 1791).
// MySQL uses some of them for mistakes in statements that the library's
// statements do not make.
var away = map[uint16]bool{1712: true, 1735: true, 1772: true, 1777: true, 1791: true, 2004: true, 2470: true}

// Fault implements [eventdb.Dialect]. The wait for a lock ends with a timeout
// (1205) also where two transactions wait for each other: SingleStore does not
// look for deadlocks.
func (dialect) Fault(err error) eventmodels.Fault {
	if away[mysqldb.Number(err)] {
		return eventmodels.FaultAway
	}
	return mysqldb.Fault(err)
}

// CommitRefused implements [eventdb.Dialect]. A COMMIT during which a leaf is
// lost is completed or undone later.
func (dialect) CommitRefused(err error) bool {
	return !away[mysqldb.Number(err)] && mysqldb.CommitRefused(err)
}

// explainSchema adds what to do to the error of a statement on a table or a
// column that does not exist.
func explainSchema(err error) error {
	if n := mysqldb.Number(err); n == mysqldb.NumNoTable || n == mysqldb.NumNoColumn {
		return fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return err
}
