package events

import (
	"context"
	"fmt"
	"sync"

	"github.com/sharnoff/eventdistributor"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/keyeddistributor"
)

// notifiers are the registrations of RegisterFiltered and RegisterUnfiltered:
// each Library that is configured later consumes for them.
var notifiers struct {
	mu  sync.Mutex // also guards the maps of all Filtered and Unfiltered
	all []func(CanConsumeBroadcast)
}

// notifierConfig is what the options of a notifier edit.
type notifierConfig struct {
	outstanding int // 0: synchronous
	handlerOpts []HandlerOpt
}

// NotifierOpt is an option of RegisterFiltered and RegisterUnfiltered.
type NotifierOpt func(*notifierConfig)

// Async says how many events a notifier may have handed to its readers that
// not all of them have consumed yet: -1 for any number, n for at most n. With
// 0, the default, each delivery lasts until all readers have consumed its
// event, or until the handler's timeout (30 s), after which the event stays with
// the readers but counts as failed.
func Async(limit int) func(*notifierConfig) {
	return func(c *notifierConfig) { c.outstanding = max(limit, -1) }
}

// WrapHandlerOpt gives options to the broadcast handler behind a notifier.
func WrapHandlerOpt(opts ...HandlerOpt) NotifierOpt {
	return func(c *notifierConfig) { c.handlerOpts = append(c.handlerOpts, opts...) }
}

// Filtered lets parts of a process wait for broadcast events of one key. Made
// by [RegisterFiltered].
type Filtered[K comparable, E any] struct {
	name      string
	instances map[int32]*keyeddistributor.Distributor[eventmodels.Event[E], K] // guarded by notifiers.mu; by InstanceID
}

// Unfiltered lets parts of a process wait for all broadcast events of a
// topic, by the Library's InstanceID. Made by [RegisterUnfiltered].
type Unfiltered[E any] map[int32]*eventdistributor.Distributor[eventmodels.Event[E]]

// RegisterFiltered makes every Library that is configured from now on consume
// the topic as a broadcast and hand each event to the subscribers of its key,
// as an HTTP handler has that waits for news of one object. Call it from
// init() or for a package variable. handlerName is that of [Library.ConsumeBroadcast].
func RegisterFiltered[E any, K comparable](handlerName string, topic eventmodels.BoundTopic[E], key func(eventmodels.Event[E]) K, opts ...NotifierOpt) Filtered[K, E] {
	f := Filtered[K, E]{name: handlerName, instances: make(map[int32]*keyeddistributor.Distributor[eventmodels.Event[E], K])}
	registerNotifier(handlerName, topic, opts, func(instance int32) func(eventmodels.Event[E]) <-chan struct{} {
		d := keyeddistributor.New(key)
		f.instances[instance] = d
		return d.Submit
	})
	return f
}

// RegisterUnfiltered is [RegisterFiltered] for subscribers that get every
// event of the topic.
func RegisterUnfiltered[E any](handlerName string, topic eventmodels.BoundTopic[E], opts ...NotifierOpt) Unfiltered[E] {
	u := make(Unfiltered[E])
	registerNotifier(handlerName, topic, opts, func(instance int32) func(eventmodels.Event[E]) <-chan struct{} {
		d := eventdistributor.New[eventmodels.Event[E]]()
		u[instance] = d
		return d.Submit
	})
	return u
}

// Subscribe returns a reader of the events of key that come from now on. Call
// its Unsubscribe. It panics if lib was not configured after the registration.
func (f Filtered[K, E]) Subscribe(lib CanConsumeBroadcast, key K) *keyeddistributor.Reader[eventmodels.Event[E]] {
	notifiers.mu.Lock()
	d, ok := f.instances[lib.InstanceID()]
	notifiers.mu.Unlock()
	if !ok {
		panic(notSubscribable(f.name))
	}
	return d.Subscribe(key)
}

// Subscribe returns a reader of the events that come from now on. Call its
// Unsubscribe. It panics if lib was not configured after the registration.
func (u Unfiltered[E]) Subscribe(lib CanConsumeBroadcast) eventdistributor.Reader[eventmodels.Event[E]] {
	notifiers.mu.Lock()
	d, ok := u[lib.InstanceID()]
	notifiers.mu.Unlock()
	if !ok {
		panic(notSubscribable("RegisterUnfiltered"))
	}
	return d.Subscribe()
}

func notSubscribable(name string) string {
	return fmt.Sprintf("events: Subscribe to the notifier %q: this Library has none; register notifiers before Configure (package variables, init), and do not call SkipNotifierSupport", name)
}

// registerNotifier adds a registration. instance makes what events are
// submitted to, for the Library with that InstanceID; it is called with
// notifiers.mu held.
func registerNotifier[E any](handlerName string, topic eventmodels.BoundTopic[E], opts []NotifierOpt, instance func(int32) func(eventmodels.Event[E]) <-chan struct{}) {
	var c notifierConfig
	for _, opt := range opts {
		opt(&c)
	}
	notifiers.mu.Lock()
	defer notifiers.mu.Unlock()
	notifiers.all = append(notifiers.all, func(lib CanConsumeBroadcast) {
		submit := instance(lib.InstanceID())
		lib.ConsumeBroadcast(handlerName, topic.Handler(notify(c.outstanding, submit)), c.handlerOpts...)
	})
}

// addNotifiers registers the handlers of all notifiers with a Library.
func addNotifiers(lib CanConsumeBroadcast) {
	notifiers.mu.Lock()
	defer notifiers.mu.Unlock()
	for _, add := range notifiers.all {
		add(lib)
	}
}

// notify is the body of a notifier's broadcast handler.
func notify[E any](outstanding int, submit func(eventmodels.Event[E]) <-chan struct{}) func(context.Context, eventmodels.Event[E]) error {
	var places chan struct{} // a value in it: an event that is not consumed
	if outstanding > 0 {
		places = make(chan struct{}, outstanding)
	}
	return func(ctx context.Context, e eventmodels.Event[E]) error {
		if outstanding == -1 {
			submit(e)
			return nil
		}
		if places == nil {
			return waitConsumed(ctx, submit(e))
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err() // nobody has got it: it may be tried again
		}
		consumed := submit(e)
		go func() {
			<-consumed
			<-places
		}()
		return nil
	}
}

// waitConsumed does not let the event be submitted again: its readers have it.
func waitConsumed(ctx context.Context, consumed <-chan struct{}) error {
	select {
	case <-consumed:
		return nil
	case <-ctx.Done():
		return eventmodels.SetErrorHandling(fmt.Errorf("the notifier's readers have not consumed the event: %w", context.Cause(ctx)), eventmodels.DoNotRetry)
	}
}
