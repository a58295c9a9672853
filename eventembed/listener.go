package eventembed

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// listener is what a broker of the cluster accepts its connections from. It
// stands between the cluster and the port, so that the port can be closed and
// opened again without the cluster noticing, and it wraps what it accepts.
type listener struct {
	broker *Broker
	node   int32
	addr   net.Addr

	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
	loops    sync.WaitGroup // accept loops

	mu    sync.Mutex
	port  net.Listener       // nil while the node is cut
	conns map[*conn]struct{} // open, without internal ones
}

func newListener(b *Broker, node int32, port net.Listener) *listener {
	l := &listener{
		broker:   b,
		node:     node,
		addr:     port.Addr(),
		accepted: make(chan net.Conn),
		closed:   make(chan struct{}),
		conns:    make(map[*conn]struct{}),
	}
	l.serve(port)
	return l
}

// serve accepts from port until it is closed.
func (l *listener) serve(port net.Listener) {
	l.mu.Lock()
	l.port = port
	l.mu.Unlock()
	l.loops.Go(func() {
		for {
			c, err := port.Accept()
			if err != nil {
				return
			}
			l.admit(c, port)
		}
	})
}

// admit hands a connection from port to the cluster.
func (l *listener) admit(raw net.Conn, port net.Listener) {
	c := newConn(l, l.secure(raw))
	l.mu.Lock()
	cut := l.port != port // since it was accepted
	if !cut {
		l.conns[c] = struct{}{}
	}
	l.mu.Unlock()
	if cut {
		c.end()
		return
	}
	select {
	case l.accepted <- c:
	case <-l.closed:
		c.end()
	}
}

// dial makes a connection to the node that no fault touches, not even Cut.
func (l *listener) dial(ctx context.Context) (net.Conn, error) {
	client, server := newPipe(virtualAddr("internal:0"), l.addr, newLink())
	c := newConn(l, server)
	c.internal = true
	select {
	case l.accepted <- c:
		return client, nil
	case <-l.closed:
		c.end()
		return nil, ErrClosed
	case <-ctx.Done():
		c.end()
		return nil, ctx.Err()
	}
}

// secure puts TLS on a connection if the cluster speaks TLS.
func (l *listener) secure(c net.Conn) net.Conn {
	if l.broker.config.tls == nil {
		return c
	}
	return tls.Server(c, l.broker.config.tls)
}

// cut closes the port and all connections.
func (l *listener) cut() {
	l.mu.Lock()
	port := l.port
	l.port = nil
	conns := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	if port != nil {
		port.Close()
	}
	for _, c := range conns {
		c.end()
	}
}

// restore opens the port again if it is closed.
func (l *listener) restore() error {
	if l.open() {
		return nil
	}
	port, err := l.broker.config.listen("tcp", l.addr.String())
	if err != nil {
		return err
	}
	l.serve(port)
	return nil
}

// open says whether the port is open: the node is not cut.
func (l *listener) open() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.port != nil
}

func (l *listener) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// Accept, Close and Addr are called by the cluster.

func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.broker.ready:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	l.cut()
	l.loops.Wait()
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }
