// The command owntx is for services whose code has a transaction type already:
// here one that knows who acts, and writes that into an audit log. What such a
// type needs is in package eventdb: it embeds eventdb.Pending, and its database
// has BeginTx.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// tx is the service's transaction.
type tx struct {
	*sql.Tx
	eventdb.Pending // gives it Produce

	actor string
}

// Commit refuses to lose events of a transaction that was begun without
// Transact.
func (t *tx) Commit() error {
	if err := t.Unstored(); err != nil {
		return errors.Join(err, t.Rollback())
	}
	return t.Tx.Commit()
}

// audit notes who has done what, in the transaction in which it was done.
func (t *tx) audit(ctx context.Context, what string) error {
	_, err := t.ExecContext(ctx, `INSERT INTO audit(actor, what) VALUES (?, ?)`, t.actor, what)
	return err
}

// store is the service's database.
type store struct{ *sql.DB }

type actorKey struct{}

func as(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// BeginTx makes store an eventdb.BasicDB[*tx].
func (s store) BeginTx(ctx context.Context, options *sql.TxOptions) (*tx, error) {
	began, err := s.DB.BeginTx(ctx, options)
	if err != nil {
		return nil, err
	}
	actor, _ := ctx.Value(actorKey{}).(string)
	if actor == "" {
		actor = "a handler"
	}
	return &tx{Tx: began, actor: actor}, nil
}

// The types that eventsqlite has short names for, with the service's own.
type (
	database = eventsqlite.Connection[*tx, store]
	hired    struct{ Name string }
)

var (
	hiring  = eventmodels.BindTopicTx[hired, eventmodels.StringEventID, *tx, *database]("staff.hired")
	payroll = events.NewConsumerGroup("payroll")
)

func run(ctx context.Context) (err error) {
	broker, err := eventembed.Start()
	if err != nil {
		return err
	}
	defer broker.Close()
	folder, err := os.MkdirTemp("", "owntx")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "staff.db")+"?_txlock=immediate&_pragma=journal_mode(WAL)")
	if err != nil {
		return err
	}
	defer raw.Close()
	if err := eventsqlite.Migrate(ctx, raw); err != nil {
		return err
	}
	if _, err := raw.ExecContext(ctx, `CREATE TABLE audit (actor TEXT, what TEXT)`); err != nil {
		return err
	}
	db := eventsqlite.New[*tx](store{raw})

	paid := make(chan string, 10)
	lib := events.New[eventmodels.StringEventID, *tx, *database]()
	lib.ConsumeExactlyOnce(payroll, eventmodels.OnFailureBlock, "account", hiring.HandlerTx(
		func(ctx context.Context, t *tx, e eventmodels.Event[hired]) error {
			if err := t.audit(ctx, "opened an account for "+e.Payload.Name); err != nil {
				return err
			}
			paid <- e.Payload.Name
			return nil
		}))
	lib.Configure(db, nil, false, nil, nil, broker.Addrs())
	lib.StartConsumingOrPanic(ctx)

	hire := func(t *tx, name string) error {
		t.Produce(hiring.Event(name, hired{Name: name}))
		return t.audit(ctx, "hired "+name)
	}
	if err := db.Transact(as(ctx, "zoe"), func(t *tx) error { return hire(t, "ada") }); err != nil {
		return err
	}
	errTooOld := errors.New("too old")
	err = db.Transact(as(ctx, "zoe"), func(t *tx) error { return errors.Join(hire(t, "methuselah"), errTooOld) })
	if !errors.Is(err, errTooOld) {
		return fmt.Errorf("hired, and should not have: %w", err)
	}
	select {
	case <-paid:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := lib.Shutdown(ctx); err != nil {
		return err
	}

	rows, err := raw.QueryContext(ctx, `SELECT actor || ' ' || what FROM audit ORDER BY rowid`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var said []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		said = append(said, line)
		fmt.Println(line)
	}
	if want := "[zoe hired ada a handler opened an account for ada]"; fmt.Sprint(said) != want {
		return fmt.Errorf("the audit log has %v, not %v", said, want)
	}
	return rows.Err()
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}
