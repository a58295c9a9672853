// The command sqlite is a service in one process: its database is an SQLite
// file, and its broker keeps its topics in a folder. Nothing is lost when it
// stops: what is written in one run is handled in the next.
//
// The same code runs on Kafka and PostgreSQL when the service has outgrown its
// machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

type note struct{ Text string }

var (
	written  = eventsqlite.BindTopic[note]("notes.written")
	indexing = events.NewConsumerGroup("indexing")
)

// service is one run of the program.
type service struct {
	broker *eventembed.Broker
	db     *eventsqlite.DB
	lib    *eventsqlite.Library
}

func open(ctx context.Context, folder string) (*service, error) {
	broker, err := eventembed.Start(eventembed.InDir(filepath.Join(folder, "broker")))
	if err != nil {
		return nil, err
	}
	db, err := eventsqlite.Open(ctx, filepath.Join(folder, "notes.db"), eventsqlite.WithMigrate())
	if err == nil {
		_, err = db.Unwrap().ExecContext(ctx, `CREATE TABLE IF NOT EXISTS notes (text TEXT); CREATE TABLE IF NOT EXISTS words (text TEXT)`)
	}
	if err != nil {
		return nil, errors.Join(err, broker.Close())
	}
	return &service{broker: broker, db: db, lib: eventsqlite.NewLibrary()}, nil
}

func (s *service) close(ctx context.Context) error {
	return errors.Join(s.lib.Shutdown(ctx), s.db.Close(), s.broker.Close())
}

// write is the first run: notes are written, and nobody handles them yet.
func write(ctx context.Context, folder string, notes int) error {
	s, err := open(ctx, folder)
	if err != nil {
		return err
	}
	s.lib.SetLazyTxProduce(true) // the events stay in the outbox: the next run relays them
	s.lib.Configure(s.db, nil, false, nil, nil, s.broker.Addrs())
	for n := range notes {
		err := s.db.Transact(ctx, func(tx *eventsqlite.Tx) error {
			text := fmt.Sprintf("note %d", n)
			tx.Produce(written.Event(text, note{text}))
			_, err := tx.ExecContext(ctx, `INSERT INTO notes VALUES (?)`, text)
			return err
		})
		if err != nil {
			return errors.Join(err, s.close(ctx))
		}
	}
	return s.close(ctx)
}

// index is the second run.
func index(ctx context.Context, folder string, notes int) (err error) {
	s, err := open(ctx, folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	indexed := make(chan struct{}, 1000)
	s.lib.ConsumeExactlyOnce(indexing, eventmodels.OnFailureBlock, "index", written.HandlerTx(
		func(ctx context.Context, tx *eventsqlite.Tx, e eventmodels.Event[note]) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO words VALUES (?)`, e.Payload.Text)
			if err == nil {
				indexed <- struct{}{}
			}
			return err
		}))
	s.lib.Configure(s.db, nil, false, nil, nil, s.broker.Addrs())
	if _, err := s.lib.CatchUpProduce(ctx, time.Second, 500); err != nil {
		return err
	}
	s.lib.StartConsumingOrPanic(ctx)
	for range notes {
		select {
		case <-indexed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := s.lib.Shutdown(ctx); err != nil {
		return err
	}
	var same int
	if err := s.db.Unwrap().QueryRowContext(ctx, `SELECT count(*) FROM notes JOIN words USING (text)`).Scan(&same); err != nil {
		return err
	}
	fmt.Println(same, "notes of the first run are indexed in the second")
	if same != notes {
		return fmt.Errorf("%d notes are indexed, not %d", same, notes)
	}
	return nil
}

func run(ctx context.Context) (err error) {
	folder, err := os.MkdirTemp("", "notes")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	const notes = 25
	if err := write(ctx, folder, notes); err != nil {
		return err
	}
	return index(ctx, folder, notes)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}
