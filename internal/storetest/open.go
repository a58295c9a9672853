package storetest

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
)

func (b *Backend[ID, T, D, O]) openSaysWhatIsWrong(t *testing.T) {
	server := b.Empty(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range b.WrongDSNs(t, closed) {
		t.Run(name, func(t *testing.T) {
			db, err := b.Open(Context(t), c.DSN)
			if err == nil {
				_ = db.Close()
				t.Fatal("no error")
			}
			for _, want := range c.Want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error without %q: %v", want, err)
				}
			}
			for _, part := range b.Secrets {
				if strings.Contains(err.Error(), part) {
					t.Errorf("the password is in the error: %v", err)
				}
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.Open(ctx, server); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

func (b *Backend[ID, T, D, O]) openAndClose(t *testing.T) {
	dsn := b.Empty(t)
	db, err := b.Open(Context(t), dsn, b.WithMigrate(), b.WithMaxConnections(3))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.CheckSchema(Context(t), b.PoolOf(db)), db.Ping(Context(t))); err != nil {
		t.Error(err)
	}
	if n := db.MaxConnections(); n != 3 {
		t.Errorf("%d connections", n)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if err := db.Ping(Context(t)); err == nil {
		t.Error("it answers after Close")
	}

	wrapped := b.Wrap(b.Pool(t, dsn), b.WithKeyLocks(), b.WithMarkWait(1))
	if n := wrapped.MaxConnections(); n != 0 {
		t.Errorf("%d connections of a pool without limit", n)
	}
	if err := errors.Join(wrapped.Close(), wrapped.Ping(Context(t))); err != nil {
		t.Errorf("closing has closed the application's pool: %v", err)
	}

	plain, err := b.Open(Context(t), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if n := plain.MaxConnections(); n != b.DefaultMaxConnections {
		t.Errorf("%d connections by default", n)
	}
	if err := plain.Close(); err != nil {
		t.Error(err)
	}
}

func (b *Backend[ID, T, D, O]) wrapPanicsOnMistakes(t *testing.T) {
	pool := b.Pool(t, b.Empty(t))
	for name, wrap := range map[string]func(){
		"nil":                func() { b.Wrap(nil) },
		"WithMigrate":        func() { b.Wrap(pool, b.WithMigrate()) },
		"WithMaxConnections": func() { b.Wrap(pool, b.WithMaxConnections(3)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			wrap()
		}()
	}
}
