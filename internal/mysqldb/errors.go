package mysqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Error numbers of the servers; see the error references of MySQL, MariaDB
// and SingleStore. Those from 2000 on are a client's, which proxies pass on.
const (
	NumNoTable         = 1146
	NumNoColumn        = 1054
	NumDuplicateColumn = 1060
	numDenied          = 1045
	numDeniedDB        = 1044
	numNoDatabase      = 1049
	numNoSavepoint     = 1305
	numLockTimeout     = 1205
	numLocksFull       = 1206 // no memory for more locks
	numDeadlock        = 1213
	numErrorDuring     = 1180 // an error during COMMIT
	numShutdown        = 1053
	numInterrupted     = 1317
	numConnKilled      = 1927 // MariaDB
	numClusterUnsure   = 1047 // Galera: not ready
)

// conflicts have rolled the transaction back, or are a wait that was bounded.
var conflicts = map[uint16]bool{
	numLockTimeout: true,
	numDeadlock:    true,
	1020:           true, // MariaDB: the record has changed since it was read
	1613:           true, // XA: rolled back after a timeout
	1614:           true, // XA: rolled back after a deadlock
	3058:           true, // a deadlock of GET_LOCK
	3101:           true, // group replication: another member's transaction was first
	3572:           true, // NOWAIT
}

// away are answers of a server that shuts down, starts, has no resources, has
// trouble with its own files or takes no writes, and of a proxy without one.
var away = map[uint16]bool{
	1021: true, 1030: true, 1037: true, 1038: true, 1041: true, 1114: true, numLocksFull: true, // disk, engine, memory
	1040: true, 1129: true, 1135: true, 1203: true, 1226: true, // connections
	numClusterUnsure: true, numShutdown: true, 1077: true, 1079: true, 1080: true,
	1152: true, 1158: true, 1159: true, 1160: true, 1161: true, 1184: true, // the network
	1290: true, 1836: true, // --read-only
	numConnKilled: true,
	1180:          true,
	3100:          true, // a replication plugin has refused the COMMIT
	2002:          true, 2003: true, 2006: true, 2013: true, 2055: true,
	9001: true, // ProxySQL: no server of the group answers
}

// unsure are answers to COMMIT that do not say that it has not happened.
var unsure = map[uint16]bool{
	numErrorDuring: true, numShutdown: true, 1077: true, 1079: true, 1080: true, numInterrupted: true, numConnKilled: true,
	1152: true, 1158: true, 1159: true, 1160: true, 1161: true, 1184: true,
	numClusterUnsure: true, 3100: true,
	2002: true, 2003: true, 2006: true, 2013: true, 2055: true, 9001: true,
}

// Number returns the server's error number in err, 0 if there is none.
func Number(err error) uint16 {
	if answer, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return answer.Number
	}
	return 0
}

// Fault says whose fault an error is. A statement that was interrupted (1317)
// or took too long is the handler's: it is slow again. The end of a context
// says nothing about the database.
func Fault(err error) eventmodels.Fault {
	switch n := Number(err); {
	case conflicts[n]:
		return eventmodels.FaultConflict
	case away[n]:
		return eventmodels.FaultAway
	case n != 0:
		return eventmodels.FaultEvent
	case Lost(err):
		return eventmodels.FaultAway
	}
	return eventmodels.FaultEvent
}

// Lost says that err is not a server's answer and means that the connection is
// gone.
func Lost(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if _, ok := errors.AsType[*url.Error](err); ok { // a handler's HTTP request, and no connection to a database
		return false
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, mysql.ErrPktSync) || errors.Is(err, mysql.ErrMalformPkt)
}

// CommitRefused says whether an error of COMMIT proves that the transaction
// has not taken effect: it was over before, the server has said that it
// refuses, or nothing was sent, which is what the driver's ErrBadConn means
// (and ErrInvalidConn does not).
func CommitRefused(err error) bool {
	if _, ok := errors.AsType[*RolledBackError](err); ok {
		return true
	}
	if n := Number(err); n != 0 {
		return !unsure[n]
	}
	// COMMIT is not watched by a context: one that has ended has ended before.
	return errors.Is(err, sql.ErrTxDone) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// A RolledBackError says that a transaction was rolled back because of the
// error of one of its statements. Statements after that would take effect one
// by one, outside of any transaction (after a deadlock the server is in none),
// or a COMMIT would keep the others (after a lock timeout it is).
type RolledBackError struct{ Cause error }

func (e *RolledBackError) Error() string {
	return fmt.Sprintf("the transaction was rolled back because of an earlier error, which must be returned and not be ignored: %v", e.Cause)
}

func (e *RolledBackError) Unwrap() error { return e.Cause }

// EndsTransaction says that after err nothing may be done in its transaction. One
// that has no memory for its locks has been rolled back like after a deadlock.
func EndsTransaction(err error) bool {
	n := Number(err)
	return err != nil && (conflicts[n] || n == numLocksFull || n == numConnKilled || Lost(err))
}

// NoSavepoint says that a savepoint is gone: its transaction has ended.
func NoSavepoint(err error) bool { return Number(err) == numNoSavepoint }

// ExplainConnect says in words why a connection could not be made. Neither the
// driver nor the servers repeat a password. product is the server's name.
func ExplainConnect(product string, config *mysql.Config, err error) error {
	where := fmt.Sprintf("%s database %q at %s as user %q", product, config.DBName, config.Addr, config.User)
	switch Number(err) {
	case numDenied:
		return fmt.Errorf("connect to %s: the server refuses the user or the password: %w", where, err)
	case numDeniedDB:
		return fmt.Errorf("connect to %s: the user has no rights on this database: %w", where, err)
	case numNoDatabase:
		return fmt.Errorf("connect to %s: there is no such database: %w", where, err)
	case 1040, 1203, 1226:
		return fmt.Errorf("connect to %s: the server has no connection left; lower the limits of the pools or raise its max_connections: %w", where, err)
	case 0:
		return fmt.Errorf("connect to %s: the server does not answer; check the address, and that it runs: %w", where, err)
	}
	return fmt.Errorf("connect to %s: %w", where, err)
}
