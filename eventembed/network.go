package eventembed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// firstPort is the first port that a Network hands out.
const firstPort = 9092

// Network is a network inside the process. Brokers that were started with
// [OnNetwork] listen on it, and clients reach them with its DialContext or,
// to be cut off, stalled and slowed one by one, with a [Dialer] of it. Nothing
// of it waits in the operating system, so that under testing/synctest the
// clock can go forward while everybody waits for the network.
//
// The zero value is an empty network, ready to use. A Network must not be
// copied after its first use, and in a testing/synctest bubble it must be made
// inside the bubble. Its methods may be called at the same time.
type Network struct {
	mu        sync.Mutex
	listeners map[int]*virtualListener // by port
	nextPort  int                      // 0 before the first
	nextPeer  int                      // numbers the clients' addresses
	direct    *Dialer                  // behind DialContext; never stalled, cut or slowed
}

// virtualAddr is the address of an end of a virtual connection.
type virtualAddr string

func (virtualAddr) Network() string  { return "tcp" }
func (a virtualAddr) String() string { return string(a) }

// DialContext connects to the broker that listens at address on this network.
// The first argument, the network's name, is not looked at. It has the
// signature of net.Dialer's method, so that it fits wherever that one does:
//
//	kgo.Dialer(network.DialContext)
//
// The error wraps syscall.ECONNREFUSED when nothing listens at the address.
func (n *Network) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	if n.direct == nil {
		n.direct = n.Dialer("direct")
	}
	d := n.direct
	n.mu.Unlock()
	return d.DialContext(ctx, "tcp", address)
}

// Dialer returns a new way into the network, under a name that is seen in
// errors and as the host in the broker's view of the client's address. Two
// dialers of the same name are independent of each other. Give each simulated
// process one of its own.
func (n *Network) Dialer(name string) *Dialer {
	return newDialer(name, func(ctx context.Context, _, address string, l *link) (*pipeConn, error) {
		return n.connect(ctx, name, address, l)
	})
}

// Listen opens a port of the network; port 0 chooses a free one. Brokers do
// this by themselves.
func (n *Network) Listen(_, address string) (net.Listener, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen on the virtual network: %w", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("listen on the virtual network at %s: the port is not a number", address)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = make(map[int]*virtualListener)
		n.nextPort = firstPort
	}
	if port == 0 {
		for n.listeners[n.nextPort] != nil {
			n.nextPort++
		}
		port = n.nextPort
		n.nextPort++
	}
	if n.listeners[port] != nil {
		return nil, &net.OpError{Op: "listen", Net: "virtual", Addr: virtualAddr(address), Err: syscall.EADDRINUSE}
	}
	l := &virtualListener{
		network: n,
		port:    port,
		addr:    virtualAddr(net.JoinHostPort(host, strconv.Itoa(port))),
		backlog: make(chan net.Conn),
		closed:  make(chan struct{}),
	}
	n.listeners[port] = l
	return l, nil
}

// connect makes a connection to address over the link l.
func (n *Network) connect(ctx context.Context, name, address string, l *link) (*pipeConn, error) {
	_, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, errors.New("the port is not a number")
	}
	n.mu.Lock()
	listener := n.listeners[port]
	n.nextPeer++
	peer := virtualAddr(net.JoinHostPort(name, strconv.Itoa(n.nextPeer)))
	n.mu.Unlock()
	if listener == nil {
		return nil, syscall.ECONNREFUSED
	}
	client, server := newPipe(peer, listener.addr, l)
	select {
	case listener.backlog <- server:
		return client, nil
	case <-listener.closed:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// virtualListener is a port of a Network.
type virtualListener struct {
	network *Network
	port    int
	addr    net.Addr
	backlog chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *virtualListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *virtualListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.network.mu.Lock()
		delete(l.network.listeners, l.port)
		l.network.mu.Unlock()
	})
	return nil
}

func (l *virtualListener) Addr() net.Addr { return l.addr }
