package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventpg"
)

// newLibrary makes a Library with the defaults, on db or, if that is nil,
// without a database. It is shut down in the cleanup.
func (b bench) newLibrary(c *compare.Cleanup, db *eventpg.DB) *eventpg.Library {
	lib := eventpg.NewLibrary()
	lib.SetLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	lib.Configure(db, nil, false, nil, nil, b.servers.Brokers)
	c.Defer(func(ctx context.Context) error {
		if err := lib.Shutdown(ctx); err != nil {
			return fmt.Errorf("shut the Library down: %w", err)
		}
		return nil
	})
	return lib
}

// openDB opens a database with the library's tables, and closes it in the
// cleanup.
func openDB(ctx context.Context, c *compare.Cleanup, dsn string, opts ...eventpg.Option) (*eventpg.DB, error) {
	db, err := eventpg.Open(ctx, dsn, append(opts, eventpg.WithMigrate())...)
	if err != nil {
		return nil, err
	}
	c.Defer(func(context.Context) error { return db.Close() })
	return db, nil
}

// consume starts the handlers and waits until they are ready. They end in the
// cleanup.
func consume(ctx context.Context, c *compare.Cleanup, lib *eventpg.Library) error {
	running, cancel := context.WithCancel(ctx)
	started, stopped, err := lib.StartConsuming(running)
	if err != nil {
		cancel()
		return err
	}
	c.Defer(func(ctx context.Context) error {
		cancel()
		return await(ctx, stopped)
	})
	return await(ctx, started)
}

// startRelay starts moving the outbox to Kafka. The relay ends in the cleanup.
func startRelay(ctx context.Context, c *compare.Cleanup, lib *eventpg.Library, batchSize int) error {
	running, cancel := context.WithCancel(ctx)
	done, err := lib.CatchUpProduce(running, time.Second, batchSize)
	if err != nil {
		cancel()
		return err
	}
	c.Defer(func(ctx context.Context) error {
		cancel()
		return await(ctx, done)
	})
	return nil
}

var errMissing = errors.New("something is missing")
