package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

// problem is a difference between what is and what must be.
type problem struct {
	what string
	rows []string
}

// check prints what holds, or returns the differences.
func check[ID eventmodels.AbstractID[ID], TX eventmodels.EnhancedTX, DB database[ID, TX]](ctx context.Context, p play, shops []*shop[ID, TX, DB], took time.Duration) error {
	problems, err := compare(ctx, shops)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		var b strings.Builder
		b.WriteString("what must hold does not:\n")
		for _, p := range problems {
			fmt.Fprintf(&b, "  %s: %s\n", p.what, strings.Join(p.rows, ", "))
		}
		return errors.New(b.String())
	}
	st := shops[0].stats
	fmt.Fprintf(p.out, `
What must hold, holds, after %v:
  every one of %d committed orders was invoiced exactly once, although %d events were sent twice
  every committed order was confirmed, although %d attempts failed and %d orders became dead letters, none of which is open
  the sales of all orders were summed up exactly once, in %d batches
  the loyalty programme has seen each customer's orders in their order, although %d attempts failed
  none of the %d orders that were rolled back is anywhere
  both caches have the newest of %d price changes
  the outbox is empty
`, took.Round(time.Millisecond), st.committed.Load(), st.sentTwice.Load(), st.mailFailures.Load(), st.letters.Load(),
		st.batches.Load(), st.loyaltyFails.Load(), st.rolledBack.Load(), st.priceChanges.Load())
	return nil
}

// compare finds the differences.
func compare[ID eventmodels.AbstractID[ID], TX eventmodels.EnhancedTX, DB database[ID, TX]](ctx context.Context, shops []*shop[ID, TX, DB]) ([]problem, error) {
	s := shops[0]
	var problems []problem
	add := func(what string, rows []string) {
		if len(rows) > 0 {
			problems = append(problems, problem{what, rows})
		}
	}
	var orders, open []string
	for letter, err := range s.lib.DeadLetters(mailing).List(ctx, events.LetterFilter{States: events.OpenLetters}) {
		if err != nil {
			return nil, err
		}
		open = append(open, letter.ID.String())
	}
	err := s.db.Transact(ctx, func(tx TX) error {
		for _, question := range []struct{ what, sql string }{
			{"orders without invoice", `SELECT id FROM demo_orders WHERE id NOT IN (SELECT order_id FROM demo_invoices) ORDER BY id`},
			{"orders invoiced more than once", `SELECT order_id FROM demo_invoices GROUP BY order_id HAVING COUNT(*) > 1`},
			{"invoices without order", `SELECT order_id FROM demo_invoices WHERE order_id NOT IN (SELECT id FROM demo_orders)`},
			{"invoices with another amount than their order", `SELECT i.order_id FROM demo_invoices i JOIN demo_orders o ON o.id = i.order_id WHERE i.cents <> o.cents`},
			{"sales and orders differ", `SELECT o.n FROM (SELECT COUNT(*) AS n, COALESCE(SUM(cents), 0) AS c FROM demo_orders) o,
				(SELECT COALESCE(SUM(orders), 0) AS n, COALESCE(SUM(cents), 0) AS c FROM demo_sales) s WHERE o.n <> s.n OR o.c <> s.c`},
			{"events left in the outbox", `SELECT topic FROM events_outbox WHERE scope = '` + s.prefix + `'`},
		} {
			rows, err := column(ctx, tx, question.sql)
			if err != nil {
				return fmt.Errorf("%s: %w", question.what, err)
			}
			add(question.what, rows)
		}
		var err error
		if orders, err = column(ctx, tx, `SELECT id FROM demo_orders`); err != nil {
			return err
		}
		behind, err := s.unrewarded(ctx, tx)
		if err != nil {
			return err
		}
		add("orders that the loyalty programme has not seen", behind)
		rows, err := tx.QueryContext(ctx, `SELECT product, cents, version FROM demo_prices`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var price priceChanged
			if err := rows.Scan(&price.Product, &price.Cents, &price.Version); err != nil {
				return err
			}
			for i, shop := range shops {
				if got := shop.cache.get(price.Product); price.Version > 0 && got != price {
					add(fmt.Sprintf("the cache of instance %d is not at the newest price", i+1), []string{fmt.Sprintf("%+v, is %+v", price, got)})
				}
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	known := make(map[string]bool)
	var unconfirmed, ghosts []string
	bounced := 0
	for _, order := range orders {
		known[order] = true
		switch {
		case noMailbox(order) && !s.stats.repaired.Load():
			bounced++
		case s.stats.mailed[order] == 0:
			unconfirmed = append(unconfirmed, order)
		}
	}
	if len(open) != bounced {
		add("dead letters that are open", []string{fmt.Sprintf("%d, not %d", len(open), bounced)})
	}
	add("a customer's orders out of order", s.stats.outOfOrder)
	for order := range s.stats.mailed {
		if !known[order] {
			ghosts = append(ghosts, order)
		}
	}
	add("orders without confirmation", unconfirmed)
	add("confirmations of orders that were rolled back", ghosts)
	return problems, nil
}

// unrewarded compares how many orders each customer has placed with the last
// one that the loyalty programme has seen.
func (s *shop[ID, TX, DB]) unrewarded(ctx context.Context, tx TX) (behind []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT customer, orders FROM demo_customers`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	for rows.Next() {
		var customer string
		var orders int
		if err := rows.Scan(&customer, &orders); err != nil {
			return nil, err
		}
		if seen := s.stats.latest[customer]; seen != orders {
			behind = append(behind, fmt.Sprintf("%s: %d of %d", customer, seen, orders))
		}
	}
	return behind, rows.Err()
}

// column reads a query's only column.
func column(ctx context.Context, tx eventmodels.AbstractTX, query string) ([]string, error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var value string
		if err := rows.Scan(&value); err != nil {
			return nil, err
		}
		all = append(all, value)
	}
	return all, rows.Err()
}
