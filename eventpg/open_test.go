package eventpg

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed46dd6f11/events/internal/storetest"
)

const secret = "s3cr3t:p@ss/word"

// changed returns the server's DSN, which must be a URL, with changes.
func changed(t testing.TB, change func(*url.URL)) string {
	t.Helper()
	return changedDSN(t, serverDSN(t), change)
}

func changedDSN(t testing.TB, dsn string, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil || u.Host == "" {
		t.Fatal("EVENTS_POSTGRES_DSN is not a URL, which this test needs")
	}
	change(u)
	return u.String()
}

// secrets are the password, and parts of it.
var secrets = []string{secret, "s3cr3t", "p@ss", url.QueryEscape(secret)}

func wrongDSNs(t testing.TB, closed string) map[string]storetest.WrongDSN {
	userinfo := url.UserPassword("events", secret)
	return map[string]storetest.WrongDSN{
		"nobody listens": {DSN: changed(t, func(u *url.URL) { u.Host, u.User = closed, userinfo }), Want: []string{"does not answer", closed}},
		"no such host":   {DSN: changed(t, func(u *url.URL) { u.Host, u.User = "no-such-host.invalid:5432", userinfo }), Want: []string{"does not answer", "no-such-host.invalid"}},
		"wrong password": {DSN: changed(t, func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), secret) }), Want: []string{"refuses the password"}},
		"no such user":   {DSN: changed(t, func(u *url.URL) { u.User = url.UserPassword("nobody", secret) }), Want: []string{`user "nobody"`}},
		"no such database": {DSN: changed(t, func(u *url.URL) { u.Path = "/no_such_database" }),
			Want: []string{"no such database", `"no_such_database"`}},
		"a URL that is none":        {DSN: "postgres://events:" + secret + "@127.0.0.1:port/x", Want: []string{"connection string", "%-escapes"}},
		"a slash in the password":   {DSN: "postgres://events:5432/s3cr3t@127.0.0.1/x", Want: []string{"connection string", "%-escapes"}},
		"an at sign in it":          {DSN: "postgres://events:x@s3cr3t@127.0.0.1/x", Want: []string{"connection string", "%-escapes"}},
		"a key that is not closed":  {DSN: "host=127.0.0.1 password='" + secret, Want: []string{"connection string"}},
		"a file that is not there":  {DSN: "postgres://events:x@127.0.0.1/x?sslmode=verify-full&sslrootcert=/no/such/file", Want: []string{"/no/such/file"}},
		"a slash too few":           {DSN: "postgres:/events:" + secret + "@127.0.0.1/x?sslmode=disable", Want: []string{"connection string", "%-escapes"}},
		"no TLS there":              {DSN: changed(t, func(u *url.URL) { u.RawQuery = "sslmode=require" }), Want: []string{"no TLS with this server", "sslmode"}},
		"a word":                    {DSN: secret, Want: []string{"connection string"}},
		"a port that is no number":  {DSN: "host=127.0.0.1 port=" + secret, Want: []string{"connection string"}},
		"a setting that is unknown": {DSN: changed(t, func(u *url.URL) { u.RawQuery += "&no_such_setting=1" }), Want: []string{"no_such_setting"}},
	}
}

// Another driver is refused in words, and one that wraps pgx's is looked into.
func TestDrivers(t *testing.T) {
	f := newFixture(t)
	config, err := parse(f.DSN)
	if err != nil {
		t.Fatal(err)
	}
	wrapping := sql.OpenDB(&wrappingConnector{dsn: config.ConnString(), driver: f.Pool.Driver()})
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

	native, err := pgxpool.New(testContext(t), f.DSN)
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

func (otherConnector) Driver() driver.Driver { return nil }

type otherConn struct{}

func (otherConn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }

func (otherConn) Close() error { return nil }

func (otherConn) Begin() (driver.Tx, error) { return nil, errors.ErrUnsupported }
