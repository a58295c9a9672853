package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

// The events, and the topics that carry them.
type (
	orderPlaced struct {
		Order    string `json:"order"`
		Customer string `json:"customer"`
		Number   int    `json:"number"` // it is the customer's nth order
		Product  string `json:"product"`
		Cents    int    `json:"cents"`
	}
	priceChanged struct {
		Product string `json:"product"`
		Cents   int    `json:"cents"`
		Version int    `json:"version"`
	}
)

var (
	billing = events.NewConsumerGroup("billing")
	mailing = events.NewConsumerGroup("mailing")
	loyalty = events.NewConsumerGroup("loyalty")
	placed  = "orders.placed"
	prices  = "prices.changed"
)

var (
	products  = []string{"apple", "bread", "cheese"}
	customers = []string{"ada", "bob", "cyd", "dan", "eve"}
)

// play is what the demo is played with.
type play struct {
	out     io.Writer
	log     *slog.Logger
	brokers []string
	orders  int
	lasting time.Duration
	trouble *trouble
	prefix  string // of topics and groups, so that each run has its own
}

// Most services name the types of their database's package (eventpg.Tx,
// eventpg.DB). This one runs on three of them, so its code has the types as
// parameters.
type (
	database[ID eventmodels.AbstractID[ID], TX eventmodels.EnhancedTX] = eventmodels.AbstractDB[ID, TX]
	closer                                                             interface{ Close() error }
)

// shop is one instance of the order service.
type shop[ID eventmodels.AbstractID[ID], TX eventmodels.EnhancedTX, DB database[ID, TX]] struct {
	play
	db   DB
	lib  *events.Library[ID, TX, DB]
	bind string // how placeholders begin: $1 or ?1; "": they are ?, in their order

	cache *priceCache
	stats *stats
}

// stats count what happened, over both instances.
type stats struct {
	committed, rolledBack, sentTwice atomic.Int64
	invoices, mails, mailFailures    atomic.Int64
	bounced, letters                 atomic.Int64
	batches, loyaltyFails            atomic.Int64
	priceChanges                     atomic.Int64

	// repaired: the customers have given addresses that exist.
	repaired atomic.Bool

	mu         sync.Mutex
	mailed     map[string]int  // order -> e-mails; guarded by mu
	failed     map[string]bool // attempts that have failed once, as they should; guarded by mu
	latest     map[string]int  // customer -> the last order that loyalty has seen; guarded by mu
	outOfOrder []string        // guarded by mu
}

func newStats() *stats {
	return &stats{mailed: make(map[string]int), failed: make(map[string]bool), latest: make(map[string]int)}
}

// firstTime reports whether it is asked about what for the first time.
func (s *stats) firstTime(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.failed[what]
	s.failed[what] = true
	return first
}

// open makes an instance, registers its handlers and starts it.
func open[ID eventmodels.AbstractID[ID], TX eventmodels.EnhancedTX, DB database[ID, TX]](ctx context.Context, p play, bind string, db DB, st *stats) (s *shop[ID, TX, DB], wait func() error, err error) {
	s = &shop[ID, TX, DB]{play: p, db: db, bind: bind, cache: newPriceCache(), stats: st, lib: events.New[ID, TX, DB]()}
	s.lib.SetPrefix(p.prefix)
	s.lib.SetLogger(p.log)

	orders := eventmodels.BindTopicTx[orderPlaced, ID, TX, DB](placed)
	s.lib.ConsumeExactlyOnce(billing, eventmodels.OnFailureBlock, "invoice", orders.HandlerTx(s.invoice))
	s.lib.ConsumeExactlyOnce(billing, eventmodels.OnFailureBlock, "sales", orders.BatchHandlerTx(s.sumUp), events.WithBatch(50))
	s.lib.ConsumeIdempotent(mailing, eventmodels.OnFailureSave, "confirmation", orders.Handler(s.confirm),
		events.WithBackoff(100*time.Millisecond, time.Second))
	s.lib.ConsumeIdempotent(loyalty, eventmodels.OnFailureBlock, "loyalty", orders.Handler(s.reward),
		events.WithOrdering(events.ByKey), events.WithBackoff(20*time.Millisecond, time.Second))
	s.lib.ConsumeBroadcast("price-cache", eventmodels.BindTopic[priceChanged](prices).Handler(s.refresh))

	s.lib.Configure(db, nil, false, nil, nil, p.brokers)
	relayed, err := s.lib.CatchUpProduce(ctx, time.Second, 500)
	if err != nil {
		return nil, nil, err
	}
	consumed := s.lib.StartConsumingOrPanic(ctx)
	return s, func() error {
		// ctx has ended: both drain.
		<-consumed
		<-relayed
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return s.lib.Shutdown(limited)
	}, nil
}

var errChangedMind = errors.New("the customer changed their mind")

// place writes an order and produces its event, in one transaction. Every
// tenth is rolled back, every fifteenth is produced twice.
//
// The event's key is the customer, and the transactions of a customer update
// the same row. So the customer's events are in the order of the commits.
func (s *shop[ID, TX, DB]) place(ctx context.Context, n int) error {
	order := orderPlaced{Order: fmt.Sprintf("order-%04d", n), Customer: customers[n%len(customers)], Product: products[n%len(products)], Cents: 100 + n}
	err := s.db.Transact(ctx, func(tx TX) error {
		if _, err := tx.ExecContext(ctx, s.sql(`UPDATE demo_customers SET orders = orders + 1 WHERE customer = $1`), order.Customer); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, s.sql(`SELECT orders FROM demo_customers WHERE customer = $1`), order.Customer).Scan(&order.Number); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, s.sql(`INSERT INTO demo_orders(id, product, cents) VALUES ($1, $2, $3)`), order.Order, order.Product, order.Cents); err != nil {
			return err
		}
		event := eventmodels.BindTopic[orderPlaced](placed).Event(order.Customer, order).ID("placed/" + order.Order)
		tx.Produce(event)
		if n%15 == 0 {
			tx.Produce(event)
		}
		if n%10 == 0 {
			return errChangedMind
		}
		return nil
	})
	switch {
	case errors.Is(err, errChangedMind):
		s.stats.rolledBack.Add(1)
		return nil
	case err == nil:
		s.stats.committed.Add(1)
		if n%15 == 0 {
			s.stats.sentTwice.Add(1)
		}
	}
	return err
}

// invoice is the exactly-once handler: the row and the mark that the event is
// done are committed together.
func (s *shop[ID, TX, DB]) invoice(ctx context.Context, tx TX, e eventmodels.Event[orderPlaced]) error {
	if s.trouble.booksClosed.Load() {
		return errors.New("the books are closed")
	}
	_, err := tx.ExecContext(ctx, s.sql(`INSERT INTO demo_invoices(order_id, cents) VALUES ($1, $2)`), e.Payload.Order, e.Payload.Cents)
	if err == nil {
		s.stats.invoices.Add(1)
	}
	return err
}

// sumUp is the exactly-once batch handler: under pressure many orders cost one
// transaction and one row.
func (s *shop[ID, TX, DB]) sumUp(ctx context.Context, tx TX, batch []eventmodels.Event[orderPlaced]) error {
	cents := 0
	for _, e := range batch {
		cents += e.Payload.Cents
	}
	_, err := tx.ExecContext(ctx, s.sql(`INSERT INTO demo_sales(orders, cents) VALUES ($1, $2)`), len(batch), cents)
	if err == nil {
		s.stats.batches.Add(1)
	}
	return err
}

// reward is ordered by the event's key, the customer. The first attempt of
// every ninth order fails, and the customer's next orders wait for it. An event
// that comes once more changes nothing.
func (s *shop[ID, TX, DB]) reward(_ context.Context, e eventmodels.Event[orderPlaced]) error {
	if e.Payload.Number%9 == 0 && s.stats.firstTime("reward "+e.Payload.Order) {
		s.stats.loyaltyFails.Add(1)
		return errors.New("loyalty: the points could not be booked")
	}
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	last := s.stats.latest[e.Payload.Customer]
	if e.Payload.Number > last+1 {
		s.stats.outOfOrder = append(s.stats.outOfOrder, fmt.Sprintf("%s: %d after %d", e.Payload.Customer, e.Payload.Number, last))
	}
	s.stats.latest[e.Payload.Customer] = max(last, e.Payload.Number)
	return nil
}

// noMailbox says whether an order's e-mail address does not exist.
func noMailbox(order string) bool { return strings.HasSuffix(order, "3") }

// confirm is the idempotent handler. The mail server is bad: the first attempt
// of every tenth order fails. And one address in ten does not exist: to try
// again would not help.
func (s *shop[ID, TX, DB]) confirm(_ context.Context, e eventmodels.Event[orderPlaced]) error {
	if noMailbox(e.Payload.Order) && !s.stats.repaired.Load() {
		s.stats.bounced.Add(1)
		return eventmodels.SetErrorHandling(fmt.Errorf("the mailbox of %s, order %q, does not exist", e.Payload.Customer, e.Payload.Order), eventmodels.DoNotRetry)
	}
	if strings.HasSuffix(e.Payload.Order, "7") && s.stats.firstTime("confirm "+e.Payload.Order) {
		s.stats.mailFailures.Add(1)
		return errors.New("mail server: try again later")
	}
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	s.stats.mailed[e.Payload.Order]++
	s.stats.mails.Add(1)
	return nil
}

// changePrice writes a new price and tells all caches.
func (s *shop[ID, TX, DB]) changePrice(ctx context.Context, product string) error {
	err := s.db.Transact(ctx, func(tx TX) error {
		next := priceChanged{Product: product, Cents: 100 + rand.IntN(900)}
		if _, err := tx.ExecContext(ctx, s.sql(`UPDATE demo_prices SET cents = $1, version = version + 1 WHERE product = $2`), next.Cents, product); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, s.sql(`SELECT version FROM demo_prices WHERE product = $1`), product).Scan(&next.Version); err != nil {
			return err
		}
		tx.Produce(eventmodels.BindTopic[priceChanged](prices).Event(product, next))
		return nil
	})
	if err == nil {
		s.stats.priceChanges.Add(1)
	}
	return err
}

// refresh is the broadcast handler. Broadcasts come in any order, so the cache
// keeps the larger version.
func (s *shop[ID, TX, DB]) refresh(_ context.Context, e eventmodels.Event[priceChanged]) error {
	s.cache.put(e.Payload)
	return nil
}

// sql turns the placeholders $1 into the database's: ?1 for SQLite, ? for
// MySQL.
func (s *shop[ID, TX, DB]) sql(statement string) string {
	if s.bind == "" {
		return placeholder.ReplaceAllString(statement, "?")
	}
	return strings.ReplaceAll(statement, "$", s.bind)
}

var placeholder = regexp.MustCompile(`\$\d`)

// priceCache is what price lookups would be answered from.
type priceCache struct {
	mu     sync.Mutex
	prices map[string]priceChanged // by product; guarded by mu
}

func newPriceCache() *priceCache { return &priceCache{prices: make(map[string]priceChanged)} }

func (c *priceCache) put(p priceChanged) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.Version > c.prices[p.Product].Version {
		c.prices[p.Product] = p
	}
}

func (c *priceCache) get(product string) priceChanged {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.prices[product]
}
