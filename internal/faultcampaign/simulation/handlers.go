package simulation

import (
	"context"
	"errors"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
	"github.com/seed46dd6f11/events/internal/faultcampaign/memorydb"
)

// payload is what events carry: their key and place in its order.
type payload struct {
	Key string
	Seq int64
}

type (
	library = events.Library[eventmodels.StringEventID, *memorydb.Tx, *memorydb.Connection]
	topic   = eventmodels.BoundTopicTx[payload, eventmodels.StringEventID, *memorydb.Tx, *memorydb.Connection]
	event   = eventmodels.Event[payload]
)

func bind(name string) topic {
	return eventmodels.BindTopicTx[payload, eventmodels.StringEventID, *memorydb.Tx, *memorydb.Connection](name)
}

// The topics: transactions of the service write orders, and the handler bill
// writes bills.
var (
	orders = bind("orders")
	bills  = bind("bills")
	topics = []topic{orders, bills}
)

var (
	shop   = events.NewConsumerGroup("shop")
	search = events.NewConsumerGroup("search")
)

// handler is what the run knows about a handler.
type handler struct {
	group, name string
	topic       topic
	kind        checker.Kind
	ordered     bool
	letters     bool
	mayFail     bool // for good
	later       bool // OnFailureRetryLater
	// hang is for how long it does not listen to its ctx when it hangs: below
	// its timeout, of which a batch has one for all of its events.
	hang time.Duration
}

// handlers are all of them.
type handlers struct{ mail, bill, index, stock, gate, cache handler }

func handlersOf(p Plan) handlers {
	return handlers{
		mail:  handler{group: "shop", name: "mail", topic: orders, kind: checker.Idempotent, ordered: true, letters: true, mayFail: true, hang: 40 * time.Second},
		bill:  handler{group: "shop", name: "bill", topic: orders, kind: checker.ExactlyOnce, letters: true, mayFail: true, later: true, hang: 40 * time.Second},
		index: handler{group: "search", name: "index", topic: orders, kind: checker.Idempotent, mayFail: true, hang: 10 * time.Second},
		stock: handler{group: "search", name: "stock", topic: orders, kind: checker.ExactlyOnce, ordered: p.Ordered, letters: true, mayFail: true, hang: 10 * time.Second},
		gate:  handler{group: "shop", name: "gate", topic: bills, kind: checker.Idempotent, ordered: true, hang: 40 * time.Second},
		cache: handler{name: "cache", topic: orders, kind: checker.Broadcast, hang: 20 * time.Second},
	}
}

func (h handlers) all() []handler {
	return []handler{h.mail, h.bill, h.index, h.stock, h.gate, h.cache}
}

func (h handler) declare() checker.Handler {
	return checker.Handler{Group: h.group, Name: h.name, Kind: h.kind, Topics: []string{h.topic.Topic()}, Ordered: h.ordered, Letters: h.letters}
}

// timeout is that of all handlers but broadcasts.
const timeout = 2 * time.Minute

// register registers the handlers of an instance.
func (i *instance) register(lib *library) {
	h := i.world.handlers
	byKey := events.WithOrdering(events.ByKey)
	limit := events.WithTimeout(timeout)
	lib.ConsumeIdempotent(shop, eventmodels.OnFailureSave, h.mail.name, orders.Handler(func(ctx context.Context, e event) error {
		return i.handle(ctx, h.mail, e)
	}), byKey, limit)
	lib.ConsumeExactlyOnce(shop, eventmodels.OnFailureRetryLater, h.bill.name, orders.HandlerTx(func(ctx context.Context, tx *memorydb.Tx, e event) error {
		return i.bill(ctx, tx, h.bill, e)
	}), limit)
	lib.ConsumeIdempotent(search, eventmodels.OnFailureDiscard, h.index.name, orders.BatchHandler(func(ctx context.Context, batch []event) error {
		var failed eventmodels.BatchError
		for n, e := range batch {
			if err := i.handle(ctx, h.index, e); err != nil {
				failed.Fail(n, err)
			}
		}
		return failed.Err()
	}), limit)
	stock := []events.HandlerOpt{limit}
	if h.stock.ordered {
		stock = append(stock, byKey)
	}
	lib.ConsumeExactlyOnce(search, eventmodels.OnFailureSave, h.stock.name, orders.BatchHandlerTx(func(ctx context.Context, tx *memorydb.Tx, batch []event) error {
		for _, e := range batch {
			if err := i.once(ctx, tx, h.stock, e); err != nil {
				return err
			}
		}
		return nil
	}), stock...)
	lib.ConsumeIdempotent(shop, eventmodels.OnFailureBlock, h.gate.name, bills.Handler(func(ctx context.Context, e event) error {
		return i.handle(ctx, h.gate, e)
	}), byKey, limit)
	lib.ConsumeBroadcast(h.cache.name, orders.Handler(func(ctx context.Context, e event) error {
		return i.handle(ctx, h.cache, e)
	}))
}

var errHandler = errors.New("the handler fails, as it should")

// handle is a handler's work: it is recorded, and does what the seed wants.
func (i *instance) handle(ctx context.Context, h handler, e event) error {
	return i.work(ctx, h, e, func() error { return nil })
}

// once is handle for exactly-once handlers.
func (i *instance) once(ctx context.Context, tx *memorydb.Tx, h handler, e event) error {
	return i.work(ctx, h, e, func() error {
		return tx.Effect(ctx, checker.Effect{Group: h.group, Handler: h.name, Topic: e.Topic, ID: e.ID})
	})
}

// bill is once that writes an event, too, with an id that follows from the
// order's.
func (i *instance) bill(ctx context.Context, tx *memorydb.Tx, h handler, e event) error {
	return i.work(ctx, h, e, func() error {
		if err := tx.Effect(ctx, checker.Effect{Group: h.group, Handler: h.name, Topic: e.Topic, ID: e.ID}); err != nil {
			return err
		}
		return i.write(ctx, tx, bills, "bill-"+e.ID, e.Key)
	})
}

// work runs do as the seed wants it.
func (i *instance) work(ctx context.Context, h handler, e event, do func() error) error {
	w := i.world
	w.running.Add(1)
	defer w.running.Done()
	name := handlerEvent{h.group, h.name, e.Topic, e.ID}
	nth := w.recorder.call(name)
	w.recorder.add(i.name, checker.Delivered{
		At: time.Now(), Instance: i.name, Group: h.group, Handler: h.name,
		Topic: e.Topic, ID: e.ID, Key: e.Key, Partition: e.Partition, Offset: e.Offset, Attempt: e.Attempt,
	})
	does, n := behaviourOf(w.plan.Seed, h, e.ID)
	switch {
	case does == slow:
		if err := sleep(ctx, time.Duration(n)*5*time.Millisecond); err != nil {
			return err
		}
	case does == stumbles && nth <= 1+n%3:
		return errHandler
	case does == panics && nth == 1:
		panic("the handler panics, as it should")
	case does == hangs && nth == 1:
		w.hanging.Add(1)
		defer w.hanging.Add(-1)
		time.Sleep(h.hang)
	case does == fails:
		w.recorder.doom(h, e.Topic, e.ID, false)
		return eventmodels.SetErrorHandling(errHandler, eventmodels.DoNotRetry)
	case does == later && nth == 1:
		return eventmodels.SetErrorHandling(errHandler, eventmodels.DoNotRetry)
	default:
		if err := sleep(ctx, time.Duration(n%20)*time.Millisecond); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	w.recorder.add(i.name, checker.Handled{At: time.Now(), Instance: i.name, Group: h.group, Handler: h.name, Topic: e.Topic, ID: e.ID})
	return nil
}

// sleep waits, until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
