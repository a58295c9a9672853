package eventembed

import (
	"net"
	"sync"
)

// conn is the broker's end of a client's connection.
type conn struct {
	net.Conn
	listener *listener

	closed chan struct{}
	once   sync.Once
}

func newConn(l *listener, c net.Conn) *conn {
	l.broker.conns.Add(1)
	return &conn{Conn: c, listener: l, closed: make(chan struct{})}
}

func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.Conn.Close()
		c.listener.forget(c)
		c.listener.broker.conns.Done()
	})
	return nil
}
