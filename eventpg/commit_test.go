package eventpg

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/storetest"
)

// slowCommits makes every COMMIT of a transaction that writes to the table slow
// wait for a lock that the result holds.
func slowCommits(t testing.TB, d *database) (gate *sql.Tx) {
	t.Helper()
	mustExec(t, d.Admin, `
		CREATE TABLE slow (id integer);
		CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(2, 78); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()`)
	gate = d.BeginAdmin(t)
	mustExec(t, gate, "SELECT pg_advisory_xact_lock(2, 78)")
	return gate
}

const commitWaits = "SELECT count(*) = 1 FROM pg_locks WHERE pid = $1 AND locktype = 'advisory' AND NOT granted"

// transactSlowly is the suite's SlowCommit.
func transactSlowly(t testing.TB, ctx context.Context, d *database) storetest.SlowCommit {
	t.Helper()
	gate := slowCommits(t, d)
	started, ended := make(chan int64, 1), make(chan error, 1)
	go func() {
		ended <- d.Opened.Transact(ctx, func(tx *Tx) error {
			started <- d.IDOf(t, tx)
			tx.Produce(event("a", "k", nil))
			_, err := tx.ExecContext(ctx, "INSERT INTO slow VALUES (1)")
			return err
		})
	}()
	pid := <-started
	eventually(t, d.Admin, commitWaits, pid)
	return storetest.SlowCommit{ID: pid, Result: ended, Release: func() {
		if err := gate.Rollback(); err != nil {
			t.Error(err)
		}
	}}
}

func TestCommitThatIsCancelledByTheServer(t *testing.T) {
	f := newFixture(t)
	commit := transactSlowly(t, testContext(t), f.database)
	mustExec(t, f.Admin, "SELECT pg_cancel_backend($1)", commit.ID)
	err := <-commit.Result
	if err == nil || errors.Is(err, eventmodels.ErrCommitUnknown) || f.Fault(err) != eventmodels.FaultEvent {
		t.Errorf("error: %v, fault: %v", err, f.Fault(err))
	}
	if n := f.Count(t, "slow") + f.Count(t, "events_outbox"); n != 0 {
		t.Errorf("%d rows", n)
	}
}

// A limit that is reached in COMMIT leaves it unknown.
func TestCommitBeyondItsLimit(t *testing.T) {
	f := newFixture(t)
	slowCommits(t, f.database)
	tx := f.BeginTx(t)
	pid := pidOf(t, tx)
	mustExec(t, tx, "INSERT INTO slow VALUES (1)")
	result := make(chan error, 1)
	go func() { result <- tx.Commit() }()
	eventually(t, f.Admin, commitWaits, pid)
	tx.abandon() // what the timer does
	err := <-result
	if err == nil || (dialect{}).CommitRefused(err) {
		t.Errorf("refused: %v", err)
	}
}
