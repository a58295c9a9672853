//go:build synctests

package kafka

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/eventembed"
)

// The only broker goes away while a client waits for its first producer id, and
// the Dialer's errors are not those of a net.Dialer: the client tries again, but
// not as fast as it can, and Produce waits.
func TestVirtualDialerWithErrorsOfItsOwn(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster, n *eventembed.Network) {
		const most = 1000
		var dials atomic.Int64
		config := c.virtualConfig(t, n.Dialer("client"))
		dial := config.Dialer
		config.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			if dials.Add(1) == most+1 {
				_ = c.embed.Restore() // or time would not go on
			}
			conn, err := dial(ctx, network, address)
			if err != nil {
				return nil, errors.New("the proxy says no")
			}
			return conn, nil
		}
		client, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		asked := c.embed.Stall(eventembed.Match{Requests: []kmsg.Key{kmsg.InitProducerID}})
		produced := make(chan error, 1)
		go func() { produced <- client.produce(context.Background(), []*Record{{Topic: "t", Value: []byte("a")}}) }()
		if err := asked.Wait(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		if err := c.embed.Cut(); err != nil {
			t.Fatal(err)
		}
		asked.Remove()
		time.Sleep(time.Minute)
		if n := dials.Load(); n > most {
			t.Errorf("more than %d attempts to connect in a minute", most)
		}
		if err := c.embed.Restore(); err != nil {
			t.Fatal(err)
		}
		if err := <-produced; err != nil {
			t.Errorf("Produce: %v", err)
		}
	})
}
