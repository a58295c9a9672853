package eventembed

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Match chooses requests. A request is chosen when it fits every field that is
// set; the zero Match chooses every request of every client.
//
// A selector that a request does not carry does not fit it: a Match with a
// Topic does not choose heartbeats. A request that is about several topics or
// partitions is chosen when one of them fits.
type Match struct {
	// Requests are the kinds of request, kmsg.Produce or kmsg.OffsetCommit
	// for example; nil is all.
	Requests []kmsg.Key

	Topic      string  // the topic's name; "" is all
	Partitions []int32 // nil is all
	Group      string  // the consumer group; "" is all. The search for a group's coordinator carries the group
	ClientID   string  // the client's id, kgo.ClientID; "" is all
	Nodes      []int32 // the brokers, by node id, that the request is sent to; nil is all

	// When looks at the request itself, for what the fields above cannot say;
	// nil chooses all. It must not block, call the Broker, or change or keep
	// the request.
	When func(kmsg.Request) bool

	// Count is how many requests are chosen before the fault is used up; 0 is
	// all, until Remove.
	Count int
}

// Fault is something that happens to requests, until it is used up or removed.
// Its methods may be called at the same time, and after the broker's Close.
//
// Faults act in the order in which they were made: a request can be delayed by
// one and dropped by the next. Those of [Broker.Fail] come after all others.
type Fault struct {
	broker *Broker
	effect effect
}

// effect is a rule of the connections or a fault of the cluster.
type effect interface {
	Hits() int
	Wait(ctx context.Context, n int) error
	Remove()
}

// Hits is how many requests the fault has acted on so far.
func (f *Fault) Hits() int { return f.effect.Hits() }

// Wait returns when the fault has acted on n requests in total. It returns
// ctx's error when ctx is done first, and [ErrClosed] when the broker is.
func (f *Fault) Wait(ctx context.Context, n int) error {
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-f.broker.done:
			cancel(ErrClosed)
		case <-waiting.Done():
		}
	}()
	if f.effect.Wait(waiting, n) == nil || f.Hits() >= n {
		return nil
	}
	return context.Cause(waiting)
}

// Remove ends the fault. What it holds goes on. Removing a fault twice, or one
// that is used up, does nothing more.
func (f *Fault) Remove() { f.effect.Remove() }

// Fail answers the chosen requests with an error, nil is kerr.UnknownServerError,
// before the broker acts on them. Of a request about several topics or
// partitions it fails those that are chosen, and the others succeed.
//
// kerr.RequestTimedOut (and, for produce requests,
// kerr.NotEnoughReplicasAfterAppend) is answered to a request that changes
// something after the change was made, as a real broker may.
//
// With Match.ClientID set, requests in versions from before tagged fields
// (Kafka 2.4) are not chosen.
func (b *Broker) Fail(m Match, err *kerr.Error) *Fault {
	fault := kfake.Fault{
		Keys:       m.Requests,
		Nodes:      m.Nodes,
		Topic:      m.Topic,
		Partitions: m.Partitions,
		Group:      m.Group,
		Err:        err,
		Count:      m.Count,
		When: func(body kmsg.Request) bool {
			from, known := originOf(body)
			switch {
			case from.internal:
				return false
			case m.ClientID != "" && (!known || from.clientID != m.ClientID):
				return false
			}
			return m.When == nil || m.When(body)
		},
	}
	if m.Count == 0 {
		fault.Count = -1
	}
	stamped := func(change int32) {
		if m.ClientID != "" {
			b.rules.stampers.Add(change)
		}
	}
	stamped(+1)
	return &Fault{b, &failure{
		FaultHandle: b.cluster.Fault(fault),
		removed:     sync.OnceFunc(func() { stamped(-1) }),
	}}
}

// Stall holds the chosen requests before the broker sees them, until Remove or
// [Broker.Close]. Requests behind them on the same connection wait as well.
// When it goes on, a request reaches the broker even if its client has given
// up and closed the connection: like one that the network had delayed.
func (b *Broker) Stall(m Match) *Fault { return b.add(rule{Match: m, act: hold}) }

// StallResponse lets the broker act on the chosen requests and holds its
// answers, until Remove or [Broker.Close].
func (b *Broker) StallResponse(m Match) *Fault { return b.add(rule{Match: m, act: holdResponse}) }

// Delay holds each of the chosen requests for the time d before the broker
// sees it, or until Remove.
func (b *Broker) Delay(m Match, d time.Duration) *Fault {
	return b.add(rule{Match: m, act: hold, limit: d, limited: true})
}

// Drop closes the connections that the chosen requests come from, before the
// broker sees the requests.
func (b *Broker) Drop(m Match) *Fault { return b.add(rule{Match: m, act: drop}) }

// DropResponse lets the broker act on the chosen requests and closes the
// connections instead of answering: the client cannot know that the broker has
// the records that it has produced. Hits counts the answers that were lost.
// Produce requests that want no answer (acks 0) are not chosen.
func (b *Broker) DropResponse(m Match) *Fault { return b.add(rule{Match: m, act: dropResponse}) }

// Observe counts the chosen requests as they arrive and does nothing to them.
func (b *Broker) Observe(m Match) *Fault { return b.add(rule{Match: m, act: observe}) }

func (b *Broker) add(r rule) *Fault { return &Fault{b, b.rules.add(r)} }

// failure is a fault of the cluster.
type failure struct {
	*kfake.FaultHandle
	removed func()
}

func (f *failure) Remove() {
	f.FaultHandle.Remove()
	f.removed()
}
