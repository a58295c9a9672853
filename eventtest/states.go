package eventtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

func (s *suite[ID, TX, DB]) states(t *testing.T) {
	t.Run("BeforeConfigure", s.beforeConfigure)
	t.Run("ConfigureTwice", s.configureTwice)
	t.Run("RegistrationMistakes", s.registrationMistakes)
	t.Run("StartTwice", s.startTwice)
	t.Run("AfterShutdown", s.afterShutdown)
	t.Run("TooLate", s.tooLate)
	t.Run("UnreachableBrokers", s.unreachableBrokers)
	t.Run("UnregisteredTopics", s.unregisteredTopics)
	t.Run("TwoLibraries", s.twoLibraries)
	if s.h.NewDatabase == nil {
		t.Run("NoDatabase", s.noDatabase)
	} else {
		t.Run("DatabaseOfTwo", s.databaseOfTwo)
		t.Run("NotConnected", s.notConnected)
	}
}

// mustPanic runs f and wants a panic whose text contains all of words.
func mustPanic(t *testing.T, what string, f func(), words ...string) {
	t.Helper()
	defer func() {
		t.Helper()
		r := recover()
		text, _ := r.(string)
		if r == nil {
			t.Errorf("%s does not panic", what)
		}
		for _, word := range words {
			if !strings.Contains(text, word) {
				t.Errorf("%s panics with %v, which does not say %q", what, r, word)
			}
		}
	}()
	f()
}

func ignore(context.Context, eventmodels.Event[order]) error { return nil }

func (s *suite[ID, TX, DB]) beforeConfigure(t *testing.T) {
	lib := events.New[ID, TX, DB]()
	ctx := context.Background()
	if lib.IsConfigured() || lib.HasDB() || lib.DB() != nil || lib.GetBroadcastConsumerGroupName() != "" {
		t.Error("a new Library looks configured")
	}
	_, _, startErr := lib.StartConsuming(ctx)
	_, relayErr := lib.CatchUpProduce(ctx, 0, 0)
	for what, err := range map[string]error{
		"StartConsuming":   startErr,
		"CatchUpProduce":   relayErr,
		"Produce":          lib.Produce(ctx, eventmodels.ProduceImmediate, orders.Event("", order{})),
		"ProduceFromTable": lib.ProduceFromTable(ctx, nil),
		"CreateTopics":     lib.CreateTopics(ctx, "test", []string{"t"}),
	} {
		if !errors.Is(err, events.ErrNotConfigured) {
			t.Errorf("%s: %v", what, err)
		}
	}
	mustPanic(t, "StartConsumingOrPanic", func() { lib.StartConsumingOrPanic(ctx) }, "Configure")
	if err := lib.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	var none *events.Library[ID, TX, DB]
	if none.IsConfigured() {
		t.Error("a nil Library is configured")
	}
}

func (s *suite[ID, TX, DB]) configureTwice(t *testing.T) {
	w := s.world(t)
	c := w.library(nil)
	var none DB
	mustPanic(t, "a second Configure", func() { c.lib.Configure(none, nil, false, nil, nil, s.h.Brokers) }, "twice")
	if err := c.lib.Produce(context.Background(), eventmodels.ProduceImmediate, orders.Event("", order{})); err != nil {
		t.Fatal(err)
	}
	mustPanic(t, "Configure of a running Library", func() { c.lib.Configure(none, nil, false, nil, nil, s.h.Brokers) }, "runs")
}

func (s *suite[ID, TX, DB]) registrationMistakes(t *testing.T) {
	lib := events.New[ID, TX, DB]()
	group := events.NewConsumerGroup("g")
	handler := orders.Handler(ignore)
	lib.ConsumeIdempotent(group, eventmodels.OnFailureBlock, "taken", handler)
	lib.ConsumeIdempotent(events.NewConsumerGroup("other"), eventmodels.OnFailureBlock, "taken", handler)
	long := eventmodels.BindTopic[order](strings.Repeat("t", 240))
	mustPanic(t, "a second handler of a name", func() { lib.ConsumeIdempotent(group, eventmodels.OnFailureBlock, "taken", handler) }, "taken", "already")
	mustPanic(t, "an illegal handler name", func() { lib.ConsumeIdempotent(group, eventmodels.OnFailureBlock, "a b", handler) }, "a b")
	mustPanic(t, "an unknown OnFailure", func() { lib.ConsumeIdempotent(group, 0, "h", handler) }, "OnFailure")
	mustPanic(t, "a nil handler", func() { lib.ConsumeBroadcast("h", nil) }, "nil")
	mustPanic(t, "a nil group", func() { lib.ConsumeIdempotent(nil, eventmodels.OnFailureBlock, "h", handler) }, "NewConsumerGroup")
	mustPanic(t, "an illegal topic", func() {
		lib.ConsumeBroadcast("h", eventmodels.BindTopic[order]("a/b").Handler(ignore))
	}, "a/b")
	mustPanic(t, "a topic without room for its letters", func() { lib.ConsumeIdempotent(group, eventmodels.OnFailureBlock, "h", long.Handler(ignore)) }, "dead-letter", "249")
	lib.ConsumeBroadcast("h", long.Handler(ignore)) // no group, no letters
	for what, option := range map[string]func(){
		"WithTimeout":          func() { events.WithTimeout(0) },
		"WithConcurrency":      func() { events.WithConcurrency(0) },
		"WithQueueDepthLimit":  func() { events.WithQueueDepthLimit(-1) },
		"WithBackoff":          func() { events.WithBackoff(2, 1) },
		"NewConsumerGroup":     func() { events.NewConsumerGroup("a b") },
		"WithBaseTopic":        func() { events.WithBaseTopic("a/b") },
		"SetDeadLetterBackoff": func() { lib.SetDeadLetterBackoff(0, 1) },
		"SetLetterCause":       func() { lib.SetLetterCause(nil) },
		"SetPrefix":            func() { lib.SetPrefix("a b") },
	} {
		mustPanic(t, what, option, what)
	}
}

func (s *suite[ID, TX, DB]) startTwice(t *testing.T) {
	w := s.world(t)
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeBroadcast("h", orders.Handler(ignore))
	})
	if name := c.lib.GetBroadcastConsumerGroupName(); !strings.Contains(name, "onsumer-") {
		t.Errorf("the broadcast consumer is called %q after the start", name)
	}
	if _, _, err := c.lib.StartConsuming(context.Background()); !errors.Is(err, events.ErrAlreadyStarted) {
		t.Errorf("a second StartConsuming: %v", err)
	}
	if s.h.NewDatabase != nil {
		c.relay()
		if _, err := c.lib.CatchUpProduce(context.Background(), 0, 0); !errors.Is(err, events.ErrAlreadyStarted) {
			t.Errorf("a second CatchUpProduce: %v", err)
		}
	}
}

func (s *suite[ID, TX, DB]) afterShutdown(t *testing.T) {
	w := s.world(t)
	c := w.consumer(func(lib *events.Library[ID, TX, DB]) {
		lib.ConsumeIdempotent(events.NewConsumerGroup("g"), eventmodels.OnFailureBlock, "h", orders.Handler(ignore))
	})
	c.shutdown()
	await(t, c.consumed, "consuming to end")
	c.shutdown() // again
	ctx := context.Background()
	_, _, startErr := c.lib.StartConsuming(ctx)
	_, relayErr := c.lib.CatchUpProduce(ctx, 0, 0)
	for what, err := range map[string]error{
		"StartConsuming":   startErr,
		"CatchUpProduce":   relayErr,
		"Produce":          c.lib.Produce(ctx, eventmodels.ProduceImmediate, orders.Event("", order{})),
		"ProduceFromTable": c.lib.ProduceFromTable(ctx, nil),
	} {
		if !errors.Is(err, events.ErrStopped) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func (s *suite[ID, TX, DB]) tooLate(t *testing.T) {
	w := s.world(t)
	c := w.consumer(nil)
	mustPanic(t, "a late handler", func() { c.lib.ConsumeBroadcast("h", orders.Handler(ignore)) }, "before")
	mustPanic(t, "a late SetPrefix", func() { c.lib.SetPrefix("p") }, "SetPrefix", "before")
	mustPanic(t, "a late SetLazyTxProduce", func() { c.lib.SetLazyTxProduce(true) }, "before")
}

// An address where nobody listens is an error that names it, and starting
// again is possible.
func (s *suite[ID, TX, DB]) unreachableBrokers(t *testing.T) {
	lib := events.New[ID, TX, DB]()
	lib.ConsumeIdempotent(events.NewConsumerGroup("g"), eventmodels.OnFailureBlock, "h", orders.Handler(ignore))
	var none DB
	lib.Configure(none, nil, false, nil, nil, []string{"127.0.0.1:1"})
	defer lib.Shutdown(context.Background())
	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		_, _, startErr := lib.StartConsuming(ctx)
		pingErr := lib.PingBrokers(ctx)
		cancel()
		for what, err := range map[string]error{"StartConsuming": startErr, "PingBrokers": pingErr} {
			if !errors.Is(err, events.ErrUnreachable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	unset := events.New[ID, TX, DB]()
	unset.Configure(none, nil, false, nil, nil, nil)
	if _, _, err := unset.StartConsuming(context.Background()); err == nil || !strings.Contains(err.Error(), "Brokers") {
		t.Errorf("without brokers: %v", err)
	}
}

func (s *suite[ID, TX, DB]) unregisteredTopics(t *testing.T) {
	lib := events.New[ID, TX, DB]()
	group := events.NewConsumerGroup("g")
	lib.ConsumeIdempotent(group, eventmodels.OnFailureBlock, "h", eventmodels.BindTopic[order]("one").Handler(ignore))
	lib.ConsumeBroadcast("h", eventmodels.BindTopic[order]("two").Handler(ignore))
	var none DB
	lib.Configure(none, nil, true, nil, nil, s.h.Brokers)
	defer lib.Shutdown(context.Background())
	_, _, startErr := lib.StartConsuming(context.Background())
	produceErr := lib.Produce(context.Background(), eventmodels.ProduceImmediate, orders.Event("", order{}))
	validateErr := lib.ValidateTopics(context.Background(), []string{"three", "four"})
	for _, test := range []struct {
		what  string
		err   error
		names []string
	}{
		{"StartConsuming", startErr, []string{"one", "two"}},
		{"Produce", produceErr, []string{"orders"}},
		{"ValidateTopics", validateErr, []string{"three", "four"}},
	} {
		if !errors.Is(test.err, events.UnregisteredTopicError) {
			t.Errorf("%s: %v", test.what, test.err)
			continue
		}
		for _, name := range test.names {
			if !strings.Contains(test.err.Error(), name) {
				t.Errorf("%s does not name %s: %v", test.what, name, test.err)
			}
		}
	}
}

// Two Libraries of one process have nothing in common but the metrics.
func (s *suite[ID, TX, DB]) twoLibraries(t *testing.T) {
	one, two := s.world(t), s.world(t)
	gotOne, gotTwo := newSeen[order](), newSeen[order]()
	register := func(got *seen[order]) func(*events.Library[ID, TX, DB]) {
		return func(lib *events.Library[ID, TX, DB]) {
			lib.ConsumeIdempotent(events.NewConsumerGroup("g"), eventmodels.OnFailureBlock, "h", orders.Handler(got.handle))
		}
	}
	a, b := one.consumer(register(gotOne)), two.consumer(register(gotTwo))
	if a.lib.InstanceID() == b.lib.InstanceID() {
		t.Error("two Libraries have one InstanceID")
	}
	ctx := context.Background()
	for lib, id := range map[*events.Library[ID, TX, DB]]string{a.lib: "one", b.lib: "two"} {
		if err := lib.Produce(ctx, eventmodels.ProduceImmediate, orders.Event("k", order{ID: id})); err != nil {
			t.Fatal(err)
		}
	}
	if e := gotOne.wait(t, 1); e[0].Payload.ID != "one" {
		t.Errorf("the first Library got %v", e)
	}
	if e := gotTwo.wait(t, 1); e[0].Payload.ID != "two" {
		t.Errorf("the second Library got %v", e)
	}
	a.shutdown()
	if err := b.lib.Produce(ctx, eventmodels.ProduceImmediate, orders.Event("k", order{ID: "two"})); err != nil {
		t.Errorf("after the other's shutdown: %v", err)
	}
	gotTwo.wait(t, 2)
}

func (s *suite[ID, TX, DB]) noDatabase(t *testing.T) {
	lib := events.New[ID, TX, DB]()
	var none DB
	lib.ConsumeExactlyOnce(events.NewConsumerGroup("g"), eventmodels.OnFailureBlock, "h",
		eventmodels.BindTopicTx[order, ID, TX, DB]("orders").HandlerTx(func(context.Context, TX, eventmodels.Event[order]) error { return nil }))
	lib.Configure(none, nil, false, nil, nil, s.h.Brokers)
	defer lib.Shutdown(context.Background())
	if lib.HasDB() || lib.DB() != nil {
		t.Error("the Library says that it has a database")
	}
	ctx := context.Background()
	_, _, startErr := lib.StartConsuming(ctx)
	_, relayErr := lib.CatchUpProduce(ctx, 0, 0)
	_, requeueErr := lib.RequeueParked(ctx)
	_, discardErr := lib.DiscardParked(ctx)
	_, statusErr := lib.OutboxStatus(ctx)
	var listErr error
	for _, err := range lib.ParkedEvents(ctx) {
		listErr = err
	}
	for what, err := range map[string]error{
		"StartConsuming": startErr, "CatchUpProduce": relayErr, "ProduceFromTable": lib.ProduceFromTable(ctx, nil),
		"RequeueParked": requeueErr, "DiscardParked": discardErr, "OutboxStatus": statusErr, "ParkedEvents": listErr,
	} {
		if !errors.Is(err, events.ErrNoDatabase) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func (s *suite[ID, TX, DB]) databaseOfTwo(t *testing.T) {
	w := s.world(t)
	c := w.library(nil)
	mustPanic(t, "a database of two Libraries", func() {
		events.New[ID, TX, DB]().Configure(c.db, nil, false, nil, nil, s.h.Brokers)
	}, "already")
}

// A transaction that produces before Configure fails, instead of losing its
// events.
func (s *suite[ID, TX, DB]) notConnected(t *testing.T) {
	db := s.world(t).open()
	err := db.Transact(context.Background(), func(tx TX) error {
		produceIn(tx, orders.Event("k", order{}))
		return nil
	})
	if !errors.Is(err, eventmodels.ErrNotConnected) {
		t.Errorf("Transact: %v", err)
	}
	if err := db.Transact(context.Background(), func(TX) error { return nil }); err != nil {
		t.Errorf("a transaction without events: %v", err)
	}
}
