package service

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventmysql"
	"github.com/seed46dd6f11/events/eventpg"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// database is what the service needs of a backend's connection.
type database[ID eventmodels.AbstractID[ID], TX eventmodels.EnhancedTX] interface {
	eventmodels.AbstractDB[ID, TX]
	io.Closer
}

// backend is one of the SQL databases.
type backend[ID eventmodels.AbstractID[ID], TX eventmodels.EnhancedTX, DB database[ID, TX]] struct {
	open func(ctx context.Context, dsn string) (DB, error)
	// produceTx stores events at once, so that their seqs are drawn long before
	// the commit.
	produceTx func(ctx context.Context, lib *events.Library[ID, TX, DB], tx any, produced ...eventmodels.ProducingEvent) error
	// sql makes a statement with ? of what the database understands.
	sql func(statement string) string
}

// The names of the backends.
const (
	Postgres = "postgres"
	MySQL    = "mysql"
	SQLite   = "sqlite"
)

const maxConnections = 12

var postgres = backend[eventmodels.StringEventID, *eventpg.Tx, *eventpg.DB]{
	open: func(ctx context.Context, dsn string) (*eventpg.DB, error) {
		return eventpg.Open(ctx, dsn, eventpg.WithMigrate(), eventpg.WithMaxConnections(maxConnections))
	},
	produceTx: eventpg.ProduceTx[eventmodels.StringEventID, *eventpg.Tx, *eventpg.DB],
	sql: func(statement string) string {
		for n := 1; strings.Contains(statement, "?"); n++ {
			statement = strings.Replace(statement, "?", "$"+strconv.Itoa(n), 1)
		}
		return statement
	},
}

var mysql = backend[eventmodels.BinaryEventID, *eventmysql.Tx, *eventmysql.DB]{
	open: func(ctx context.Context, dsn string) (*eventmysql.DB, error) {
		return eventmysql.Open(ctx, dsn, eventmysql.WithMigrate(), eventmysql.WithMaxConnections(maxConnections))
	},
	produceTx: eventmysql.ProduceTx[eventmodels.BinaryEventID, *eventmysql.Tx, *eventmysql.DB],
	sql:       func(statement string) string { return statement },
}

var sqlite = backend[eventmodels.StringEventID, *eventsqlite.Tx, *eventsqlite.DB]{
	open: func(ctx context.Context, dsn string) (*eventsqlite.DB, error) {
		return eventsqlite.Open(ctx, dsn, eventsqlite.WithMigrate())
	},
	produceTx: eventsqlite.ProduceTx[eventmodels.StringEventID, *eventsqlite.Tx, *eventsqlite.DB],
	sql:       func(statement string) string { return statement },
}

// Tables are the statements that make the service's tables.
//
//   - campaign_keys counts the orders of each key: the row that the
//     transactions of a key have in common.
//   - campaign_committed is the truth: an order is in it if and only if its
//     transaction has committed. began is when, in nanoseconds since 1970, the
//     transaction began.
//   - campaign_effects is what exactly-once handlers do; nothing in it keeps an
//     effect from being there twice.
var Tables = []string{
	`CREATE TABLE campaign_keys (k VARCHAR(40) NOT NULL PRIMARY KEY, n BIGINT NOT NULL)`,
	`CREATE TABLE campaign_committed (id VARCHAR(40) NOT NULL PRIMARY KEY, topic VARCHAR(40) NOT NULL,
		k VARCHAR(40) NOT NULL, n BIGINT NOT NULL, fate VARCHAR(10) NOT NULL, began BIGINT NOT NULL)`,
	`CREATE TABLE campaign_effects (id VARCHAR(40) NOT NULL, handler VARCHAR(40) NOT NULL, process VARCHAR(40) NOT NULL)`,
}

// Keys are the keys of the load's orders.
func Keys(n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("key-%02d", i))
	}
	return keys
}

// HeldKey is the key of the long transactions of a slot.
func HeldKey(slot int) string { return fmt.Sprintf("held-%d", slot) }
