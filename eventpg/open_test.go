package eventpg

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

const secret = "s3cr3t:p@ss/word"

// changed returns the server's DSN, which must be a URL, with changes.
func changed(t *testing.T, change func(*url.URL)) string {
	t.Helper()
	return changedDSN(t, serverDSN(t), change)
}

func changedDSN(t *testing.T, dsn string, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil || u.Host == "" {
		t.Fatal("EVENTS_POSTGRES_DSN is not a URL, which this test needs")
	}
	change(u)
	return u.String()
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	userinfo := url.UserPassword("events", secret)
	for name, c := range map[string]struct {
		dsn  string
		want []string
	}{
		"nobody listens": {changed(t, func(u *url.URL) { u.Host, u.User = closed, userinfo }), []string{"does not answer", closed}},
		"no such host":   {changed(t, func(u *url.URL) { u.Host, u.User = "no-such-host.invalid:5432", userinfo }), []string{"does not answer", "no-such-host.invalid"}},
		"wrong password": {changed(t, func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), secret) }), []string{"refuses the password"}},
		"no such user":   {changed(t, func(u *url.URL) { u.User = url.UserPassword("nobody", secret) }), []string{`user "nobody"`}},
		"no such database": {changed(t, func(u *url.URL) { u.Path = "/no_such_database" }),
			[]string{"no such database", `"no_such_database"`}},
		"a URL that is none":        {"postgres://events:" + secret + "@127.0.0.1:port/x", []string{"connection string", "%-escapes"}},
		"a slash in the password":   {"postgres://events:5432/s3cr3t@127.0.0.1/x", []string{"connection string", "%-escapes"}},
		"an at sign in it":          {"postgres://events:x@s3cr3t@127.0.0.1/x", []string{"connection string", "%-escapes"}},
		"a key that is not closed":  {"host=127.0.0.1 password='" + secret, []string{"connection string"}},
		"a file that is not there":  {"postgres://events:x@127.0.0.1/x?sslmode=verify-full&sslrootcert=/no/such/file", []string{"/no/such/file"}},
		"a word":                    {secret, []string{"connection string"}},
		"a port that is no number":  {"host=127.0.0.1 port=" + secret, []string{"connection string"}},
		"a setting that is unknown": {changed(t, func(u *url.URL) { u.RawQuery += "&no_such_setting=1" }), []string{"no_such_setting"}},
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
			for _, part := range []string{secret, "s3cr3t", "p@ss", url.QueryEscape(secret)} {
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
	dsn := emptySchema(t)
	db, err := Open(testContext(t), dsn, WithMigrate(), WithMaxConnections(3))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(CheckSchema(testContext(t), db.Unwrap().DB), db.Ping(testContext(t))); err != nil {
		t.Error(err)
	}
	if n := db.MaxConnections(); n != 3 {
		t.Errorf("%d connections", n)
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

	plain, err := Open(testContext(t), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if n := plain.MaxConnections(); n != DefaultMaxConnections {
		t.Errorf("%d connections by default", n)
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

// Another driver is refused in words, and one that wraps pgx's is looked into.
func TestDrivers(t *testing.T) {
	f := newFixture(t)
	config, err := parse(f.dsn)
	if err != nil {
		t.Fatal(err)
	}
	wrapping := sql.OpenDB(&wrappingConnector{dsn: config.ConnString(), driver: f.pool.Driver()})
	defer wrapping.Close()
	db := Wrap(wrapping)
	if err := db.Transact(testContext(t), func(tx *Tx) error { return tx.Native().Ping(testContext(t)) }); err != nil {
		t.Errorf("a driver that wraps pgx: %v", err)
	}
	s, err := db.OpenOutbox(testContext(t))
	if err != nil {
		t.Fatalf("a driver that wraps pgx: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}

	native, err := pgxpool.New(testContext(t), f.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer native.Close()
	over := stdlib.OpenDBFromPool(native)
	defer over.Close()
	if err := Wrap(over).Transact(testContext(t), func(tx *Tx) error { return tx.Native().Ping(testContext(t)) }); err != nil {
		t.Errorf("over a pgxpool.Pool: %v", err)
	}
	if s, err = Wrap(over).OpenOutbox(testContext(t)); err != nil {
		t.Fatalf("over a pgxpool.Pool: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}

	other := sql.OpenDB(otherConnector{})
	defer other.Close()
	var typed *DriverError
	if err := Wrap(other).Transact(testContext(t), func(*Tx) error { return nil }); !errors.As(err, &typed) || !strings.Contains(typed.Driver, "otherConn") {
		t.Errorf("Transact with another driver: %v", err)
	}
	if _, err := Wrap(other).OpenOutbox(testContext(t)); !errors.As(err, &typed) {
		t.Errorf("OpenOutbox with another driver: %v", err)
	}
	if n := other.Stats().InUse; n != 0 {
		t.Errorf("%d connections were not given back", n)
	}
}

// wrappingConnector makes connections as instrumentation libraries do.
type wrappingConnector struct {
	dsn    string
	driver driver.Driver
}

func (c *wrappingConnector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	return wrappingConn{conn}, err
}
func (c *wrappingConnector) Driver() driver.Driver { return c.driver }

type wrappingConn struct{ driver.Conn }

func (c wrappingConn) Raw() driver.Conn { return c.Conn }

func (c wrappingConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

type otherConnector struct{}

func (otherConnector) Connect(context.Context) (driver.Conn, error) { return otherConn{}, nil }
func (otherConnector) Driver() driver.Driver                        { return nil }

type otherConn struct{}

func (otherConn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (otherConn) Close() error                        { return nil }
func (otherConn) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
