package eventembed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Dialer is one client's way to its brokers: what a network cable is to a
// machine. All connections that were made with it can be cut, stalled or
// slowed, and nobody else's are. It comes from [Network.Dialer] or, for TCP and
// brokers of any kind, from [NewDialer]. Its methods may be called at the same
// time.
//
// The ends of a stalled connection do not hear of each other any more, not
// even that the other has been closed. So a Dialer must not be left stalled:
// end with Restore or Cut.
type Dialer struct {
	name    string
	connect connectFunc
	link    *link

	mu    sync.Mutex
	conns map[*dialedConn]struct{} // open
}

// connectFunc makes a connection over a link and returns the client's end.
type connectFunc func(ctx context.Context, network, address string, l *link) (*pipeConn, error)

// NewDialer returns a Dialer whose connections end in those that dial makes,
// for example of a net.Dialer's DialContext. The name is seen in errors.
func NewDialer(name string, dial func(ctx context.Context, network, address string) (net.Conn, error)) *Dialer {
	return newDialer(name, func(ctx context.Context, network, address string, l *link) (*pipeConn, error) {
		far, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		client, near := newPipe(far.LocalAddr(), far.RemoteAddr(), l)
		go pump(far, near)
		go pump(near, far)
		return client, nil
	})
}

// pump copies what comes from one connection to another and closes both at the
// end. Two of them join two connections.
func pump(to, from net.Conn) {
	_, _ = io.Copy(to, from) // a lost connection is what the ends see, not this
	from.Close()
	to.Close()
}

func newDialer(name string, connect connectFunc) *Dialer {
	return &Dialer{
		name:    name,
		connect: connect,
		link:    newLink(),
		conns:   make(map[*dialedConn]struct{}),
	}
}

// DialContext connects to address. While the dialer is stalled it waits, until
// ctx is done; while it is cut, the error wraps syscall.EHOSTUNREACH. When
// nothing listens at the address, it wraps syscall.ECONNREFUSED. The error is
// or wraps a *net.OpError, as that of a net.Dialer: franz-go tries another
// broker after one, and gives up after an error that it does not know.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.dial(ctx, network, address)
	if err == nil {
		return c, nil
	}
	if _, ok := errors.AsType[*net.OpError](err); !ok {
		err = &net.OpError{Op: "dial", Net: network, Addr: virtualAddr(address), Err: err}
	}
	return nil, fmt.Errorf("%s: %w", d.name, err)
}

func (d *Dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	for {
		state := d.link.current()
		if state.cut {
			return nil, syscall.EHOSTUNREACH
		}
		if !state.stalled {
			break
		}
		select {
		case <-state.changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	pipe, err := d.connect(ctx, network, address, d.link)
	if err != nil {
		return nil, err
	}
	c := &dialedConn{pipeConn: pipe, dialer: d}
	d.mu.Lock()
	// A Cut between the look at the link and here has not seen this
	// connection.
	cut := d.link.current().cut
	if !cut {
		d.conns[c] = struct{}{}
	}
	d.mu.Unlock()
	if cut {
		c.reset()
		return nil, syscall.EHOSTUNREACH
	}
	return c, nil
}

// Cut resets all connections of this dialer, at both ends, and refuses new
// ones until Restore.
func (d *Dialer) Cut() {
	d.link.change(func(s *linkState) { s.cut = true })
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		c.reset()
	}
	clear(d.conns)
}

// Stall lets nothing through in either direction until Restore, without an
// error at either end, as when a switch drops all packets: what was written
// waits and arrives later, new connections wait, and only the ends' own
// timeouts tell that something is wrong.
func (d *Dialer) Stall() { d.link.change(func(s *linkState) { s.stalled = true }) }

// Restore ends Cut and Stall. It does not change the latency.
func (d *Dialer) Restore() {
	d.link.change(func(s *linkState) { s.cut, s.stalled = false, false })
}

// SetLatency makes everything that is written from now on arrive that much
// later, in each direction, so that an answer takes twice the latency. Zero,
// the default, is none.
func (d *Dialer) SetLatency(latency time.Duration) {
	d.link.change(func(s *linkState) { s.latency = latency })
}

// Conns is the number of open connections of this dialer.
func (d *Dialer) Conns() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.conns)
}

// link is the state of a dialer, shared by its connections.
type link struct {
	mu    sync.Mutex
	state linkState
}

type linkState struct {
	cut     bool
	stalled bool
	latency time.Duration
	changed chan struct{} // closed at the next change
}

func newLink() *link { return &link{state: linkState{changed: make(chan struct{})}} }

func (l *link) current() linkState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

func (l *link) change(edit func(*linkState)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	edit(&l.state)
	close(l.state.changed)
	l.state.changed = make(chan struct{})
}

// dialedConn is the client's end of a dialer's connection.
type dialedConn struct {
	*pipeConn
	dialer *Dialer
}

// Close closes the connection.
func (c *dialedConn) Close() error {
	c.dialer.mu.Lock()
	delete(c.dialer.conns, c)
	c.dialer.mu.Unlock()
	return c.pipeConn.Close()
}
