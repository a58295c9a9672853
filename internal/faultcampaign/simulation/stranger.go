package simulation

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
)

// stranger is another program that writes to the topic orders.
type stranger struct {
	world  *world
	plain  *kgo.Client
	aborts *kgo.Client // of transactions
	turn   chan struct{}
}

func newStranger(w *world, network *eventembed.Network) (*stranger, error) {
	s := &stranger{world: w, turn: make(chan struct{}, 1)}
	var err error
	common := []kgo.Opt{kgo.SeedBrokers(w.broker.Addrs()...), kgo.Dialer(slowlyRefused(network))}
	if s.plain, err = kgo.NewClient(common...); err != nil {
		return nil, err
	}
	s.aborts, err = kgo.NewClient(append(common, kgo.TransactionalID("stranger"), kgo.TransactionTimeout(20*time.Second))...)
	return s, err
}

// slowlyRefused dials, and takes a moment when it fails: while no broker listens,
// franz-go's own producer asks for its id again and again without a pause, so that
// virtual time would stand still (seed 41560).
func slowlyRefused(network *eventembed.Network) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, name, address string) (net.Conn, error) {
		conn, err := network.DialContext(ctx, name, address)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
		}
		return conn, err
	}
}

func (s *stranger) close() {
	s.plain.Close()
	s.aborts.Close()
}

// write writes records that no handler can read, and some that nobody may see.
func (s *stranger) write(step Step) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	ctx, cancel := s.world.within()
	defer cancel()
	w := s.world
	for n := range step.Count {
		id := fmt.Sprintf("undecodable%d-%d", step.At.Milliseconds(), n)
		r := &kgo.Record{Topic: orders.Topic(), Value: []byte("{"), Headers: eventHeaders(id)}
		w.recorder.add("", checker.Uncertain{At: time.Now(), Topic: orders.Topic(), ID: id})
		began := time.Now()
		for _, h := range w.handlers.all() {
			if h.topic == orders {
				w.recorder.doom(h, orders.Topic(), id, true)
			}
		}
		if s.plain.ProduceSync(ctx, r).FirstErr() == nil {
			w.recorder.add("", checker.Committed{At: began, Topic: orders.Topic(), ID: id})
		}
	}
	if s.aborts.BeginTransaction() != nil {
		return
	}
	for n := range step.Count {
		id := fmt.Sprintf("aborted%d-%d", step.At.Milliseconds(), n)
		w.recorder.add("", checker.RolledBack{At: time.Now(), Topic: orders.Topic(), ID: id})
		_ = s.aborts.ProduceSync(ctx, &kgo.Record{Topic: orders.Topic(), Value: []byte("{}"), Headers: eventHeaders(id)}).FirstErr()
	}
	// An error leaves it to the transaction's timeout.
	_ = s.aborts.EndTransaction(context.WithoutCancel(ctx), kgo.TryAbort)
}

// eventHeaders are those of a CloudEvent in the binary mode.
func eventHeaders(id string) []kgo.RecordHeader {
	return []kgo.RecordHeader{
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_id", Value: []byte(id)},
		{Key: "ce_source", Value: []byte("stranger")},
		{Key: "ce_type", Value: []byte("strange")},
		{Key: "content-type", Value: []byte("application/json")},
	}
}
