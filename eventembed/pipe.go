package eventembed

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// streamBuffer is how many bytes one direction of a virtual connection holds
// before its writer waits, like a socket's send and receive buffers together.
const streamBuffer = 256 << 10

// errReset is what both ends of a cut connection get.
var errReset = &net.OpError{Op: "read", Net: "virtual", Err: syscall.ECONNRESET}

// newPipe returns the two ends of a virtual connection. Unlike net.Pipe's, its
// writes return at once while there is room, as TCP's do: a client that has
// written a request to a stalled broker waits for the answer, not in the write.
func newPipe(client, server net.Addr, l *link) (clientEnd, serverEnd *pipeConn) {
	up, down := newStream(l), newStream(l)
	clientEnd = &pipeConn{in: down, out: up, local: client, remote: server}
	serverEnd = &pipeConn{in: up, out: down, local: server, remote: client}
	return clientEnd, serverEnd
}

// pipeConn is one end of a virtual connection.
type pipeConn struct {
	in, out       *stream
	local, remote net.Addr
}

func (c *pipeConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *pipeConn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close ends both directions: what was written before can still be read by the
// other end, what this end has not read is gone.
func (c *pipeConn) Close() error {
	c.out.closeWrite()
	c.in.closeRead()
	return nil
}

// reset ends both directions for both ends at once.
func (c *pipeConn) reset() {
	c.out.fail(errReset)
	c.in.fail(errReset)
}

func (c *pipeConn) LocalAddr() net.Addr  { return c.local }
func (c *pipeConn) RemoteAddr() net.Addr { return c.remote }

func (c *pipeConn) SetDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	c.out.setWriteDeadline(t)
	return nil
}

func (c *pipeConn) SetReadDeadline(t time.Time) error  { c.in.setReadDeadline(t); return nil }
func (c *pipeConn) SetWriteDeadline(t time.Time) error { c.out.setWriteDeadline(t); return nil }

// stream is one direction of a virtual connection. Waiting is done on the
// channel changed, never under mu, so that a waiting goroutine is durably
// blocked in a testing/synctest bubble.
type stream struct {
	link *link

	mu            sync.Mutex
	segments      []segment
	size          int           // bytes in segments; at most streamBuffer
	changed       chan struct{} // closed and replaced whenever another of these fields changes
	readDeadline  time.Time
	writeDeadline time.Time
	readClosed    bool  // the reading end has closed: reads fail, written bytes go nowhere
	writeClosed   bool  // the writing end has closed: io.EOF behind the last segment
	err           error // the connection was reset
}

// segment is what one write brought, readable from at on.
type segment struct {
	data []byte
	at   time.Time
}

func newStream(l *link) *stream {
	return &stream{link: l, changed: make(chan struct{})}
}

// change wakes all that wait; mu must be held.
func (s *stream) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stream) read(p []byte) (int, error) {
	for {
		state := s.link.current()
		s.mu.Lock()
		now := time.Now()
		var wake time.Time // when waiting ends by itself; zero for never
		switch {
		case s.err != nil:
			err := s.err
			s.mu.Unlock()
			return 0, err
		case s.readClosed:
			s.mu.Unlock()
			return 0, net.ErrClosed
		case passed(s.readDeadline, now):
			s.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			s.mu.Unlock()
			return 0, nil
		case state.stalled:
			// Nothing arrives, the end of the stream neither.
		case len(s.segments) == 0 && s.writeClosed:
			s.mu.Unlock()
			return 0, io.EOF
		case len(s.segments) > 0 && !s.segments[0].at.After(now):
			n := s.take(p)
			s.mu.Unlock()
			return n, nil
		case len(s.segments) > 0:
			wake = s.segments[0].at
		}
		wake = earlier(wake, s.readDeadline)
		changed := s.changed
		s.mu.Unlock()
		wait(wake, changed, state.changed)
	}
}

// take moves bytes of the first segment to p; mu must be held.
func (s *stream) take(p []byte) int {
	first := &s.segments[0]
	n := copy(p, first.data)
	first.data = first.data[n:]
	if len(first.data) == 0 {
		s.segments = s.segments[1:]
	}
	s.size -= n
	s.change()
	return n
}

func (s *stream) write(p []byte) (int, error) {
	written := 0
	for {
		state := s.link.current()
		s.mu.Lock()
		now := time.Now()
		switch {
		case s.err != nil:
			err := s.err
			s.mu.Unlock()
			return written, err
		case s.writeClosed:
			s.mu.Unlock()
			return written, net.ErrClosed
		case passed(s.writeDeadline, now):
			s.mu.Unlock()
			return written, os.ErrDeadlineExceeded
		case s.readClosed:
			s.mu.Unlock()
			return written, &net.OpError{Op: "write", Net: "virtual", Err: syscall.EPIPE}
		}
		if n := min(len(p)-written, streamBuffer-s.size); n > 0 {
			data := append([]byte(nil), p[written:written+n]...)
			s.segments = append(s.segments, segment{data: data, at: now.Add(state.latency)})
			s.size += n
			written += n
			s.change()
		}
		if written == len(p) {
			s.mu.Unlock()
			return written, nil
		}
		changed := s.changed
		wake := s.writeDeadline
		s.mu.Unlock()
		wait(wake, changed, nil)
	}
}

func (s *stream) closeRead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readClosed = true
	s.segments, s.size = nil, 0
	s.change()
}

func (s *stream) closeWrite() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeClosed = true
	s.change()
}

func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		s.segments, s.size = nil, 0
		s.change()
	}
}

func (s *stream) setReadDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readDeadline = t
	s.change()
}

func (s *stream) setWriteDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeDeadline = t
	s.change()
}

func passed(deadline, now time.Time) bool {
	return !deadline.IsZero() && !deadline.After(now)
}

// earlier is the earlier of two times, where zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// wait returns when one of the channels is closed or at the time wake, if that
// is not zero. A nil channel is never closed.
func wait(wake time.Time, a, b <-chan struct{}) {
	var timeout <-chan time.Time
	if !wake.IsZero() {
		timer := time.NewTimer(time.Until(wake))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-a:
	case <-b:
	case <-timeout:
	}
}
