package mysqldb

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Pools are what Open of a backend opens: a pool for the application, and one
// beside it, so that the relay's connections are not handlers'.
type Pools struct {
	Application *sql.DB

	own     *sql.DB
	product string
	config  *mysql.Config
}

// OpenPools opens them, and asks the server whether it answers. limit is that of
// the application's pool. Errors name the product, and no password.
func OpenPools(ctx context.Context, product string, config *mysql.Config, limit int) (*Pools, error) {
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, ExplainConnect(product, config, err)
	}
	p := &Pools{Application: sql.OpenDB(connector), product: product, config: config}
	p.Application.SetMaxOpenConns(limit)
	p.Application.SetMaxIdleConns(limit)
	p.Application.SetConnMaxIdleTime(5 * time.Minute)
	if err := p.Application.PingContext(ctx); err != nil {
		return nil, errors.Join(ExplainConnect(product, config, err), p.Application.Close())
	}
	if p.own, err = ownPool(config); err != nil {
		return nil, errors.Join(err, p.Application.Close())
	}
	return p, nil
}

// Conn is the [Source] of the relay's connections.
func (p *Pools) Conn(ctx context.Context) (*sql.Conn, error) {
	conn, err := p.own.Conn(ctx)
	if err != nil && ctx.Err() == nil {
		err = ExplainConnect(p.product, p.config, err)
	}
	return conn, err
}

// Close closes both.
func (p *Pools) Close() error { return errors.Join(p.Application.Close(), p.own.Close()) }

// LimitOf returns what says how many connections of db, which is a *sql.DB or
// has one embedded, are for transactions: those of its limit that are not kept
// from it, one at least; 0 if there is no limit.
func LimitOf(db any, kept int) func() int {
	counted, ok := db.(interface{ Stats() sql.DBStats })
	if !ok {
		return func() int { return 0 }
	}
	return func() int {
		limit := counted.Stats().MaxOpenConnections
		if limit > 0 {
			limit = max(limit-kept, 1)
		}
		return limit
	}
}
