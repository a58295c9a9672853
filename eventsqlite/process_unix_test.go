//go:build unix

package eventsqlite

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/seed46dd6f11/events/eventmodels"
)

func init() { children["limited"] = childLimited }

// childLimited may not let files grow for a while: the disk's own errors come
// out of COMMIT.
func childLimited(args []string) error {
	if err := ready(); err != nil {
		return err
	}
	ctx := context.Background()
	db, err := Open(ctx, args[0], WithMigrate())
	if err != nil {
		return err
	}
	defer db.Close()
	db.AugmentWithProducer(&fakeProducer{})
	s, err := db.OpenOutbox(ctx)
	if err != nil {
		return err
	}
	defer s.Close()

	signal.Ignore(syscall.SIGXFSZ)
	var unlimited syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		return err
	}
	limited := syscall.Rlimit{Cur: 512 << 10, Max: unlimited.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
		return err
	}
	large := func() error {
		return db.Transact(ctx, func(tx *Tx) error {
			tx.Produce(event("a", strings.Repeat("x", 1<<20)))
			return nil
		})
	}
	err = large()
	if primary(code(err)) != sqlite3.SQLITE_IOERR || db.Fault(err) != eventmodels.FaultAway {
		return fmt.Errorf("%v: %w", db.Fault(err), err)
	}
	if !errors.Is(err, eventmodels.ErrCommitUnknown) {
		return fmt.Errorf("an I/O error at COMMIT proves nothing: %w", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		return err
	}
	if err := large(); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	page, err := s.ReadOutbox(ctx, eventmodels.OutboxRead{Scope: testScope, Limit: 10})
	if err != nil || len(page.Rows) != 1 {
		return fmt.Errorf("%d rows, %w", len(page.Rows), err)
	}
	return nil
}

func TestDiskErrorAtCommit(t *testing.T) {
	c := startChild(t, "limited", filepath.Join(t.TempDir(), "test.db"))
	c.begin(t)
	c.wait(t)
}
