package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventmysql"
	"github.com/seed46dd6f11/events/eventnodb"
	"github.com/seed46dd6f11/events/eventpg"
	"github.com/seed46dd6f11/events/events2"
	"github.com/seed46dd6f11/events/eventsqlite"
)

const (
	connectLimit  = 15 * time.Second
	shutdownLimit = 5 * time.Second
)

// cluster is a Library without database. It asks the brokers whether they
// answer, so that a wrong address is told and not waited for.
func (c *call) cluster(ctx context.Context) (*eventnodb.Library, error) {
	lib := eventnodb.New()
	lib.SkipNotifierSupport()
	lib.SetLogger(slog.New(slog.DiscardHandler))
	lib.SetPrefix(c.prefix)
	lib.ConfigureNoDB(nil, false, c.mechanism.Mechanism, c.tlsConfig, c.brokerList)
	c.close = shutdown(lib.Shutdown)
	limited, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	return lib, lib.PingBrokers(limited)
}

func shutdown(stop func(context.Context) error) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownLimit)
		defer cancel()
		return stop(ctx)
	}
}

// outbox is what a Library with a database can do, whatever database it is.
type outbox interface {
	ParkedEvents(ctx context.Context) iter.Seq2[events.ParkedEvent, error]
	RequeueParked(ctx context.Context, ids ...uuid.UUID) (int, error)
	DiscardParked(ctx context.Context, ids ...uuid.UUID) (int, error)
	OutboxStatus(ctx context.Context) (events.OutboxStatus, error)
	Shutdown(ctx context.Context) error
}

// dsnForms is what -dsn may be.
const dsnForms = "postgres://..., mysql:user:password@tcp(host:3306)/database, singlestore: and the same, or sqlite:path/file"

// database is a Library with the database that -dsn names. Kafka is not asked.
func (c *call) database(ctx context.Context) (outbox, error) {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	var lib outbox
	var closeDB func() error
	path, isFile := strings.CutPrefix(c.dsn, "sqlite:")
	mysqlName, isMySQL := strings.CutPrefix(c.dsn, "mysql:")
	singleStoreName, isSingleStore := strings.CutPrefix(c.dsn, "singlestore:")
	switch {
	case isFile:
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("-dsn: the SQLite file cannot be opened: %w", err) // opening would create it
		}
		db, err := eventsqlite.Open(ctx, path)
		if err != nil {
			return nil, err
		}
		lib, closeDB = configured(eventsqlite.NewLibrary(), db, c.prefix), db.Close
	case strings.HasPrefix(c.dsn, "postgres://"), strings.HasPrefix(c.dsn, "postgresql://"):
		db, err := eventpg.Open(ctx, c.dsn, eventpg.WithMaxConnections(2))
		if err != nil {
			return nil, err
		}
		lib, closeDB = configured(eventpg.NewLibrary(), db, c.prefix), db.Close
	case isMySQL && !strings.HasPrefix(mysqlName, "//"):
		db, err := eventmysql.Open(ctx, mysqlName, eventmysql.WithMaxConnections(2))
		if err != nil {
			return nil, err
		}
		lib, closeDB = configured(eventmysql.NewLibrary(), db, c.prefix), db.Close
	case isSingleStore && !strings.HasPrefix(singleStoreName, "//"):
		db, err := events2.Open(ctx, singleStoreName, events2.WithMaxConnections(2))
		if err != nil {
			return nil, err
		}
		lib, closeDB = configured(events2.NewLibrary(), db, c.prefix), db.Close
	default:
		return nil, &usageError{"-dsn: want " + dsnForms}
	}
	stop := shutdown(lib.Shutdown)
	c.close = func() error { return errors.Join(stop(), closeDB()) }
	return lib, nil
}

func configured[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]](lib *events.Library[ID, TX, DB], db DB, prefix string) outbox {
	lib.SkipNotifierSupport()
	lib.SetLogger(slog.New(slog.DiscardHandler))
	lib.SetPrefix(prefix)
	lib.Configure(db, nil, false, nil, nil, nil)
	return lib
}
