package network

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that answers with what it was sent, and tells what that was.
func echo(t *testing.T) (addr string, heard chan []byte) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heard = make(chan []byte, 1000)
	done := make(chan struct{})
	t.Cleanup(func() { _ = listener.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buffer := make([]byte, 1<<10)
				for {
					n, err := conn.Read(buffer)
					if err != nil {
						return
					}
					heard <- bytes.Clone(buffer[:n])
					if _, err := conn.Write(buffer[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().String(), heard
}

// client is a connection over a new link.
func client(t *testing.T) (*Link, net.Conn, chan []byte) {
	addr, heard := echo(t)
	link, err := NewLink(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Close)
	return link, dial(t, link), heard
}

func dial(t *testing.T, link *Link) net.Conn {
	conn, err := net.Dial("tcp", link.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	buffer := make([]byte, len(text))
	if _, err := io.ReadFull(conn, buffer); err != nil || string(buffer) != text {
		t.Fatalf("%q came back as %q: %v", text, buffer, err)
	}
}

func expectEnd(t *testing.T, conn net.Conn) {
	t.Helper()
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatalf("%d bytes came over a connection that is cut", n)
	}
}

// silent says that nothing arrives: what would arrive has been heard by the
// server, so it is on its way, for as long as a local connection may take.
func silent(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatalf("%d bytes came back", n)
	}
	_ = conn.SetReadDeadline(time.Time{})
}

func TestOpen(t *testing.T) {
	_, conn, _ := client(t)
	for _, text := range []string{"a", "bc", "def"} {
		say(t, conn, text)
		expect(t, conn, text)
	}
}

func TestCut(t *testing.T) {
	link, conn, _ := client(t)
	say(t, conn, "a")
	expect(t, conn, "a")
	link.Set(Cut)
	expectEnd(t, conn)
	expectEnd(t, dial(t, link))
	link.Set(Open)
	again := dial(t, link)
	say(t, again, "b")
	expect(t, again, "b")
}

func TestStalledLosesNothing(t *testing.T) {
	link, conn, heard := client(t)
	say(t, conn, "a")
	expect(t, conn, "a")
	<-heard
	link.Set(Stalled)
	say(t, conn, "b")
	silent(t, conn)
	select {
	case data := <-heard:
		t.Fatalf("the server has heard %q", data)
	default:
	}
	link.Set(Open)
	expect(t, conn, "b")
}

func TestDeafLosesTheAnswers(t *testing.T) {
	link, conn, heard := client(t)
	say(t, conn, "a")
	expect(t, conn, "a")
	<-heard
	link.Set(Deaf)
	say(t, conn, "b")
	if data := <-heard; string(data) != "b" {
		t.Fatalf("the server has heard %q", data)
	}
	silent(t, conn)
	link.Set(Open)
	expectEnd(t, conn)
}

func TestSlowLosesNothing(t *testing.T) {
	link, conn, _ := client(t)
	link.Set(Slow)
	text := string(bytes.Repeat([]byte("0123456789"), 1000))
	say(t, conn, text)
	expect(t, conn, text)
}

func TestCloseEndsWhatWaits(t *testing.T) {
	link, conn, _ := client(t)
	say(t, conn, "a")
	expect(t, conn, "a")
	link.Set(Stalled)
	say(t, conn, "b")
	link.Close()
	expectEnd(t, conn)
}
