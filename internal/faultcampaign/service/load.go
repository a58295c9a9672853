package service

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
)

// workers bounds the transactions of the load that are open at the same time.
const workers = 4

// patience is how long a transaction of the load may take.
const patience = 30 * time.Second

var errOnPurpose = errors.New("rolled back on purpose")

// load writes orders.
type load struct {
	rate   atomic.Int64 // transactions a second, of all workers
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (s *service[ID, TX, DB]) startLoad() {
	ctx, cancel := context.WithCancel(context.Background())
	s.load.cancel = cancel
	for worker := range workers {
		random := rand.New(rand.NewPCG(s.config.Seed, uint64(worker)))
		s.load.done.Go(func() {
			for ctx.Err() == nil {
				pause := time.Second / 4
				rate := s.load.rate.Load()
				if rate > 0 {
					pause = time.Duration(random.ExpFloat64() * float64(workers) / float64(rate) * float64(time.Second))
				}
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
				if s.load.rate.Load() > 0 && ctx.Err() == nil {
					s.transact(random)
				}
			}
		})
	}
}

// stopLoad waits for the transactions that run.
func (s *service[ID, TX, DB]) stopLoad() {
	s.load.cancel()
	s.load.done.Wait()
}

// transact is one transaction: one or two orders, sometimes others, and
// sometimes a change of mind.
func (s *service[ID, TX, DB]) transact(random *rand.Rand) {
	keys := []string{s.keys[random.IntN(len(s.keys))]}
	if random.IntN(4) == 0 {
		keys = append(keys, s.keys[random.IntN(len(s.keys))])
	}
	slices.Sort(keys) // so that no two transactions wait for each other
	keys = slices.Compact(keys)
	var others []string // topics without order per key
	for _, topic := range []string{Growing, Brief} {
		if random.IntN(5) == 0 {
			others = append(others, topic)
		}
	}
	back, fate := random.IntN(20) == 0, randomFate(random)
	s.record(func(ctx context.Context, tx TX, t *transaction) error {
		for _, key := range keys {
			order, err := s.order(ctx, tx, key)
			if err != nil {
				return err
			}
			order.Fate = fate
			if err := s.commit(ctx, tx, t, Orders, order); err != nil {
				return err
			}
			tx.Produce(eventmodels.BindTopic[Order](Orders).Event(key, order).ID(order.ID.String()))
		}
		for _, topic := range others {
			order := Order{ID: uuid.New(), Key: keys[0]}
			if err := s.commit(ctx, tx, t, topic, order); err != nil {
				return err
			}
			tx.Produce(eventmodels.BindTopic[Order](topic).Event(order.Key, order).ID(order.ID.String()))
		}
		if back {
			return errOnPurpose
		}
		return nil
	})
}

func randomFate(random *rand.Rand) Fate {
	switch random.IntN(200) {
	case 0, 1, 2:
		return Flaky
	case 3:
		return Poison
	case 4, 5:
		return Late
	}
	return Fine
}

// transaction is what is known of one before it ends.
type transaction struct {
	began  time.Time
	orders []checker.Told // without the end
}

// record runs fn in a transaction and writes down how that ended.
func (s *service[ID, TX, DB]) record(fn func(ctx context.Context, tx TX, t *transaction) error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	t := transaction{began: time.Now()}
	err := s.db.Transact(ctx, func(tx TX) error { return fn(ctx, tx, &t) })
	for _, told := range t.orders {
		told.At, told.Instance, told.Committed = time.Now(), s.config.Name, err == nil
		if err != nil {
			told.Error = err.Error()
			s.journal.Write(checker.RolledBack{At: told.At, Topic: told.Topic, ID: told.ID})
		}
		if !errors.Is(err, eventmodels.ErrCommitUnknown) {
			s.journal.Write(told)
		}
	}
}

// order counts an order of a key, under the lock of the key's row until the
// transaction ends.
func (s *service[ID, TX, DB]) order(ctx context.Context, tx TX, key string) (order Order, err error) {
	order = Order{ID: uuid.New(), Key: key}
	if _, err = tx.ExecContext(ctx, s.backend.sql(`UPDATE campaign_keys SET n = n + 1 WHERE k = ?`), key); err != nil {
		return order, err
	}
	err = tx.QueryRowContext(ctx, s.backend.sql(`SELECT n FROM campaign_keys WHERE k = ?`), key).Scan(&order.N)
	return order, err
}

// commit adds an order to what is true if the transaction commits.
func (s *service[ID, TX, DB]) commit(ctx context.Context, tx TX, t *transaction, topic string, order Order) error {
	t.orders = append(t.orders, checker.Told{Topic: topic, ID: order.ID.String()})
	_, err := tx.ExecContext(ctx, s.backend.sql(`INSERT INTO campaign_committed (id, topic, k, n, fate, began) VALUES (?, ?, ?, ?, ?, ?)`),
		order.ID.String(), topic, order.Key, order.N, string(order.Fate), t.began.UnixNano())
	return err
}

// long is a transaction that has stored its order, and so drawn its seq, and
// stays open.
func (s *service[ID, TX, DB]) long(lasting time.Duration) {
	s.record(func(ctx context.Context, tx TX, t *transaction) error {
		order, err := s.order(ctx, tx, HeldKey(s.config.Slot))
		if err != nil {
			return err
		}
		if err := s.commit(ctx, tx, t, Orders, order); err != nil {
			return err
		}
		event := eventmodels.BindTopic[Order](Orders).Event(order.Key, order).ID(order.ID.String())
		if err := s.backend.produceTx(ctx, s.lib, tx, event); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(lasting):
		}
		return nil
	})
}

// oversized tries to produce more than the topic takes: the transaction must
// fail.
func (s *service[ID, TX, DB]) oversized(bytes int) {
	s.record(func(ctx context.Context, tx TX, t *transaction) error {
		order, err := s.order(ctx, tx, HeldKey(s.config.Slot))
		if err != nil {
			return err
		}
		if err := s.commit(ctx, tx, t, Orders, order); err != nil {
			return err
		}
		order.Pad = strings.Repeat("x", bytes)
		tx.Produce(eventmodels.BindTopic[Order](Orders).Event(order.Key, order).ID(order.ID.String()))
		return nil
	})
}
