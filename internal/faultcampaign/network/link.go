// Package network is the connections between the processes of the fault campaign
// and the servers: TCP proxies on the local machine that can be cut, stalled,
// made deaf in one direction, and slowed down.
package network

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// State is how a link is.
type State int

const (
	// Open passes everything on.
	Open State = iota
	// Cut: the connections are gone, and new ones are closed at once.
	Cut
	// Stalled passes nothing on, and loses nothing: what was sent meanwhile
	// arrives when the link is open again.
	Stalled
	// Deaf passes on what clients send, and not what the server answers.
	Deaf
	// Slow passes everything on, late and in small portions.
	Slow
)

const (
	portion = 32 << 10
	// A slow link passes a small portion on after each pause: 80 KiB a second.
	slowPortion = 4 << 10
	slowPause   = 50 * time.Millisecond
)

// Link is a proxy in front of one server. Its methods may be called at the same
// time.
type Link struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	state   State
	changed chan struct{} // closed when state changes
	pairs   map[*pair]struct{}
	closed  bool
}

// pair is a client's connection and the one to the server that belongs to it.
type pair struct{ client, server net.Conn }

func (p *pair) close() {
	_ = p.client.Close()
	_ = p.server.Close()
}

// reset makes both ends see an error, not an orderly end.
func (p *pair) reset() {
	for _, conn := range []net.Conn{p.client, p.server} {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	}
	p.close()
}

// NewLink begins to listen on a free port of the loopback interface; target is
// the server's host:port.
func NewLink(target string) (*Link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &Link{target: target, listener: listener, changed: make(chan struct{}), pairs: make(map[*pair]struct{})}
	l.running.Go(l.accept)
	return l, nil
}

// Addr is the host:port where clients reach the server.
func (l *Link) Addr() string { return l.listener.Addr().String() }

// Set changes how the link is. Cut ends the connections; so does going from Deaf
// to another state, or what clients have given up would still be answered.
func (l *Link) Set(state State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == state {
		return
	}
	if state == Cut || l.state == Deaf {
		for p := range l.pairs {
			p.reset()
		}
	}
	l.state = state
	close(l.changed)
	l.changed = make(chan struct{})
}

// Close ends the link and its connections and waits for what runs.
func (l *Link) Close() {
	l.mu.Lock()
	l.closed = true
	_ = l.listener.Close()
	for p := range l.pairs {
		p.close()
	}
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
	l.running.Wait()
}

// now is the state, and what is closed when it ends.
func (l *Link) now() (State, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.changed
}

func (l *Link) accept() {
	for {
		client, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // a client that has gone again, or too many files
			time.Sleep(10 * time.Millisecond)
			continue
		}
		l.running.Go(func() { l.connect(client) })
	}
}

// connect connects a client with the server.
func (l *Link) connect(client net.Conn) {
	if state, _ := l.now(); state == Cut {
		_ = client.Close()
		return
	}
	server, err := net.DialTimeout("tcp", l.target, 10*time.Second)
	if err != nil {
		_ = client.Close()
		return
	}
	p := &pair{client, server}
	if !l.add(p) {
		p.reset()
		return
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { l.pump(p, server, client, Stalled) })
	pumps.Go(func() { l.pump(p, client, server, Stalled, Deaf) })
	pumps.Wait()
	l.mu.Lock()
	delete(l.pairs, p)
	l.mu.Unlock()
}

// add makes Set and Close know a pair; false if it came too late.
func (l *Link) add(p *pair) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.state == Cut {
		return false
	}
	l.pairs[p] = struct{}{}
	return true
}

// pump passes on what src sends, except in the states in which it waits. Either
// end of a connection ends both directions.
func (l *Link) pump(p *pair, dst, src net.Conn, waits ...State) {
	defer p.close()
	buffer := make([]byte, portion)
	for {
		n, err := src.Read(buffer)
		if n > 0 && !l.pass(dst, buffer[:n], waits) || err != nil {
			return
		}
	}
}

// pass writes to dst as the state allows; false when the connection has ended.
func (l *Link) pass(dst io.Writer, data []byte, waits []State) bool {
	for len(data) > 0 {
		state, changed := l.now()
		if l.isClosed() || state == Cut {
			return false
		}
		if slices.Contains(waits, state) {
			<-changed
			continue
		}
		n := len(data)
		if state == Slow {
			n = min(n, slowPortion)
			select {
			case <-changed:
			case <-time.After(slowPause):
			}
		}
		if _, err := dst.Write(data[:n]); err != nil {
			return false
		}
		data = data[n:]
	}
	return true
}

func (l *Link) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}
