package eventmysql

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"

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
	// early: see showsEarly. Written when a connection is made, so that what
	// takes a server's place is asked, too.
	early atomic.Bool
}

var _ eventmodels.OutboxStore = (*store)(nil)

// openStore connects, and checks the server and the tables.
func openStore(ctx context.Context, source mysqldb.Source) (*store, error) {
	s := &store{}
	s.connections = mysqldb.NewConnections(source, s.prepare)
	s.Leases = &mysqldb.Leases{Connections: s.connections, Explain: explainSchema}
	s.Parked = &mysqldb.Parked{Connections: s.connections, Insert: dialect{}.InsertOutbox, Explain: explainSchema}
	if err := s.connections.Lease(ctx, checkSchema); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare makes a connection one of the store's.
func (s *store) prepare(ctx context.Context, conn *sql.Conn) error {
	for _, statement := range sessionSettings {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	var early bool
	if err := conn.QueryRowContext(ctx, "SELECT "+showsEarly).Scan(&early); err != nil {
		return err
	}
	s.early.Store(early)
	return nil
}

// Close implements [eventmodels.OutboxStore].
func (s *store) Close() error {
	s.connections.Close()
	return nil
}
