package eventnodb_test

import (
	"context"
	"errors"
	"testing"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
)

// What needs a database says that there is none, with both sentinels.
func TestRefused(t *testing.T) {
	ctx := t.Context()
	var db *eventnodb.NoDB
	tx := &eventnodb.NoDBTx{}
	called := false
	_, execErr := tx.ExecContext(ctx, "DELETE FROM orders")
	_, queryErr := tx.QueryContext(ctx, "SELECT 1")
	_, outboxErr := db.OpenOutbox(ctx)
	for what, err := range map[string]error{
		"Transact":        db.Transact(ctx, func(*eventnodb.NoDBTx) error { called = true; return nil }),
		"TransactOnce":    db.TransactOnce(ctx, nil, func(*eventnodb.NoDBTx, []bool) error { called = true; return nil }),
		"ProduceTx":       db.ProduceTx(ctx, nil),
		"OpenOutbox":      outboxErr,
		"ExecContext":     execErr,
		"QueryContext":    queryErr,
		"QueryRowContext": tx.QueryRowContext(ctx, "SELECT 1").Scan(new(int)),
	} {
		if !errors.Is(err, events.ErrNoDatabase) || !errors.Is(err, eventmodels.NotImplementedErr) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if called {
		t.Error("a function ran in a transaction that is not there")
	}
	if err := db.Ping(ctx); err != nil {
		t.Errorf("a database that is not there is away: %v", err)
	}
}

// A NoDB given to Configure is no database either.
func TestLibrary(t *testing.T) {
	var none *eventnodb.Library
	if none.IsConfigured() {
		t.Error("a nil Library is configured")
	}
	for name, configure := range map[string]func(*eventnodb.Library){
		"ConfigureNoDB": func(lib *eventnodb.Library) { lib.ConfigureNoDB(nil, false, nil, nil, []string{"127.0.0.1:1"}) },
		"Configure": func(lib *eventnodb.Library) {
			lib.Configure(&eventnodb.NoDB{}, nil, false, nil, nil, []string{"127.0.0.1:1"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			lib := eventnodb.New()
			defer func() {
				if err := lib.Shutdown(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			}()
			if lib.IsConfigured() {
				t.Error("a new Library is configured")
			}
			configure(lib)
			if !lib.IsConfigured() || lib.HasDB() || lib.DB() != nil {
				t.Errorf("configured %t, database %t, %v", lib.IsConfigured(), lib.HasDB(), lib.DB())
			}
			lib.ConsumeExactlyOnce(events.NewConsumerGroup("g"), eventmodels.OnFailureBlock, "h",
				eventmodels.BindTopicTx[int, eventnodb.ID, *eventnodb.NoDBTx, *eventnodb.NoDB]("orders").HandlerTx(
					func(context.Context, *eventnodb.NoDBTx, eventmodels.Event[int]) error { return nil }))
			_, _, startErr := lib.StartConsuming(t.Context())
			_, relayErr := lib.CatchUpProduce(t.Context(), 0, 0)
			for what, err := range map[string]error{
				"StartConsuming": startErr, "CatchUpProduce": relayErr, "ProduceFromTable": lib.ProduceFromTable(t.Context(), nil),
			} {
				if !errors.Is(err, events.ErrNoDatabase) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}
