package eventpg

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed46dd6f11/events/eventmodels"
)

// pgxPool opens a pool that is closed at the end of the test.
func pgxPool(t testing.TB, dsn string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(testContext(t), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func noTransactions(t testing.TB, d *database) []any {
	return []any{d.Opened.Unwrap(), pgxPool(t, d.DSN)}
}

func TestProduceTxOfPgx(t *testing.T) {
	f := newFixture(t)
	s := f.store(t)
	native := pgxPool(t, f.DSN)
	one := event("a", "k", []byte("x"))
	for _, commit := range []bool{true, false} {
		tx, err := native.Begin(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.ProduceTx(testContext(t), tx, one, one); err != nil {
			t.Error(err)
		}
		end, want := tx.Rollback, 0
		if commit {
			end, want = tx.Commit, 2
		}
		err = end(testContext(t))
		rows := outbox(t, s)
		if err != nil || len(rows) != want {
			t.Errorf("commit %v: %d rows, %v", commit, len(rows), err)
		}
		for _, row := range rows {
			if err := s.DeleteOutbox(testContext(t), scope, []eventmodels.OutboxKey{row.OutboxKey()}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestKeyLockClass(t *testing.T) {
	if KeyLockClass("a") == KeyLockClass("b") {
		t.Error("two scopes have the same locks")
	}
}
