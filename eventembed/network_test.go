package eventembed_test

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
)

// echo answers what it gets, until the end of the test.
func echo(t *testing.T, listen func(network, address string) (net.Listener, error)) (address string) {
	t.Helper()
	l, err := listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // until the other end or the network ends it
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, d interface {
	DialContext(context.Context, string, string) (net.Conn, error)
}, address string) net.Conn {
	t.Helper()
	c, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// say writes to an echo and reads the answer.
func say(c net.Conn, text string) error {
	if _, err := c.Write([]byte(text)); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, len(text)))
	return err
}

func TestNetworkRefusesWhereNothingListens(t *testing.T) {
	var n eventembed.Network
	for _, address := range []string{"127.0.0.1:1", "127.0.0.1:x", "127.0.0.1"} {
		if _, err := n.DialContext(t.Context(), "tcp", address); err == nil {
			t.Errorf("%s answers", address)
		}
	}
	if _, err := n.DialContext(t.Context(), "tcp", "127.0.0.1:1"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
	l, err := n.Listen("tcp", "127.0.0.1:7")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Listen("tcp", "127.0.0.1:7"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.DialContext(ctx, "tcp", "127.0.0.1:7"); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody accepts: got %v", err)
	}
	l.Close()
	if _, err := n.Listen("tcp", "127.0.0.1:7"); err != nil {
		t.Errorf("the port stays taken: %v", err)
	}
	for _, address := range []string{"127.0.0.1:x", "127.0.0.1"} {
		if _, err := n.Listen("tcp", address); err == nil {
			t.Errorf("listens at %s", address)
		}
	}
}

// dialers is a Dialer on a virtual network and one on TCP, with an echo each.
var dialers = map[string]func(*testing.T) (*eventembed.Dialer, string){
	"virtual": func(t *testing.T) (*eventembed.Dialer, string) {
		var n eventembed.Network
		return n.Dialer("one"), echo(t, n.Listen)
	},
	"TCP": func(t *testing.T) (*eventembed.Dialer, string) {
		return eventembed.NewDialer("one", (&net.Dialer{}).DialContext), echo(t, net.Listen)
	},
}

func TestDialerCut(t *testing.T) {
	for name, start := range dialers {
		t.Run(name, func(t *testing.T) {
			d, address := start(t)
			c := dial(t, d, address)
			if err := say(c, "hello"); err != nil {
				t.Fatal(err)
			}
			expect(t, "connections", d.Conns(), 1)
			d.Cut()
			if err := say(c, "hello"); !errors.Is(err, syscall.ECONNRESET) {
				t.Fatalf("got %v", err)
			}
			if _, err := d.DialContext(t.Context(), "tcp", address); !errors.Is(err, syscall.EHOSTUNREACH) {
				t.Fatalf("got %v", err)
			}
			expect(t, "connections", d.Conns(), 0)
			d.Restore()
			if err := say(dial(t, d, address), "hello"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestDialerStall(t *testing.T) {
	for name, start := range dialers {
		t.Run(name, func(t *testing.T) {
			d, address := start(t)
			c := dial(t, d, address)
			d.Stall()
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if _, err := d.DialContext(ctx, "tcp", address); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("dial: %v", err)
			}
			first := make(chan error, 1)
			go func() { first <- say(c, "hello") }()
			second := make(chan error, 1)
			go func() {
				c, err := d.DialContext(t.Context(), "tcp", address)
				if err == nil {
					err = say(c, "hello")
					c.Close()
				}
				second <- err
			}()
			c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
			if err := receive(t, first); !isTimeout(err) {
				t.Fatalf("over a stalled connection: %v", err)
			}
			c.SetReadDeadline(time.Time{})
			d.Restore()
			if _, err := io.ReadFull(c, []byte("hello")); err != nil {
				t.Fatalf("what was written before: %v", err)
			}
			if err := receive(t, second); err != nil {
				t.Fatalf("the dial that waited: %v", err)
			}
		})
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestDialersAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n eventembed.Network
		address := echo(t, n.Listen)
		near, far, cut := n.Dialer("near"), n.Dialer("far"), n.Dialer("cut")
		far.SetLatency(100 * time.Millisecond)
		a, b, c := dial(t, near, address), dial(t, far, address), dial(t, cut, address)
		direct := dial(t, &n, address)
		cut.Cut()
		for what, x := range map[string]struct {
			conn net.Conn
			took time.Duration
		}{"near": {a, 0}, "far": {b, 200 * time.Millisecond}, "direct": {direct, 0}} {
			begin := time.Now()
			if err := say(x.conn, "hello"); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			expect(t, what, time.Since(begin), x.took)
		}
		if err := say(c, "hello"); err == nil {
			t.Error("a cut connection answers")
		}
	})
}

// Clients tell by the type of an error that no connection could be made.
func TestDialErrorsAreThoseOfANetDialer(t *testing.T) {
	network := new(eventembed.Network)
	d := network.Dialer("client")
	_, refused := d.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	d.Cut()
	_, cut := d.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	for want, err := range map[error]error{syscall.ECONNREFUSED: refused, syscall.EHOSTUNREACH: cut} {
		op, ok := errors.AsType[*net.OpError](err)
		if !errors.Is(err, want) || !ok || op.Op != "dial" {
			t.Errorf("got %v (%T), want a *net.OpError of a dial with %v", err, err, want)
		}
	}
}
