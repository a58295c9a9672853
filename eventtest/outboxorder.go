package eventtest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
)

var noise = eventmodels.BindTopic[order]("noise")

// Events of one key, produced by several processes in transactions that update
// the same row, arrive in the order of the commits, although dozens of other
// transactions commit in another order than they have drawn their seqs.
func (s *suite[ID, TX, DB]) outboxOrder(t *testing.T) {
	const processes, keys, each, groups, group = 3, 4, 25, 8, 8
	w := s.world(t)
	services := make([]*service[ID, TX, DB], processes)
	for i := range services {
		services[i] = w.library(nil)
		services[i].relay()
	}
	services[0].schema(`CREATE TABLE counters (k VARCHAR(20) PRIMARY KEY, n INTEGER NOT NULL)`)
	services[0].transact(func(tx TX) error {
		for k := range keys {
			if err := w.exec(tx, `INSERT INTO counters VALUES (?, 0)`, fmt.Sprint("k", k)); err != nil {
				return err
			}
		}
		return nil
	})
	// The relay reads, and the topics exist, before it begins.
	services[0].transact(func(tx TX) error {
		produceIn(tx, orders.Event("first", order{N: 1}), noise.Event("", order{}))
		return nil
	})
	services[0].drained()
	count := func(svc *service[ID, TX, DB], key string) error {
		return svc.db.Transact(context.Background(), func(tx TX) error {
			if err := w.exec(tx, `UPDATE counters SET n = n + 1 WHERE k = ?`, key); err != nil {
				return err
			}
			var n int
			if err := tx.QueryRowContext(context.Background(), w.sql(`SELECT n FROM counters WHERE k = ?`), key).Scan(&n); err != nil {
				return err
			}
			if n%2 == 0 || !s.h.Concurrent {
				produceIn(tx, orders.Event(key, order{N: n}))
				return nil
			}
			// Here the seq is drawn well before the commit, and others that
			// are drawn after it are committed, and read, before it is.
			if err := svc.db.ProduceTx(context.Background(), tx, orders.Event(key, order{N: n})); err != nil {
				return err
			}
			for range 2 {
				if err := svc.db.Transact(context.Background(), func(tx TX) error {
					produceIn(tx, noise.Event("", order{}))
					return nil
				}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var work sync.WaitGroup
	for _, svc := range services {
		for k := range keys {
			work.Go(func() {
				for range each {
					if err := count(svc, fmt.Sprint("k", k)); err != nil {
						t.Errorf("Transact: %v", err)
					}
				}
			})
		}
		work.Go(func() {
			for range groups {
				reversed(s, svc, group)
			}
		})
	}
	work.Wait()
	services[0].drained()
	inOrder(t, w.records("orders"), 1+processes*keys*each)
	others := 1 + processes*groups*group
	if s.h.Concurrent {
		others += 2 * keys * (processes*each + 1) / 2 // for every odd number
	}
	if got := len(w.records("noise")); got != others {
		t.Errorf("%d events of the other transactions are stored, want %d", got, others)
	}
}

// reversed runs n transactions that draw their seqs one after the other and
// commit in the opposite order, where the database can.
func reversed[ID eventmodels.AbstractID[ID], TX eventmodels.AbstractTX, DB eventmodels.AbstractDB[ID, TX]](s *suite[ID, TX, DB], svc *service[ID, TX, DB], n int) {
	nothing := make(chan struct{})
	close(nothing)
	drawn := nothing // by the one before
	var all sync.WaitGroup
	committed := make([]chan struct{}, n+1)
	for i := range committed {
		committed[i] = make(chan struct{})
	}
	close(committed[n])
	for i := range n {
		before, mine := drawn, make(chan struct{})
		drawn = mine
		all.Go(func() {
			defer close(committed[i])
			<-before
			err := svc.db.Transact(context.Background(), func(tx TX) error {
				err := svc.db.ProduceTx(context.Background(), tx, noise.Event("", order{N: i}))
				close(mine)
				if s.h.Concurrent {
					<-committed[i+1]
				}
				return err
			})
			if err != nil {
				svc.t.Errorf("Transact: %v", err)
			}
		})
	}
	all.Wait()
}

// A transaction that stays open, with an event of its own, delays only that
// event.
func (s *suite[ID, TX, DB]) outboxLongTransaction(t *testing.T) {
	if !s.h.Concurrent {
		t.Skip("one transaction writes at a time")
	}
	const others = 500
	w := s.world(t)
	svc := w.library(nil)
	svc.relay()
	open, end, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- svc.db.Transact(context.Background(), func(tx TX) error {
			err := svc.db.ProduceTx(context.Background(), tx, noise.Event("k", order{N: 1})) // draws its seq
			close(open)
			<-end
			return err
		})
	}()
	await(t, open, "the open transaction")
	for n := range others {
		svc.transact(func(tx TX) error {
			produceIn(tx, orders.Event("k", order{N: n + 1}))
			return nil
		})
	}
	inOrder(t, w.stored("orders", others), others) // while it is open
	if got := w.records("noise"); len(got) != 0 {
		t.Error("the event of a transaction that is open was sent")
	}
	close(end)
	if err := await(t, done, "the commit"); err != nil {
		t.Fatal(err)
	}
	inOrder(t, w.stored("noise", 1), 1)
	svc.drained()
}

// While Kafka is away transactions commit, none of the relay's stays open, and
// when it is back all is sent, each once and in order.
func (s *suite[ID, TX, DB]) outboxOutage(t *testing.T) {
	const keys, before, during = 5, 10, 60
	w := s.world(t)
	svc, cable := w.cable(nil)
	svc.relay()
	produce := func(from, to int) {
		for n := from; n < to; n++ {
			svc.transact(func(tx TX) error {
				for k := range keys {
					produceIn(tx, orders.Event(fmt.Sprint("k", k), order{N: n + 1}))
				}
				return nil
			})
		}
	}
	produce(0, before)
	svc.drained()
	for round, fault := range []func(){cable.Cut, cable.Stall} {
		begin := before + 2*round*during
		fault()
		produce(begin, begin+during)
		if s.h.OpenTransactions != "" {
			eventually(t, "no transaction to be open while Kafka is away", func() bool { return svc.count(s.h.OpenTransactions) == 0 })
		}
		if got := svc.waiting(); got != keys*during {
			t.Errorf("%d rows are in the outbox while Kafka is away, want %d", got, keys*during)
		}
		cable.Restore()
		produce(begin+during, begin+2*during)
		svc.drained()
	}
	inOrder(t, w.records("orders"), keys*(before+4*during))
}

// Any bytes are stored and sent unchanged, through the outbox and without it.
func (s *suite[ID, TX, DB]) outboxBytes(t *testing.T) {
	w := s.world(t)
	svc := w.library(nil)
	svc.relay()
	events := strangeEvents()
	svc.transact(func(tx TX) error {
		for _, e := range events {
			produceIn(tx, e)
		}
		return nil
	})
	svc.drained()
	checkStrange(t, events, w.records("raw"))
}
