package eventsqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/seed46dd6f11/events/eventmodels"
)

// A store is SQLite's [eventmodels.OutboxStore].
type store struct {
	file *file
	db   *sql.DB // commits are durable
	// sweep deletes. What a power failure brings back was in Kafka (and is
	// sent again, with the same id) or was forgotten on purpose, so that
	// nobody has to wait for the disk.
	sweep *sql.DB
}

var _ eventmodels.OutboxStore = (*store)(nil)

// storeConnections is the limit of a store's own connections.
const storeConnections = 4

func openStore(ctx context.Context, f *file) (eventmodels.OutboxStore, error) {
	keep, sweep := durable, lazy
	if f.volatile {
		keep, sweep = volatile, volatile
	}
	keeper, err := f.connector(keep)
	if err != nil {
		return nil, err
	}
	sweeper, err := f.connector(sweep)
	if err != nil {
		return nil, err
	}
	s := &store{file: f, db: sql.OpenDB(keeper), sweep: sql.OpenDB(sweeper)}
	s.db.SetMaxOpenConns(storeConnections)
	s.db.SetMaxIdleConns(storeConnections)
	s.sweep.SetMaxOpenConns(1)
	if err := CheckSchema(ctx, s.db); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close implements [eventmodels.OutboxStore].
func (s *store) Close() error { return errors.Join(s.db.Close(), s.sweep.Close()) }

// Concerns implements [eventmodels.OutboxStore]. Whether a commit is on the
// disk is a setting of each connection, and that of the service's is its own.
func (s *store) Concerns(context.Context) ([]string, error) { return nil, nil }

// write runs statements in one transaction when its turn has come.
func (s *store) write(ctx context.Context, db *sql.DB, statements func(*sql.Tx) error) error {
	if err := s.file.lock.acquire(ctx); err != nil {
		return fmt.Errorf("wait for the database's write lock: %w", err)
	}
	defer s.file.lock.release()
	return whileBusy(ctx, func() error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := statements(tx); err != nil {
			_ = tx.Rollback() // the first error is the one that matters
			return err
		}
		return tx.Commit()
	})
}
