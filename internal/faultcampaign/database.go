//go:build linux

package faultcampaign

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	_ "github.com/go-sql-driver/mysql" // the drivers of what the campaign itself asks
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/seed46dd6f11/events/internal/faultcampaign/service"
)

// database is the campaign's own way to the service's database, not over a link.
type database struct {
	*sql.DB
	backend string
}

func openDatabase(ctx context.Context, backend, dsn string, keys, slots int) (*database, error) {
	driver := map[string]string{service.Postgres: "pgx", service.MySQL: "mysql", service.SQLite: "sqlite"}[backend]
	if backend == service.SQLite {
		dsn += "?_pragma=busy_timeout(20000)"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	d := &database{db, backend}
	return d, d.createTables(ctx, keys, slots)
}

// createTables makes the service's tables anew; the library's are made by the
// processes.
func (d *database) createTables(ctx context.Context, keys, slots int) error {
	var statements []string
	for _, create := range service.Tables {
		table, _, _ := strings.Cut(strings.TrimPrefix(create, "CREATE TABLE "), " ")
		statements = append(statements, "DROP TABLE IF EXISTS "+table, create)
	}
	names := service.Keys(keys)
	for slot := range slots {
		names = append(names, service.HeldKey(slot))
	}
	for _, key := range names {
		statements = append(statements, "INSERT INTO campaign_keys (k, n) VALUES ('"+key+"', 0)")
	}
	for _, statement := range statements {
		if _, err := d.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// moveLease moves the end of the relay's lease, as a jump of the database's clock
// does.
func (d *database) moveLease(ctx context.Context, scope string, by time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	micros := strconv.FormatInt(by.Microseconds(), 10)
	expression := "expires_at + " + micros
	if d.backend == service.Postgres {
		expression = "expires_at + interval '" + micros + " microseconds'"
	}
	_, err := d.ExecContext(ctx, "UPDATE events_lease SET expires_at = "+expression+" WHERE scope = '"+scope+"'")
	return err
}

// number asks for one.
func (d *database) number(ctx context.Context, query string) (n int64, err error) {
	err = d.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}
