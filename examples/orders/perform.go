package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

// schema is the service's own; the library's tables come with WithMigrate.
var schema = []string{
	`DROP TABLE IF EXISTS demo_orders`,
	`DROP TABLE IF EXISTS demo_invoices`,
	`DROP TABLE IF EXISTS demo_prices`,
	`DROP TABLE IF EXISTS demo_sales`,
	`DROP TABLE IF EXISTS demo_customers`,
	`CREATE TABLE demo_orders (id VARCHAR(40) PRIMARY KEY, product VARCHAR(40) NOT NULL, cents INTEGER NOT NULL)`,
	`CREATE TABLE demo_invoices (order_id VARCHAR(40) NOT NULL, cents INTEGER NOT NULL)`,
	`CREATE TABLE demo_prices (product VARCHAR(40) PRIMARY KEY, cents INTEGER NOT NULL, version INTEGER NOT NULL)`,
	`CREATE TABLE demo_sales (orders INTEGER NOT NULL, cents INTEGER NOT NULL)`,
	`CREATE TABLE demo_customers (customer VARCHAR(40) PRIMARY KEY, orders INTEGER NOT NULL)`,
}

// perform starts two instances of the service, lets customers order, waits
// until everything has arrived, and checks the result.
func perform[ID eventmodels.AbstractID[ID], TX eventmodels.EnhancedTX, DB interface {
	database[ID, TX]
	closer
}](ctx context.Context, p play, bind string, connect func() (DB, error)) (err error) {
	began := time.Now()
	st := newStats()
	serving, stop := context.WithCancel(ctx)
	var shops []*shop[ID, TX, DB]
	var waits []func() error
	defer func() {
		stop()
		for _, wait := range waits {
			err = errors.Join(err, wait())
		}
	}()
	for instance := range 2 {
		db, err := connect()
		if err != nil {
			return err
		}
		defer db.Close()
		if instance == 0 {
			if err := createTables[ID, TX](ctx, db, bind); err != nil {
				return err
			}
		}
		s, wait, err := open[ID, TX](serving, p, bind, db, st)
		if err != nil {
			return err
		}
		shops, waits = append(shops, s), append(waits, wait)
	}
	fmt.Fprintf(p.out, "Started:  two instances, %v after the beginning\n\n", time.Since(began).Round(time.Millisecond))

	showing, hide := context.WithCancel(ctx)
	var shown sync.WaitGroup
	shown.Go(func() { show(showing, p, st) })
	err = trade(ctx, p, shops)
	if err == nil {
		err = arrived(ctx, shops)
	}
	hide()
	shown.Wait()
	if err != nil {
		return err
	}
	if err := repair(ctx, p, shops[0]); err != nil {
		return err
	}
	if err := arrived(ctx, shops); err != nil {
		return err
	}
	return check(ctx, p, shops, time.Since(began))
}

func createTables[ID eventmodels.AbstractID[ID], TX eventmodels.EnhancedTX, DB database[ID, TX]](ctx context.Context, db DB, bind string) error {
	for _, statement := range schema {
		err := db.Transact(ctx, func(tx TX) error {
			_, err := tx.ExecContext(ctx, statement)
			return err
		})
		// MySQL commits what it defines, which Transact reports.
		if err != nil && !errors.Is(err, eventmodels.ErrTransactionEnded) {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return db.Transact(ctx, func(tx TX) error {
		s := shop[ID, TX, DB]{bind: bind}
		for _, product := range products {
			if _, err := tx.ExecContext(ctx, s.sql(`INSERT INTO demo_prices(product, cents, version) VALUES ($1, 100, 0)`), product); err != nil {
				return err
			}
		}
		for _, customer := range customers {
			if _, err := tx.ExecContext(ctx, s.sql(`INSERT INTO demo_customers(customer, orders) VALUES ($1, 0)`), customer); err != nil {
				return err
			}
		}
		return nil
	})
}

// repair is what somebody does who is called because of dead letters: look what
// the problem is, repair it, and let the letters be handled again.
func repair[ID eventmodels.AbstractID[ID], TX eventmodels.EnhancedTX, DB database[ID, TX]](ctx context.Context, p play, s *shop[ID, TX, DB]) error {
	letters := s.lib.DeadLetters(mailing)
	causes, err := letters.Causes(ctx, events.LetterFilter{States: events.OpenLetters})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "\nDead letters of the group %s:\n", mailing)
	for _, c := range causes {
		fmt.Fprintf(p.out, "  %d of %s, for one cause; the newest: %s\n", c.Count, c.Handler, c.Example.Error)
	}
	s.stats.repaired.Store(true)

	var failed []events.Letter
	for letter, err := range letters.List(ctx, events.LetterFilter{States: events.OpenLetters}) {
		if err != nil {
			return err
		}
		failed = append(failed, letter)
	}
	s.stats.letters.Store(int64(len(failed)))
	began := time.Now()
	replay, err := letters.Replay(ctx, events.LetterAction{By: "demo", Reason: "addresses repaired"}, failed...)
	if err != nil {
		return err
	}
	outcomes, err := replay.Wait(ctx)
	if err != nil {
		return err
	}
	done := 0
	for _, o := range outcomes {
		if o.Result == events.ReplayDone {
			done++
		}
	}
	fmt.Fprintf(p.out, "  repaired and replayed: %d of %d done after %v\n", done, len(failed), time.Since(began).Round(time.Millisecond))
	return nil
}

// trade lets customers place orders in both instances, and somebody change
// prices.
func trade[ID eventmodels.AbstractID[ID], TX eventmodels.EnhancedTX, DB database[ID, TX]](ctx context.Context, p play, shops []*shop[ID, TX, DB]) error {
	const counters = 4
	until := time.Now().Add(p.lasting)
	errs := make([]error, counters)
	var wg sync.WaitGroup
	for c := range counters {
		wg.Go(func() {
			s := shops[c%len(shops)]
			for n := c + 1; (n <= p.orders || time.Now().Before(until)) && errs[c] == nil; n += counters {
				if p.lasting > 0 && !pause(ctx, 50*time.Millisecond) {
					return
				}
				errs[c] = s.place(ctx, n)
				if n%20 == 0 && errs[c] == nil {
					errs[c] = s.changePrice(ctx, products[n/20%len(products)])
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// arrived waits until the handlers have seen everything, at most half a
// minute; what is missing then is check's to say.
func arrived[ID eventmodels.AbstractID[ID], TX eventmodels.EnhancedTX, DB database[ID, TX]](ctx context.Context, shops []*shop[ID, TX, DB]) error {
	limit := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		problems, err := compare(ctx, shops)
		if err != nil || len(problems) == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-limit:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// show prints a line every half second, and one at the end.
func show(ctx context.Context, p play, st *stats) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			running = false
		}
		fmt.Fprintf(p.out, "orders %4d (+%d rolled back)   invoices %4d   e-mails %4d (%d attempts failed, %d bounced)   batches of sales %3d   prices %3d\n",
			st.committed.Load(), st.rolledBack.Load(), st.invoices.Load(), st.mails.Load(), st.mailFailures.Load(), st.bounced.Load(), st.batches.Load(), st.priceChanges.Load())
	}
}
