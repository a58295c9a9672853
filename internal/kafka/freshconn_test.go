package kafka

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/eventembed"
)

// closingListener accepts connections and closes each when the first request has
// come, as a broker does that wants SASL, or one that dies.
func closingListener(t *testing.T) (address string, closed *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed = new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1<<10)) // whatever it is
			_ = conn.Close()
			closed.Add(1)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String(), closed
}

// A broker that closes each connection at its first request may be one that wants
// SASL, or TLS, and one that is going down: Produce waits, and says what franz-go
// thinks of it when its context ends.
func TestProduceWhileConnectionsAreClosed(t *testing.T) {
	address, closed := closingListener(t)
	client := (&cluster{brokers: []string{address}}).client(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	result := make(chan error, 1)
	go func() { result <- client.produce(ctx, []*Record{record("t", "k", "v")}) }()
	eventually(t, "it tries again and again", func() bool { return closed.Load() >= 3 })
	select {
	case err := <-result:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	cancel(nil)
	err := receive(t, "the call's return", result)
	var first *kgo.ErrFirstReadEOF
	if !errors.Is(err, context.Canceled) || !errors.As(err, &first) || !strings.Contains(err.Error(), "missing?") {
		t.Errorf("it does not say why it has waited: %v", err)
	}
}

// The same for the request that is the first of a producer, on a connection of
// its own: what franz-go says of SASL is in the error at the end of ctx, and only
// then.
func TestProduceWhileTheFirstRequestIsNotAnswered(t *testing.T) {
	c := embedded(t, eventembed.Topics(1, "t"))
	producerID := []kmsg.Key{kmsg.InitProducerID}
	for _, test := range []struct {
		name string
		fail func(eventembed.Match) *eventembed.Fault
	}{{"not sent", c.embed.Drop}, {"not answered", c.embed.DropResponse}} {
		t.Run(test.name, func(t *testing.T) {
			client := c.client(t)
			lost := test.fail(eventembed.Match{Requests: producerID})
			defer lost.Remove()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			result := make(chan error, 2)
			go func() { result <- client.produce(ctx, []*Record{record("t", "k", "given up")}) }()
			go func() { result <- client.produce(timeout(t), []*Record{record("t", "k", "v")}) }()
			eventually(t, "it asks again and again", func() bool { return lost.Hits() >= 3 })
			select {
			case err := <-result:
				t.Fatalf("it did not wait: %v", err)
			default:
			}
			cancel()
			if err := receive(t, "the return of the call that was given up", result); !errors.Is(err, context.Canceled) {
				t.Errorf("error: %v", err)
			} else {
				t.Log(err)
			}
			lost.Remove()
			if err := receive(t, "the other call's return", result); err != nil {
				t.Errorf("error: %v", err)
			}
		})
	}
}
