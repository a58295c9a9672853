package eventmysql

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite"
)

const secret = "s3cret-p@ss/word"

func TestOpenSaysWhatIsWrong(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*mysql.Config)) string { return changed(t, serverDSN(t), change) }
	for name, c := range map[string]struct {
		dsn  string
		want []string
	}{
		"nobody listens":            {with(func(c *mysql.Config) { c.Addr, c.Passwd = closed, secret }), []string{"does not answer", closed}},
		"no such host":              {with(func(c *mysql.Config) { c.Addr, c.Passwd = "no-such-host.invalid:3306", secret }), []string{"does not answer", "no-such-host.invalid"}},
		"wrong password":            {with(func(c *mysql.Config) { c.Passwd = secret }), []string{"refuses the user or the password"}},
		"no such user":              {with(func(c *mysql.Config) { c.User, c.Passwd = "nobody", secret }), []string{`user "nobody"`}},
		"no such database":          {with(func(c *mysql.Config) { c.DBName = "no_such_database" }), []string{"no such database", `"no_such_database"`}},
		"no database":               {with(func(c *mysql.Config) { c.DBName = "" }), []string{"has no database"}},
		"no protocol":               {"events:" + secret + "@127.0.0.1:3306/x", []string{"user:password@tcp(host:3306)/database"}},
		"no slash":                  {"events:s3cret@tcp(127.0.0.1:3306)", []string{"user:password@tcp(host:3306)/database"}},
		"a URL":                     {"mysql://events:" + secret + "@127.0.0.1:3306/x", []string{"user:password@tcp(host:3306)/database"}},
		"a word":                    {secret, []string{"user:password@tcp(host:3306)/database"}},
		"a setting that is unknown": {with(func(c *mysql.Config) { c.Params = map[string]string{"no_such_setting": "1"} }), []string{"no_such_setting"}},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := Open(testContext(t), c.dsn)
			if err == nil {
				_ = db.Close()
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error without %q: %v", want, err)
				}
			}
			for _, part := range []string{secret, "s3cret", "p@ss"} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("the password is in the error: %v", err)
				}
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Open(ctx, serverDSN(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

func TestOpenAndClose(t *testing.T) {
	dsn := emptyDatabase(t)
	db, err := Open(testContext(t), dsn, WithMigrate(), WithMaxConnections(3), WithMarkWait(1500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(CheckSchema(testContext(t), db.Unwrap().DB), db.Ping(testContext(t))); err != nil {
		t.Error(err)
	}
	if n := db.MaxConnections(); n != 3 {
		t.Errorf("%d connections", n)
	}
	var wait int
	if err := db.Unwrap().QueryRow("SELECT @@innodb_lock_wait_timeout").Scan(&wait); err != nil || wait != 2 {
		t.Errorf("locks are waited for for %d seconds, %v", wait, err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if err := db.Ping(testContext(t)); err == nil {
		t.Error("it answers after Close")
	}

	pool := rawPool(t, dsn)
	wrapped := Wrap(pool, WithKeyLocks(), WithMarkWait(1))
	if n := wrapped.MaxConnections(); n != 0 {
		t.Errorf("%d connections of a pool without limit", n)
	}
	if err := errors.Join(wrapped.Close(), wrapped.Ping(testContext(t))); err != nil {
		t.Errorf("closing has closed the application's pool: %v", err)
	}

	plain, err := Open(testContext(t), changed(t, dsn, func(c *mysql.Config) { c.Params = map[string]string{"innodb_lock_wait_timeout": "7"} }))
	if err != nil {
		t.Fatal(err)
	}
	if n := plain.MaxConnections(); n != DefaultMaxConnections {
		t.Errorf("%d connections by default", n)
	}
	if err := plain.Unwrap().QueryRow("SELECT @@innodb_lock_wait_timeout").Scan(&wait); err != nil || wait != 7 {
		t.Errorf("locks are waited for for %d seconds, %v", wait, err)
	}
	if err := plain.Close(); err != nil {
		t.Error(err)
	}
}

func TestWrapPanicsOnMistakes(t *testing.T) {
	pool := rawPool(t, serverDSN(t))
	for name, wrap := range map[string]func(){
		"nil":                func() { Wrap(nil) },
		"WithMigrate":        func() { Wrap(pool, WithMigrate()) },
		"WithMaxConnections": func() { Wrap(pool, WithMaxConnections(3)) },
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

// Another driver is refused in words.
func TestDrivers(t *testing.T) {
	other, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var refused *DriverError
	if _, err := Wrap(other).OpenOutbox(testContext(t)); !errors.As(err, &refused) || !strings.Contains(err.Error(), "go-sql-driver/mysql") {
		t.Errorf("OpenOutbox: %v", err)
	}
}

// Connections that the server has closed while they were idle cost nobody a
// transaction.
func TestIdleConnectionsThatWereClosed(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		f.killAll(t)
		if err := f.Transact(testContext(t), func(tx *Tx) error { tx.Produce(event{"a", "k", nil}); return nil }); err != nil {
			t.Error(err)
		}
	}
}
