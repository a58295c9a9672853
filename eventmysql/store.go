package eventmysql

import (
	"context"
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
	`SET SESSION autocommit = 1, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 15, lock_wait_timeout = 15, sql_select_limit = 18446744073709551615`,
}

// store is an [eventmodels.OutboxStore].
type store struct {
	*mysqldb.Leases
	*mysqldb.Parked
	connections *mysqldb.Connections
}

var _ eventmodels.OutboxStore = (*store)(nil)

// openStore connects, and checks the server and the tables.
func openStore(ctx context.Context, source mysqldb.Source) (*store, error) {
	connections := mysqldb.NewConnections(source, sessionSettings...)
	s := &store{
		Leases:      &mysqldb.Leases{Connections: connections, Statements: leaseStatements, Explain: explainSchema},
		Parked:      &mysqldb.Parked{Connections: connections, Insert: dialect{}.InsertOutbox, Explain: explainSchema},
		connections: connections,
	}
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
