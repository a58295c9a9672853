package eventmysql

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
	"github.com/seed46dd6f11/events/internal/storetest"
)

// transactSlowly is the suite's SlowCommit: while the server has a read lock on
// all tables, every COMMIT waits.
func transactSlowly(t testing.TB, ctx context.Context, d *database) storetest.SlowCommit {
	t.Helper()
	mustExec(t, d.Admin, "CREATE TABLE slow (id integer)")
	d.Pool.SetMaxOpenConns(1)
	tx := d.BeginTx(t) // one connection, whose id is known
	id := d.IDOf(t, tx)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	waits, slow := make(chan struct{}), make(chan struct{})
	go func() {
		ended <- d.Opened.Transact(ctx, func(tx *Tx) error {
			if err := d.Opened.ProduceTx(ctx, tx, event("a", "k", nil)); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO slow VALUES (1)")
			close(waits)
			<-slow
			return err
		})
	}()
	<-waits
	gate, err := d.Admin.Conn(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	release := func() { mysqldb.Discard(gate) }
	t.Cleanup(release)
	if _, err := gate.ExecContext(testContext(t), "FLUSH TABLES WITH READ LOCK"); err != nil {
		t.Fatal(err)
	}
	close(slow)
	eventually(t, d.Admin, "SELECT COUNT(*) = 1 FROM information_schema.processlist WHERE id = ? AND info = 'COMMIT'", id)
	return storetest.SlowCommit{ID: id, Release: release, Result: ended}
}

func TestCommitThatIsInterrupted(t *testing.T) {
	f := newFixture(t)
	commit := transactSlowly(t, testContext(t), f.database)
	mustExec(t, f.Admin, fmt.Sprint("KILL QUERY ", commit.ID))
	err := <-commit.Result
	if !errors.Is(err, eventmodels.ErrCommitUnknown) || f.Fault(err) != eventmodels.FaultAway {
		t.Errorf("error: %v, fault: %v", err, f.Fault(err))
	}
	// Whatever has become of it, its connection is not used again.
	if n := f.Count(t, fmt.Sprint("information_schema.processlist WHERE id = ", commit.ID)); n != 0 {
		eventually(t, f.Admin, "SELECT COUNT(*) = 0 FROM information_schema.processlist WHERE id = ?", commit.ID)
	}
}
