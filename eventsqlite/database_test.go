package eventsqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"modernc.org/sqlite"
)

func TestOpenOddPaths(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"plain.db", "a b.db", "100%25.db", "what?_txlock=exclusive&x#y.db", "日本.db", "relative/../r.db", "-x", "'q\"uote;.db", ":odd:"} {
		if runtime.GOOS == "windows" && strings.ContainsAny(name, `?"':`) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if err := os.MkdirAll("relative", 0o755); err != nil {
				t.Fatal(err)
			}
			db := openAt(t, name)
			t.Chdir(t.TempDir()) // connections that are opened later find it, too
			produceOne(t, db)
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Error(err)
			}
			if f, err := db.Unwrap().locate(context.Background()); err != nil || filepath.Base(f.path) != filepath.Base(name) {
				t.Errorf("%+v, %v", f, err)
			}
		})
	}
}

func produceOne(t *testing.T, db *DB) {
	t.Helper()
	db.AugmentWithProducer(&fakeProducer{})
	s := openTestStore(t, db)
	produce(t, db, event("a", "1"))
	if rows := readAll(t, s, testScope); len(rows) != 1 {
		t.Errorf("%d rows", len(rows))
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, words := range map[string]string{
		"": "empty", "file:x.db": "Wrap", "a\x00b": "NUL", filepath.Join(dir, "no", "x.db"): "there is no directory", dir: "unable to open", garbage: "not a database",
	} {
		db, err := Open(context.Background(), path, WithMigrate())
		if err == nil {
			db.Close()
			t.Errorf("%q was opened", path)
			continue
		}
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v", path, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Open(ctx, filepath.Join(dir, "x.db")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestSettingsOfConnections(t *testing.T) {
	db := openTest(t)
	s := openTestStore(t, db).(*store)
	for name, test := range map[string]struct {
		db          *sql.DB
		synchronous int
	}{"pool": {db.Unwrap().DB, 2}, "store": {s.db, 2}, "sweep": {s.sweep, 1}} {
		for pragma, want := range map[string]int{"synchronous": test.synchronous, "foreign_keys": 1, "busy_timeout": 0} {
			if got := value[int](t, test.db, `PRAGMA `+pragma); got != want {
				t.Errorf("%s: %s is %d, want %d", name, pragma, got, want)
			}
		}
		if mode := value[string](t, test.db, `PRAGMA journal_mode`); mode != "wal" {
			t.Errorf("%s: journal_mode is %s", name, mode)
		}
	}
	if n := db.MaxConnections(); n != DefaultMaxConnections {
		t.Error(n)
	}
	if n := openTest(t, WithMaxConnections(3)).MaxConnections(); n != 3 {
		t.Error(n)
	}
}

func TestInMemory(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	db, err := Open(context.Background(), ":memory:", WithMigrate())
	if err != nil {
		t.Fatal(err)
	}
	f, err := db.Unwrap().locate(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	db.AugmentWithProducer(&fakeProducer{})
	s, err := db.OpenOutbox(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	produce(t, db, event("a", "1"))
	transact(t, db, func(tx *Tx) error {
		// all connections see the same, and nobody waits
		if err := db.ProduceTx(context.Background(), tx, event("a", "2")); err != nil {
			return err
		}
		if rows := readAll(t, s, testScope); len(rows) != 1 {
			t.Errorf("%d rows", len(rows))
		}
		return nil
	})
	if got := value[int](t, s.(*store).db, `PRAGMA synchronous`); got != 0 {
		t.Errorf("synchronous is %d", got)
	}
	if _, err := os.Stat(f.path); err != nil {
		t.Error(err)
	}
	if err := errors.Join(s.Close(), db.Close()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(temporary); runtime.GOOS != "windows" && (err != nil || len(left) != 0) {
		t.Errorf("%v are left, %v", left, err)
	}

	for _, dsn := range []string{":memory:", "file::memory:?cache=shared", "file:/x?vfs=memdb", ""} {
		raw := openRaw(t, dsn)
		wrapped := Wrap(raw)
		_, opening := wrapped.OpenOutbox(context.Background())
		for what, err := range map[string]error{
			"transact": wrapped.Transact(context.Background(), func(*Tx) error { return nil }),
			"migrate":  Migrate(context.Background(), raw),
			"outbox":   opening,
		} {
			if !errors.Is(err, ErrInMemory) {
				t.Errorf("%s of %q: %v", what, dsn, err)
			}
		}
	}
}

func TestSymbolicLinkIsTheSameFile(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "test.db"), filepath.Join(dir, "link.db")
	a := openAt(t, path)
	if err := os.Symlink(path, link); err != nil {
		if runtime.GOOS != "windows" { // where only some users may
			t.Fatal(err)
		}
		t.Skip(err)
	}
	b := openAt(t, link)
	fa, errA := a.Unwrap().locate(context.Background())
	fb, errB := b.Unwrap().locate(context.Background())
	if errA != nil || errB != nil || fa.lock != fb.lock {
		t.Errorf("%v, %v; %v, %v", fa, errA, fb, errB)
	}
}

func TestWrongUse(t *testing.T) {
	for name, use := range map[string]func(){
		"nil":         func() { Wrap(nil) },
		"migrate":     func() { Wrap(&sql.DB{}, WithMigrate()) },
		"connections": func() { New[*sql.Tx](&sql.DB{}, WithMaxConnections(1)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			use()
		}()
	}
	if err := Wrap(openRaw(t, filepath.Join(t.TempDir(), "x.db"))).Close(); err != nil {
		t.Error(err)
	}
}

func TestPingReadsTheFile(t *testing.T) {
	raw := openRaw(t, filepath.Join(t.TempDir(), "gone", "x.db"))
	err := Wrap(raw).Ping(context.Background())
	if err == nil {
		t.Error("no error")
	}
	db := openTest(t)
	transact(t, db, func(*Tx) error { return db.Ping(context.Background()) })
}

// countingDriver stands for one that traces.
type countingDriver struct {
	sqlite.Driver
	opened atomic.Int32
}

func (d *countingDriver) Open(name string) (driver.Conn, error) {
	d.opened.Add(1)
	return d.Driver.Open(name)
}

func TestStoreUsesTheServicesDriver(t *testing.T) {
	counting := &countingDriver{}
	path := filepath.Join(t.TempDir(), "test.db")
	raw := sql.OpenDB(dsnConnector{counting, path})
	defer raw.Close()
	if err := Migrate(context.Background(), raw); err != nil {
		t.Fatal(err)
	}
	before := counting.opened.Load()
	openTestStore(t, Wrap(raw))
	if counting.opened.Load() == before {
		t.Error("the store has opened its connections with another driver")
	}
}
