package sqlitetest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
	"github.com/seed46dd6f11/events/eventtest"
	"github.com/seed46dd6f11/events/eventtest/sqlitetest"
)

type (
	OrderPlaced   struct{ Cents int }
	InvoiceIssued struct{ Cents int }
)

var (
	orders   = eventsqlite.BindTopic[OrderPlaced]("orders.placed")
	invoices = eventsqlite.BindTopic[InvoiceIssued]("invoices.issued")
)

// Register is the service's own code: what main calls, too.
func Register(lib *eventsqlite.Library) {
	lib.ConsumeExactlyOnce(events.NewConsumerGroup("billing"), eventmodels.OnFailureBlock, "invoice", orders.HandlerTx(
		func(ctx context.Context, tx *eventsqlite.Tx, e eventmodels.Event[OrderPlaced]) error {
			if _, err := tx.ExecContext(ctx, `INSERT INTO invoices(order_id, cents) VALUES (?, ?)`, e.Key, e.Payload.Cents); err != nil {
				return err
			}
			tx.Produce(invoices.Event(e.Key, InvoiceIssued(e.Payload)))
			return nil
		}), events.WithBackoff(10*time.Millisecond, time.Second))
}

// The first try fails, and the second is delivered twice: there is one invoice.
func testInvoice(t *testing.T) {
	lib := eventsqlite.NewLibrary()
	Register(lib)
	s, db := sqlitetest.Start(t, lib)
	if _, err := db.Unwrap().ExecContext(t.Context(), `CREATE TABLE invoices (order_id TEXT PRIMARY KEY, cents INTEGER)`); err != nil {
		t.Fatal(err)
	}
	s.FailNth("invoice", 1, errors.New("the tax service is away"))
	s.RedeliverNth("invoice", 2)

	err := db.Transact(t.Context(), func(tx *eventsqlite.Tx) error {
		tx.Produce(orders.Event("order-1", OrderPlaced{Cents: 1999}))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	issued := eventtest.Produced(s, invoices).WithKey("order-1").Expect(1)
	if issued[0].Payload.Cents != 1999 {
		t.Errorf("the invoice is over %d", issued[0].Payload.Cents)
	}
}

func Example() {
	// In a service this is a test as any other: TestInvoice(t *testing.T).
	_ = testInvoice
}

func TestExample(t *testing.T) { testInvoice(t) }
