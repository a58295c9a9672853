package eventpg

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/seed46dd6f11/events/eventmodels"
)

func answer(code, severity string) error {
	return &pgconn.PgError{Code: code, Severity: severity, SeverityUnlocalized: severity}
}

func TestFault(t *testing.T) {
	const (
		event    = eventmodels.FaultEvent
		conflict = eventmodels.FaultConflict
		away     = eventmodels.FaultAway
	)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for i, c := range []struct {
		err  error
		want eventmodels.Fault
	}{
		{nil, event},
		{errTest, event},
		{answer("23505", "ERROR"), event}, // unique_violation
		{answer("42P01", "ERROR"), event}, // undefined_table
		{answer("22P02", "ERROR"), event}, // invalid_text_representation
		{answer("25P02", "ERROR"), event}, // in_failed_sql_transaction
		{answer("25P03", "FATAL"), event}, // idle_in_transaction_session_timeout
		{answer("57014", "ERROR"), event}, // query_canceled
		{answer("40002", "ERROR"), event}, // transaction_integrity_constraint_violation
		{answer("XX000", "ERROR"), event},
		{answer("", "ERROR"), event},
		{answer("40001", "ERROR"), conflict},
		{answer("40P01", "ERROR"), conflict},
		{answer("55P03", "ERROR"), conflict},
		{answer("08006", "ERROR"), away},
		{answer("08P01", "FATAL"), away},
		{answer("53100", "ERROR"), away}, // disk_full
		{answer("53300", "FATAL"), away}, // too_many_connections
		{answer("57P01", "FATAL"), away},
		{answer("57P02", "FATAL"), away},
		{answer("57P03", "FATAL"), away},
		{answer("57P04", "FATAL"), away},
		{answer("57P05", "FATAL"), away},
		{answer("58030", "ERROR"), away}, // io_error
		{answer("25006", "ERROR"), away}, // read_only_sql_transaction, as on a standby
		{context.Canceled, event},
		{context.DeadlineExceeded, event},
		{ended.Err(), event},
		{pgx.ErrTxCommitRollback, event},
		{pgx.ErrNoRows, event},
		{sql.ErrNoRows, event},
		{sql.ErrTxDone, event},
		{errBusy, event},
		{driver.ErrBadConn, away},
		{sql.ErrConnDone, away},
		{pgconn.ErrConnClosed, away},
		{io.EOF, away},
		{io.ErrUnexpectedEOF, away},
		{refused, away},
		{&net.OpError{Op: "read", Err: net.ErrClosed}, away},
		{&url.Error{Op: "Get", URL: "http://example", Err: refused}, event},
		{&pgconn.ConnectError{Config: &pgconn.Config{}}, away},
	} {
		for _, err := range []error{c.err, fmt.Errorf("wrapped: %w", c.err)} {
			if c.err == nil {
				err = nil
			}
			if got := (dialect{}).Fault(err); got != c.want {
				t.Errorf("case %d, %v: %v, want %v", i, err, got, c.want)
			}
		}
	}
}

func TestCommitRefused(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{pgx.ErrTxCommitRollback, true},
		{pgx.ErrTxClosed, true},
		{sql.ErrTxDone, true},
		{errLostBefore, true},
		{pgconn.ErrConnClosed, false},
		{answer("23503", "ERROR"), true},
		{answer("40001", "ERROR"), true},
		{answer("53100", "ERROR"), true},
		{answer("57014", "ERROR"), true},
		{answer("25P03", "FATAL"), true},
		{answer("57P01", "FATAL"), false},
		{answer("57P02", "WARNING"), false},
		{answer("08006", "ERROR"), false},
		{answer("XX000", "PANIC"), false},
		{answer("53200", "FATAL"), false},
		{io.ErrUnexpectedEOF, false},
		{driver.ErrBadConn, false},
		{context.Canceled, false}, // pgx says no more about a COMMIT that was under way
		{context.DeadlineExceeded, false},
		{errTest, false},
	} {
		for _, err := range []error{c.err, fmt.Errorf("wrapped: %w", c.err)} {
			if got := (dialect{}).CommitRefused(err); got != c.want {
				t.Errorf("%v: %v, want %v", err, got, c.want)
			}
		}
	}
}

// The errors of a real server.
func TestFaultOfTheServer(t *testing.T) {
	f := newFixture(t)
	mustExec(t, f.Admin, "CREATE TABLE numbers (id integer PRIMARY KEY, n integer)")
	mustExec(t, f.Admin, "INSERT INTO numbers VALUES (1, 0), (2, 0)")
	run := func(fn func(*Tx) error) error { return f.Transact(testContext(t), fn) }
	statement := func(queries ...string) func() error {
		return func() error {
			return run(func(tx *Tx) error {
				for _, query := range queries {
					if _, err := tx.ExecContext(testContext(t), query); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	for name, c := range map[string]struct {
		do   func() error
		want eventmodels.Fault
	}{
		"unique violation":  {statement("INSERT INTO numbers VALUES (1, 0)"), eventmodels.FaultEvent},
		"no such table":     {statement("SELECT * FROM nothing"), eventmodels.FaultEvent},
		"statement timeout": {statement("SET LOCAL statement_timeout = 10", "SELECT pg_sleep(30)"), eventmodels.FaultEvent},
		"context": {func() error {
			ctx, cancel := context.WithCancel(testContext(t))
			return f.Transact(ctx, func(tx *Tx) error {
				pid := pidOf(t, tx)
				go func() {
					defer cancel()
					eventually(t, f.Admin, "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $1", pid)
				}()
				_, err := tx.ExecContext(ctx, "SELECT pg_sleep(30)")
				return err
			})
		}, eventmodels.FaultEvent},
		"read-only": {statement("SET TRANSACTION READ ONLY", "INSERT INTO numbers VALUES (3, 0)"), eventmodels.FaultAway},
		"lock timeout": {func() error {
			holder := f.BeginTx(t)
			mustExec(t, holder, "SELECT * FROM numbers FOR UPDATE")
			defer func() { _ = holder.Rollback() }()
			return statement("SET LOCAL lock_timeout = 10", "UPDATE numbers SET n = n + 1")()
		}, eventmodels.FaultConflict},
		"serialization failure": {func() error {
			return run(func(tx *Tx) error {
				mustExec(t, tx, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
				mustExec(t, tx, "SELECT * FROM numbers")
				mustExec(t, f.Admin, "UPDATE numbers SET n = n + 1")
				_, err := tx.ExecContext(testContext(t), "UPDATE numbers SET n = n + 1")
				return err
			})
		}, eventmodels.FaultConflict},
		"deadlock": {func() error {
			var both errgroup.Group
			ready := make(chan struct{}, 2)
			goOn := make(chan struct{})
			for _, ids := range [][2]int{{1, 2}, {2, 1}} {
				both.Go(func() error {
					return run(func(tx *Tx) error {
						mustExec(t, tx, "UPDATE numbers SET n = n + 1 WHERE id = $1", ids[0])
						ready <- struct{}{}
						<-goOn
						_, err := tx.ExecContext(testContext(t), "UPDATE numbers SET n = n + 1 WHERE id = $1", ids[1])
						return err
					})
				})
			}
			<-ready
			<-ready
			close(goOn)
			return both.Wait()
		}, eventmodels.FaultConflict},
		"server process ended": {func() error {
			return run(func(tx *Tx) error {
				mustExec(t, f.Admin, "SELECT pg_terminate_backend($1, 10000)", pidOf(t, tx))
				_, err := tx.ExecContext(testContext(t), "SELECT 1")
				return err
			})
		}, eventmodels.FaultAway},
		"after the server process has ended": {func() error {
			return run(func(tx *Tx) error {
				mustExec(t, f.Admin, "SELECT pg_terminate_backend($1, 10000)", pidOf(t, tx))
				_, _ = tx.ExecContext(testContext(t), "SELECT 1")
				_, err := tx.ExecContext(testContext(t), "SELECT 1")
				return err
			})
		}, eventmodels.FaultAway},
		"nobody listens": {func() error {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			address := listener.Addr().String()
			_ = listener.Close()
			return Wrap(rawPool(t, "postgres://u@"+address+"/d")).Ping(testContext(t))
		}, eventmodels.FaultAway},
		"no such database": {func() error {
			return Wrap(rawPool(t, withParams(f.DSN, "database=no_such_database"))).Ping(testContext(t))
		}, eventmodels.FaultAway},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.do()
			if got := f.Fault(err); err == nil || got != c.want {
				t.Errorf("%v of %v, want %v", got, err, c.want)
			}
		})
	}
}

// An environment variable that is not set is an empty connection string.
func TestEmptyConnectionString(t *testing.T) {
	config, err := parse("")
	if err != nil {
		t.Fatal(err)
	}
	if err := explainConnect(config, errTest); !errors.Is(err, errTest) || !strings.Contains(err.Error(), "the connection string is empty") {
		t.Error(err)
	}
}
