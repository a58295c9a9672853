package mysqltest

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/mysqldb"
	"github.com/seed46dd6f11/events/internal/storetest"
)

// secret is in the passwords of wrong DSNs.
const secret = "s3cret-p@ss/word"

// Server is what the store tests know of this one. server returns its DSN, and
// locks a key is how the statement begins that locks one.
func Server[T storetest.TX, D storetest.DB[eventmodels.BinaryEventID, T], O any](server func(testing.TB) string, locksKey string) storetest.Server[eventmodels.BinaryEventID, T, D, O] {
	statements := map[storetest.Lock]string{
		storetest.OnMark: "INSERT IGNORE INTO events_marks", storetest.OnLease: "UPDATE events_lease", storetest.OnKey: locksKey}
	return storetest.Server[eventmodels.BinaryEventID, T, D, O]{
		Empty: func(t testing.TB) string { t.Helper(); return EmptyDatabase(t, server(t)) },
		Pool:  Pool,
		ReadOnly: func(t testing.TB, dsn string) *sql.DB {
			pool := Pool(t, dsn)
			pool.SetMaxOpenConns(1)
			storetest.MustExec(t, pool, "SET SESSION TRANSACTION READ ONLY")
			return pool
		},
		WrongDSNs: func(t testing.TB, closed string) map[string]storetest.WrongDSN {
			return wrongDSNs(t, server(t), closed)
		},
		Secrets:      []string{secret, "s3cret", "p@ss"},
		Ago:          func(d time.Duration) string { return fmt.Sprint(mysqldb.Now, " - ", d.Microseconds()) },
		Isolation:    "SELECT trx_isolation_level FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = CONNECTION_ID()",
		ConnectionID: "SELECT CONNECTION_ID()",
		Kill:         func(id int64) string { return fmt.Sprint("KILL ", id) },
		Sleep:        func(d time.Duration) string { return fmt.Sprintf("DO SLEEP(%f)", d.Seconds()) },
		AwaitBlocked: func(t testing.TB, d *storetest.Database[eventmodels.BinaryEventID, T, D, O], on storetest.Lock, n int) {
			t.Helper()
			AwaitBlocked(t, d.Admin, statements[on], n)
		},
		Abandoned: 1,
	}
}

func wrongDSNs(t testing.TB, server, closed string) map[string]storetest.WrongDSN {
	with := func(change func(*mysql.Config)) string { return Changed(t, server, change) }
	return map[string]storetest.WrongDSN{
		"nobody listens":            {DSN: with(func(c *mysql.Config) { c.Addr, c.Passwd = closed, secret }), Want: []string{"does not answer", closed}},
		"no such host":              {DSN: with(func(c *mysql.Config) { c.Addr, c.Passwd = "no-such-host.invalid:3306", secret }), Want: []string{"does not answer", "no-such-host.invalid"}},
		"wrong password":            {DSN: with(func(c *mysql.Config) { c.Passwd = secret }), Want: []string{"refuses the user or the password"}},
		"no such user":              {DSN: with(func(c *mysql.Config) { c.User, c.Passwd = "nobody", secret }), Want: []string{`user "nobody"`}},
		"no such database":          {DSN: with(func(c *mysql.Config) { c.DBName = "no_such_database" }), Want: []string{"no such database", `"no_such_database"`}},
		"no database":               {DSN: with(func(c *mysql.Config) { c.DBName = "" }), Want: []string{"has no database"}},
		"no protocol":               {DSN: "events:" + secret + "@127.0.0.1:3306/x", Want: []string{"user:password@tcp(host:3306)/database"}},
		"no slash":                  {DSN: "events:s3cret@tcp(127.0.0.1:3306)", Want: []string{"user:password@tcp(host:3306)/database"}},
		"a URL":                     {DSN: "mysql://events:" + secret + "@127.0.0.1:3306/x", Want: []string{"user:password@tcp(host:3306)/database"}},
		"a word":                    {DSN: secret, Want: []string{"user:password@tcp(host:3306)/database"}},
		"a setting that is unknown": {DSN: with(func(c *mysql.Config) { c.Params = map[string]string{"no_such_setting": "1"} }), Want: []string{"no_such_setting"}},
	}
}

// Ways have parameters in the text and without, and every sql_mode. What they
// have stored is read by connections of the same kind, too, with a store that
// open opens.
func Ways(t testing.TB, dialect eventdb.Dialect, dsn string, open func(*sql.DB) eventmodels.OutboxStore) map[string]storetest.Way {
	all := make(map[string]storetest.Way)
	for name, change := range map[string]func(*mysql.Config){
		"text":       func(c *mysql.Config) { c.InterpolateParams = true },
		"parameters": func(c *mysql.Config) {},
		"no backslash": func(c *mysql.Config) {
			c.InterpolateParams = true
			c.Params = map[string]string{"sql_mode": "'NO_BACKSLASH_ESCAPES'"}
		},
		"ansi, not strict": func(c *mysql.Config) {
			c.InterpolateParams = true
			c.Params = map[string]string{"sql_mode": "'ANSI_QUOTES'"}
		},
		"latin1, time zone": func(c *mysql.Config) {
			c.Collation = "latin1_swedish_ci"
			c.Params = map[string]string{"time_zone": "'-05:00'"}
		},
		"parsed times": func(c *mysql.Config) { c.ParseTime = true; c.Loc = time.FixedZone("", 3600) },
	} {
		pool := Pool(t, Changed(t, dsn, change))
		all[name] = storetest.Way{Insert: storetest.WayOf(dialect, pool), Store: open(pool)}
	}
	return all
}
