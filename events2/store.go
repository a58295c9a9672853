package events2

import (
	"context"
	"database/sql"
	"errors"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
)

// store is an [eventmodels.OutboxStore].
type store struct {
	*mysqldb.Leases
	*mysqldb.Parked
	connections *mysqldb.Connections
}

var _ eventmodels.OutboxStore = (*store)(nil)

// insertFunc is InsertOutbox of a dialect, which knows how seqs are drawn.
type insertFunc = func(ctx context.Context, tx eventmodels.AbstractTX, scope string, rows []eventmodels.OutboxRow) error

// openStore connects, and checks the tables.
func openStore(ctx context.Context, source mysqldb.Source, insert insertFunc) (*store, error) {
	connections := mysqldb.NewConnections(source, nil)
	s := &store{
		Leases:      &mysqldb.Leases{Connections: connections, Explain: explainSchema},
		Parked:      &mysqldb.Parked{Connections: connections, Insert: insert, Explain: explainSchema},
		connections: connections,
	}
	if err := connections.Lease(ctx, checkSchema); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Concerns implements [eventmodels.OutboxStore]. Whether commits last is a
// property of the database that users cannot ask for: see the package
// documentation.
func (s *store) Concerns(context.Context) ([]string, error) { return nil, nil }

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
