package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
	"github.com/seed46dd6f11/events/internal/faultcampaign/memorydb"
)

// produce writes events until the instance or the load ends.
func (i *instance) produce(dice *rand.Rand) {
	load := i.world.load
	for {
		pause := time.Duration(dice.ExpFloat64() * float64(i.world.plan.Pause))
		select {
		case <-time.After(pause):
		case <-i.alive.Done():
			return
		case <-load.Done():
			return
		}
		if dice.IntN(10) == 0 {
			i.producing.Go(func() { i.immediate() })
			continue
		}
		t := i.draw(dice)
		i.producing.Go(func() { i.transact(t) })
	}
}

// transaction is what a transaction does.
type transaction struct {
	keys []string      // of its events, sorted: rows are locked in this order
	hold time.Duration // between its first event and its end
	end  ending
}

// ending is how a transaction's function ends.
type ending int

const (
	commits ending = iota
	returnsError
	panicsInTransaction
)

// errRollback is what a transaction's function returns that is to be rolled
// back.
var errRollback = errors.New("rolled back, as it should")

func (i *instance) draw(dice *rand.Rand) transaction {
	var t transaction
	for range 1 + dice.IntN(4) {
		t.keys = append(t.keys, fmt.Sprintf("key%d", dice.IntN(i.world.plan.Keys)))
	}
	slices.Sort(t.keys)
	t.hold = time.Duration(dice.IntN(30)) * time.Millisecond
	switch dice.IntN(20) {
	case 0:
		t.end = returnsError
	case 1:
		t.end = panicsInTransaction
	}
	return t
}

// transact runs a transaction and records what came of it.
func (i *instance) transact(t transaction) {
	w := i.world
	ctx, cancel := context.WithTimeout(i.alive, 20*time.Second+t.hold)
	defer cancel()
	ids := make([]string, len(t.keys))
	for n := range ids {
		ids[n] = w.nextID()
	}
	err := i.protected(ctx, func(tx *memorydb.Tx) error {
		for n, key := range t.keys {
			if err := i.write(ctx, tx, orders, ids[n], key); err != nil {
				return err
			}
		}
		if err := sleep(ctx, t.hold); err != nil {
			return err
		}
		switch t.end {
		case returnsError:
			return errRollback
		case panicsInTransaction:
			panic(errRollback)
		}
		return nil
	})
	for n, id := range ids {
		if err != nil {
			// Where the outcome is unknown the table tells, and has the last word.
			w.recorder.add("", checker.RolledBack{At: time.Now(), Topic: orders.Topic(), ID: id, Key: t.keys[n]})
		}
		switch {
		case err == nil:
			w.recorder.add(i.name, checker.Told{At: time.Now(), Instance: i.name, Topic: orders.Topic(), ID: id, Committed: true})
		case !errors.Is(err, eventmodels.ErrCommitUnknown):
			w.recorder.add(i.name, checker.Told{At: time.Now(), Instance: i.name, Topic: orders.Topic(), ID: id, Error: err.Error()})
		}
	}
}

// protected is Transact, with a panic of its function as an error.
func (i *instance) protected(ctx context.Context, fn func(*memorydb.Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if p != error(errRollback) {
				panic(p)
			}
			err = errRollback
		}
	}()
	return i.db.Transact(ctx, fn)
}

// write writes an event and, in the same transaction, the record of it. It
// takes the lock of the key's row, so the order of the commits is that of the
// events.
func (i *instance) write(ctx context.Context, tx *memorydb.Tx, to topic, id, key string) error {
	seq, err := tx.Next(ctx, to.Topic(), key)
	if err != nil {
		return err
	}
	tx.Produce(to.Event(key, payload{Key: key, Seq: seq}).ID(id))
	return tx.Record(ctx, checker.Committed{Topic: to.Topic(), ID: id, Key: key, Seq: seq})
}

// immediate produces an event without a transaction.
func (i *instance) immediate() {
	w := i.world
	ctx, cancel := context.WithTimeout(i.alive, 30*time.Second)
	defer cancel()
	id, began := w.nextID(), time.Now()
	w.recorder.add("", checker.Uncertain{At: began, Topic: orders.Topic(), ID: id})
	// A key that only immediate events have: the order of two Produce calls
	// that run beside each other is nobody's.
	err := i.lib.Produce(ctx, eventmodels.ProduceImmediate, orders.Event("immediate", payload{}).ID(id))
	if err == nil {
		w.recorder.add(i.name, checker.Committed{At: began, Topic: orders.Topic(), ID: id, Key: "immediate"})
	}
}
