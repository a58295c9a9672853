package eventmysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// sessionSettings make the store's connections independent of the defaults of
// the server, of the user and of the application's pool. Locks are not waited
// for as long as a call may take, so that the server's answer is heard.
var sessionSettings = []string{
	`SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED`,
	`SET SESSION autocommit = 1, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 15, lock_wait_timeout = 15`,
}

// store is an [eventmodels.OutboxStore].
type store struct{ connections *mysqldb.Connections }

var _ eventmodels.OutboxStore = (*store)(nil)

// openStore connects, and checks the server and the tables.
func openStore(ctx context.Context, source mysqldb.Source) (*store, error) {
	s := &store{connections: mysqldb.NewConnections(source, sessionSettings...)}
	if err := s.connections.Lease(ctx, checkSchema); err != nil {
		return nil, errors.Join(fmt.Errorf("open the outbox: %w", err), s.Close())
	}
	return s, nil
}

// Close implements [eventmodels.OutboxStore].
func (s *store) Close() error {
	s.connections.Close()
	return nil
}

// exec runs a statement without rows and returns how many it has changed.
func exec(ctx context.Context, conn *sql.Conn, query string, args ...any) (int64, error) {
	result, err := conn.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// inTransaction runs statements that take effect together. A transaction that
// has failed is rolled back whatever has failed: the server goes on with one
// whose statement was refused.
func inTransaction(ctx context.Context, conn *sql.Conn, statements func(*sql.Tx) error) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := statements(tx); err != nil {
		if undone := tx.Rollback(); undone != nil {
			err = errors.Join(err, undone) // Lost finds it, and the connection is not kept
		}
		return err
	}
	return tx.Commit()
}
