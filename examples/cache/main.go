// The command cache is an HTTP service with two instances, each of which
// answers from a cache of its own. A price that is changed at one of them is
// broadcast, so that both caches have it, and a request that waits for news of
// a product (a long poll) is answered at once, wherever it waits.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
)

// price is the event and what is cached. Broadcasts come in any order, so that
// the larger version wins.
type price struct {
	Product string
	Cents   int
	Version int
}

var (
	prices = eventmodels.BindTopic[price]("prices.changed")
	news   = events.RegisterFiltered("price-news", prices, func(e eventmodels.Event[price]) string { return e.Payload.Product })
)

// instance is one process of the service.
type instance struct {
	lib *eventnodb.Library

	mu    sync.Mutex
	cache map[string]price // guarded by mu
}

func start(ctx context.Context, brokers []string) *instance {
	i := &instance{lib: eventnodb.New(), cache: make(map[string]price)}
	i.lib.ConsumeBroadcast("price-cache", prices.Handler(func(_ context.Context, e eventmodels.Event[price]) error {
		i.keep(e.Payload)
		return nil
	}))
	i.lib.OnBroadcastGap(func(string) { i.flush() })
	i.lib.ConfigureNoDB(nil, false, nil, nil, brokers)
	i.lib.StartConsumingOrPanic(ctx)
	return i
}

func (i *instance) keep(p price) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if p.Version > i.cache[p.Product].Version {
		i.cache[p.Product] = p
	}
}

func (i *instance) flush() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.cache)
}

func (i *instance) get(product string) price {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.cache[product]
}

// read answers GET /prices/{product}?after=VERSION: the first price with a
// larger version, for which it waits.
func (i *instance) read(w http.ResponseWriter, r *http.Request) {
	product := r.PathValue("product")
	after, _ := strconv.Atoi(r.FormValue("after"))
	reader := news.Subscribe(i.lib, product) // before the cache is looked at: no news falls in between
	defer reader.Unsubscribe()
	for p := i.get(product); ; p = reader.Consume().Payload {
		if p.Version > after {
			_ = json.NewEncoder(w).Encode(p)
			return
		}
		select {
		case <-reader.WaitChan():
		case <-r.Context().Done():
			return
		}
	}
}

// write answers POST /prices.
func (i *instance) write(w http.ResponseWriter, r *http.Request) {
	var p price
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := i.lib.Produce(r.Context(), eventmodels.ProduceImmediate, prices.Event(p.Product, p)); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

func (i *instance) serve() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /prices/{product}", i.read)
	mux.HandleFunc("POST /prices", i.write)
	return httptest.NewServer(mux)
}

func run(ctx context.Context) error {
	broker, err := eventembed.Start()
	if err != nil {
		return err
	}
	defer broker.Close()
	one, two := start(ctx, broker.Addrs()), start(ctx, broker.Addrs())
	defer one.lib.Shutdown(ctx)
	defer two.lib.Shutdown(ctx)
	first, second := one.serve(), two.serve()
	defer first.Close()
	defer second.Close()

	for version := 1; version <= 3; version++ {
		changed := price{Product: "apple", Cents: 100 * version, Version: version}
		body, _ := json.Marshal(changed)
		changing, err := http.Post(first.URL+"/prices", "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		changing.Body.Close()
		if changing.StatusCode != http.StatusOK {
			return fmt.Errorf("the price was not changed: %s", changing.Status)
		}
		for name, server := range map[string]*httptest.Server{"one": first, "two": second} {
			answer, err := http.Get(server.URL + "/prices/apple?after=" + strconv.Itoa(version-1))
			if err != nil {
				return err
			}
			var got price
			err = json.NewDecoder(answer.Body).Decode(&got)
			if err := errors.Join(err, answer.Body.Close()); err != nil {
				return err
			}
			fmt.Printf("instance %s: an apple costs %d (version %d)\n", name, got.Cents, got.Version)
			if got != changed {
				return fmt.Errorf("instance %s answers %+v, not %+v", name, got, changed)
			}
		}
	}
	return nil
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}
