package eventembed

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func testPipe(t *testing.T) (client, server *pipeConn, l *link) {
	t.Helper()
	l = newLink()
	client, server = newPipe(virtualAddr("client:1"), virtualAddr("server:2"), l)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server, l
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("wrote %d bytes of %d: %v", n, len(text), err)
	}
}

func read(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func TestPipeKeepsWhatWasWrittenBeforeItsEnd(t *testing.T) {
	client, server, _ := testPipe(t)
	write(t, client, "one")
	write(t, client, "two")
	write(t, server, "back")
	client.Close()
	read(t, server, "onet")
	read(t, server, "wo")
	if _, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("after the end: %v", err)
	}
	if _, err := server.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Fatalf("write to a closed end: %v", err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("read after Close: %v", err)
	}
	if _, err := client.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("write after Close: %v", err)
	}
	if client.LocalAddr().String() != "client:1" || client.RemoteAddr() != server.LocalAddr() {
		t.Fatal("addresses")
	}
}

func TestPipeHoldsItsWriterWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := testPipe(t)
		text := bytes.Repeat([]byte("0123456789abcdef"), 3*streamBuffer/16)
		done := make(chan error, 1)
		go func() {
			_, err := client.Write(text)
			done <- err
		}()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("the write has returned: %v", err)
		default:
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("what was read is not what was written: %v", err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestPipeDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := testPipe(t)
		begin := time.Now()
		client.SetReadDeadline(begin.Add(time.Minute))
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read: %v", err)
		}
		if d := time.Since(begin); d != time.Minute {
			t.Fatalf("the read took %v", d)
		}
		client.SetDeadline(begin.Add(2 * time.Minute))
		if _, err := client.Write(make([]byte, streamBuffer+1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("write: %v", err)
		}
		if d := time.Since(begin); d != 2*time.Minute {
			t.Fatalf("the write took %v", d)
		}
		var timeout net.Error
		if _, err := client.Read(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Fatalf("not a timeout: %v", err)
		}
		// A deadline that is set while a read waits ends it.
		go func() { server.SetReadDeadline(time.Now().Add(-1)) }()
		if _, err := io.Copy(io.Discard, server); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read under way: %v", err)
		}
		client.SetDeadline(time.Time{})
		server.SetDeadline(time.Time{})
		write(t, server, "again")
		read(t, client, "again")
	})
}

func TestPipeOverAStalledLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, l := testPipe(t)
		l.change(func(s *linkState) { s.stalled = true })
		write(t, client, "late")
		client.Close()
		begin := time.Now()
		go func() {
			time.Sleep(time.Hour)
			l.change(func(s *linkState) { s.stalled = false })
		}()
		read(t, server, "late")
		if d := time.Since(begin); d != time.Hour {
			t.Fatalf("arrived after %v", d)
		}
		if _, err := server.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("after the end: %v", err)
		}
	})
}

func TestPipeLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, l := testPipe(t)
		l.change(func(s *linkState) { s.latency = 30 * time.Millisecond })
		begin := time.Now()
		write(t, client, "ping")
		write(t, client, "pong")
		read(t, server, "ping")
		read(t, server, "pong")
		write(t, server, "answer")
		read(t, client, "answer")
		if d := time.Since(begin); d != 60*time.Millisecond {
			t.Fatalf("there and back took %v", d)
		}
	})
}

func TestPipeReset(t *testing.T) {
	client, server, _ := testPipe(t)
	write(t, client, "lost")
	client.reset()
	for _, c := range []net.Conn{client, server} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v", err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write: %v", err)
		}
	}
}
