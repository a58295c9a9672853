package eventpg

import (
	"context"
	"errors"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// listen starts listening, and returns once it does.
func listen(t *testing.T, ctx context.Context, s *store, scope string) (woken <-chan struct{}, ended <-chan error) {
	t.Helper()
	listening, wake, result := make(chan struct{}), make(chan struct{}, 100), make(chan error, 1)
	go func() { result <- s.Listen(ctx, scope, listening, func() { wake <- struct{}{} }) }()
	select {
	case <-listening:
	case err := <-result:
		t.Fatal(err)
	}
	return wake, result
}

func TestWakeAndListen(t *testing.T) {
	f := newFixture(t)
	relay, producer := f.store(t), f.store(t)
	// Other tests use the same database, and with it the same channel.
	mine, other := "mine "+random(), "other "+random()
	ctx, cancel := context.WithCancel(testContext(t))
	woken, ended := listen(t, ctx, relay, mine)
	empty, emptyEnded := listen(t, ctx, relay, other)
	for _, scope := range []string{mine, "none " + random(), mine} {
		if err := producer.Wake(testContext(t), scope); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		select {
		case <-woken:
		case err := <-ended:
			t.Fatal(err)
		case <-testContext(t).Done():
			t.Fatal("not woken")
		}
	}
	if err := producer.Wake(testContext(t), other); err != nil {
		t.Fatal(err)
	}
	<-empty
	if len(woken)+len(empty) != 0 {
		t.Error("woken once too often")
	}
	cancel()
	for _, ended := range []<-chan error{ended, emptyEnded} {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	}
}

// NOTIFY works for the empty scope, a library without prefix, too.
func TestWakeOfTheEmptyScope(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	ctx, cancel := context.WithCancel(testContext(t))
	woken, ended := listen(t, ctx, s, "")
	if err := s.Wake(testContext(t), ""); err != nil {
		t.Fatal(err)
	}
	<-woken
	cancel()
	<-ended
}

func TestListenWhenTheConnectionIsLost(t *testing.T) {
	f := newFixture(t)
	name := "events_test_" + random()
	s := f.storeOf(t, withParams(f.DSN, "application_name="+name))
	mine := random()
	_, ended := listen(t, testContext(t), s, mine)
	mustExec(t, f.Admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", name+": events relay")
	err := <-ended
	if err == nil || f.Fault(err) != eventmodels.FaultAway {
		t.Errorf("ended with %v", err)
	}
	woken, _ := listen(t, testContext(t), s, mine)
	_ = s.Wake(testContext(t), mine) // its connection was lost as well
	if err := s.Wake(testContext(t), mine); err != nil {
		t.Fatal(err)
	}
	<-woken
}

// storeOf opens a store by another DSN than the fixture's.
func (f *fixture) storeOf(t *testing.T, dsn string) *store {
	t.Helper()
	opened, err := Wrap(rawPool(t, dsn)).OpenOutbox(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return opened.(*store)
}

// Asking a quiet connection whether it is still one does not end it.
func TestListenProbes(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	s.listenProbe = time.Millisecond
	name := random()
	s.config.Load().RuntimeParams["application_name"] = name
	ctx, cancel := context.WithCancel(testContext(t))
	mine := random()
	woken, ended := listen(t, ctx, s, mine)
	for range 3 {
		eventually(t, f.Admin, "SELECT query <> 'LISTEN events_outbox' FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()", name)
		if err := s.Wake(testContext(t), mine); err != nil {
			t.Fatal(err)
		}
		<-woken
	}
	cancel()
	<-ended
}

// A server that has vanished without a word is noticed.
func TestListenToSilence(t *testing.T) {
	f := newFixture(t)
	p := newProxy(t)
	s := f.storeOf(t, changedDSN(t, f.DSN, func(u *url.URL) { u.Host = p.address() }))
	t.Cleanup(p.close) // before the store is: it says goodbye
	s.listenProbe, s.listenLimit = 10*time.Millisecond, 200*time.Millisecond
	_, ended := listen(t, testContext(t), s, random())
	p.silence()
	err := <-ended
	if err == nil || testContext(t).Err() != nil {
		t.Errorf("ended with %v", err)
	}
}

// proxy stands before the server.
type proxy struct {
	listener net.Listener
	silent   atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	server, err := url.Parse(serverDSN(t))
	if err != nil || server.Host == "" {
		t.Fatal("EVENTS_POSTGRES_DSN is not a URL, which this test needs")
	}
	p := &proxy{}
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() { p.close(); running.Wait() })
	running.Go(func() {
		for {
			client, err := p.listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server.Host)
			if err != nil {
				_ = client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, upstream)
			p.mu.Unlock()
			running.Go(func() { p.forward(client, upstream) })
			running.Go(func() { p.forward(upstream, client) })
		}
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// silence swallows everything from now on.
func (p *proxy) silence() { p.silent.Store(true) }

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
}

func (p *proxy) forward(from, to net.Conn) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if p.silent.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func TestListenEndsWithTheStore(t *testing.T) {
	f := newFixture(t)
	opened, err := f.OpenOutbox(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	s := opened.(*store)
	_, ended := listen(t, context.Background(), s, scope)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, errClosed) {
		t.Errorf("ended with %v", err)
	}
}
