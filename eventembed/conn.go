package eventembed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxFrame is the largest request, as Kafka's socket.request.max.bytes.
const maxFrame = 100 << 20

// errDropped is what the cluster gets from a connection that a fault ends.
var errDropped = errors.New("eventembed: the connection was dropped by a fault")

// conn is the broker's end of a client's connection. The cluster reads whole
// requests from it and writes whole responses to it, both in order; between
// the two the faults are carried out. One goroutine reads at a time and one
// writes.
type conn struct {
	net.Conn
	listener *listener
	internal bool // of the Broker itself: no fault touches it

	unread []byte // of the frame that Read hands out; reading goroutine only

	mu       sync.Mutex
	sessions fetchSessions
	answers  map[int32][]*rule // what will happen to the answers, by correlation id

	authenticating *request // a SASLAuthenticate request that has no answer yet

	closed chan struct{}
	once   sync.Once
}

func newConn(l *listener, c net.Conn) *conn {
	l.broker.conns.Add(1)
	return &conn{Conn: c, listener: l, answers: make(map[int32][]*rule), closed: make(chan struct{})}
}

// Read hands out requests, when the faults let them through.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		frame, err := c.next()
		if err != nil {
			return 0, err
		}
		c.unread = frame
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// next reads one request, with its size before it.
func (c *conn) next() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.Conn, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxFrame {
		return nil, c.refuse(fmt.Errorf("a request of %d bytes; is this a Kafka client, and does it use TLS if the broker does?", n))
	}
	frame := make([]byte, 4+n)
	copy(frame, size[:])
	if _, err := io.ReadFull(c.Conn, frame[4:]); err != nil {
		return nil, err
	}
	key, err := requestKey(frame[4:])
	if err != nil {
		return nil, c.refuse(err)
	}
	rules := &c.listener.broker.rules
	stamped := c.internal || rules.stampers.Load() > 0
	switch key {
	case kmsg.Fetch: // always looked at, for its session
	case kmsg.CreateTopics, kmsg.Metadata: // for illegal names
	case kmsg.SASLAuthenticate: // for the refusal of wrong credentials
	case kmsg.OffsetForLeaderEpoch: // for epochs that have ended
	default:
		if !stamped && !rules.some.Load() {
			return frame, nil
		}
	}
	return c.judge(frame, stamped)
}

// judge carries out what the faults do to a request.
func (c *conn) judge(frame []byte, stamped bool) ([]byte, error) {
	b := c.listener.broker
	req, err := parseRequest(frame[4:], c.listener.node, b.topicName)
	if err != nil {
		return nil, c.refuse(err)
	}
	b.refuseIllegal(req)
	c.mu.Lock()
	c.sessions.request(req)
	c.mu.Unlock()
	if !c.internal {
		if err := c.suffer(req); err != nil {
			return nil, err
		}
	}
	if req.key == kmsg.SASLAuthenticate {
		c.mu.Lock()
		c.authenticating = req
		c.mu.Unlock()
	}
	if epochs, ok := req.body.(*kmsg.OffsetForLeaderEpochRequest); ok && askPresentEpoch(epochs) {
		frame = reframe(req)
	}
	if stamped {
		if f := stamp(req, origin{internal: c.internal, clientID: req.clientID}); f != nil {
			return f, nil
		}
	}
	return frame, nil
}

// suffer lets the rules act on a request.
func (c *conn) suffer(req *request) error {
	for _, r := range c.listener.broker.rules.choose(req) {
		switch r.act {
		case observe:
			r.hit()
		case hold:
			r.hit()
			if !r.wait(c.closed) {
				return net.ErrClosed
			}
		case drop:
			c.end()
			r.hit()
			return errDropped
		case holdResponse, dropResponse:
			c.mu.Lock()
			c.answers[req.correlationID] = append(c.answers[req.correlationID], r)
			c.mu.Unlock()
		}
	}
	return nil
}

// Write sends a response, which the cluster always writes whole, when the
// faults let it through.
func (c *conn) Write(p []byte) (int, error) {
	if len(p) < 8 {
		return c.Conn.Write(p)
	}
	id := int32(binary.BigEndian.Uint32(p[4:]))
	c.mu.Lock()
	c.sessions.response(id, p)
	rules := c.answers[id]
	delete(c.answers, id)
	c.authenticating = nil
	c.mu.Unlock()
	for _, r := range rules {
		switch r.act {
		case holdResponse:
			r.hit()
			if !r.wait(c.closed) {
				return 0, net.ErrClosed
			}
		case dropResponse:
			c.end()
			r.hit()
			return 0, errDropped
		}
	}
	return c.Conn.Write(p)
}

// refuse says why a connection ends that does not speak Kafka's protocol.
func (c *conn) refuse(err error) error {
	if l := c.listener.broker.config.logger; l != nil {
		l.Warn("a client sent what cannot be read", "client", c.RemoteAddr().String(), "error", err)
	}
	return err
}

// Close is called by the cluster when it is done with the connection.
func (c *conn) Close() error {
	c.mu.Lock()
	refused := c.authenticating
	c.mu.Unlock()
	if refused != nil && !c.listener.broker.closing() {
		_, _ = c.Conn.Write(refusal(refused)) // the client may be gone already
	}
	c.end()
	return nil
}

// end ends the connection and lets go what is held in it.
func (c *conn) end() {
	c.once.Do(func() {
		close(c.closed)
		c.Conn.Close()
		c.listener.forget(c)
		c.listener.broker.conns.Done()
	})
}
