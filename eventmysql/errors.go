package eventmysql

import (
	"fmt"

	eventerrors "github.com/memsql/errors"

	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// ErrSchema says (errors.Is) that the database has not got the library's
// tables, or not all of them.
const ErrSchema eventerrors.String = "the tables of the events library are missing or older than it; run eventmysql.Migrate (or Open with WithMigrate), or apply eventmysql.Schema with the migration tool of your choice"

// ServerError says that a setting or the version of the server is one that the
// library cannot work with.
type ServerError struct {
	// Setting is the variable's name, "version" for the version, or the name
	// of a table whose engine is wrong.
	Setting string
	// Value is what it is.
	Value string
	// Need says what it must be, and why.
	Need string
}

// Error says what to do.
func (e *ServerError) Error() string {
	return fmt.Sprintf("the database server's %s is %q; %s", e.Setting, e.Value, e.Need)
}

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
	return fmt.Sprintf("%s is not a transaction that events can be produced in; give a *sql.Tx, or a type that embeds one (*eventmysql.Tx, *sqlx.Tx). "+
		"A pool or a connection is none: the event would be stored although the transaction rolls back", e.Type)
}

// explainSchema adds what to do to the error of a statement on a table or a
// column that does not exist.
func explainSchema(err error) error {
	if n := mysqldb.Number(err); n == mysqldb.NumNoTable || n == mysqldb.NumNoColumn {
		return fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return err
}
