package storetest

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
)

// Events are produced in transactions that the application owns, of every type
// that the backend knows; pgx's are the backend's own matter.
func (b *Backend[ID, T, D, O]) produceTx(t *testing.T) {
	d := b.NewDatabase(t)
	s := d.OpenStore(t)
	one := Event("a", "k", []byte("x"))
	for _, commit := range []bool{true, false} {
		plain, embedded, own := d.BeginAdmin(t), d.BeginAdmin(t), d.BeginTx(t)
		err := errors.Join(
			d.Opened.ProduceTx(Context(t), plain, one, one),
			d.Opened.ProduceTx(Context(t), struct{ *sql.Tx }{embedded}, one), // as of sqlx
			d.Opened.ProduceTx(Context(t), own, one))
		if err != nil {
			t.Error(err)
		}
		want := 0
		if commit {
			want = 4
			err = errors.Join(plain.Commit(), embedded.Commit(), own.Commit())
		} else {
			err = errors.Join(plain.Rollback(), embedded.Rollback(), own.Rollback())
		}
		rows := Outbox(t, s)
		if err != nil || len(rows) != want {
			t.Errorf("commit %v: %d rows, %v", commit, len(rows), err)
		}
		if err := s.DeleteOutbox(Context(t), Scope, keysOf(rows)); err != nil {
			t.Fatal(err)
		}
	}

	tx := d.BeginTx(t)
	if err := d.Opened.ProduceTx(Context(t), tx, Event(Unknown, "", nil)); !errors.Is(err, ErrUnknownTopic) {
		t.Errorf("an event that is wrong: %v", err)
	}
	if err := d.Opened.ProduceTx(Context(t), tx); err != nil {
		t.Errorf("no event: %v", err)
	}
	conn, err := d.Admin.Conn(Context(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var none T
	for _, wrong := range append(b.NoTransactions(t, d), nil, (*sql.Tx)(nil), none, d.Admin, d.Opened, conn, "BEGIN") {
		if err := d.Opened.ProduceTx(Context(t), wrong, one); !b.IsTransactionTypeError(err) || !strings.Contains(err.Error(), b.TransactionType) {
			t.Errorf("%T: %v", wrong, err)
		}
	}
}

// The locks are those of the keys, held until the end.
func (b *Backend[ID, T, D, O]) keyLocks(t *testing.T) {
	d := b.NewDatabase(t, b.WithKeyLocks())
	for _, c := range []struct {
		key  string
		wait bool
	}{{"k", true}, {"another key", false}, {"", false}} {
		first := d.BeginTx(t)
		if err := d.Opened.ProduceTx(Context(t), first, Event("a", "k", nil), Event("a", "z", nil)); err != nil {
			t.Fatal(err)
		}
		second := d.BeginTx(t)
		inserted := make(chan error, 1)
		go func() { inserted <- d.Opened.ProduceTx(Context(t), second, Event("a", c.key, nil)) }()
		if c.wait {
			b.AwaitBlocked(t, d, OnKey, 1)
			if err := first.Rollback(); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-inserted; err != nil {
			t.Errorf("key %q: %v", c.key, err)
		}
		for _, tx := range []T{first, second} {
			_ = tx.Rollback()
		}
	}
}
