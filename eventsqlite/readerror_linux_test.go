package eventsqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
)

// unreadable makes every read of a file that this process has open an I/O error.
func unreadable(t *testing.T, path string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range fds {
		if target, _ := os.Readlink("/proc/self/fd/" + e.Name()); target != path {
			continue
		}
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Dup3(int(r.Fd()), fd, syscall.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n == 0 {
		t.Fatal("the file is not open")
	}
}

// An I/O error while rows are read ends the transaction. A handler that takes
// it for the end of the rows does nothing outside of it.
func TestReadErrorThatRollsBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := openAt(t, path)
	db.AugmentWithProducer(&fakeProducer{})
	mustExec(t, db.Unwrap(), `CREATE TABLE t (v BLOB)`)
	for range 50 { // more than SQLite keeps in memory
		mustExec(t, db.Unwrap(), `INSERT INTO t (v) VALUES (randomblob(1000000))`)
	}
	mustExec(t, db.Unwrap(), `PRAGMA wal_checkpoint(TRUNCATE)`)
	// What is written from here on stays in the log, and can be read.
	mustExec(t, db.Unwrap(), `CREATE TABLE effects (v TEXT)`)

	err := db.Transact(t.Context(), func(tx *Tx) error {
		tx.Produce(event("a", "1"))
		if _, err := tx.Exec(`INSERT INTO effects VALUES ('before')`); err != nil {
			t.Error(err)
		}
		rows, err := tx.Query(`SELECT v FROM t`)
		if err != nil {
			t.Error(err)
			return nil
		}
		defer rows.Close()
		if !rows.Next() {
			t.Error(rows.Err())
		}
		unreadable(t, path)
		for rows.Next() {
		}
		if rows.Err() == nil {
			t.Error("all was read")
		}
		if _, err := tx.Exec(`INSERT INTO effects VALUES ('after')`); err == nil {
			t.Error("a statement after the end of the transaction was run")
		}
		return nil
	})
	if _, ok := errors.AsType[*rolledBackError](err); !ok || errors.Is(err, eventmodels.ErrCommitUnknown) {
		t.Error(err)
	}
	if n := value[int](t, db.Unwrap(), `SELECT count(*) FROM effects`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}
