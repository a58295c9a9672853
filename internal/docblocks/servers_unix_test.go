//go:build unix

package docblocks

import (
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/seed46dd6f11/events/eventembed"
)

// servers are what a page's blocks talk to. Nobody else has them.
type servers struct{ kafka, postgres, mysql string }

// startServers starts an embedded broker and makes the databases that the
// page's blocks need. It skips the test if a server of theirs is not there.
func startServers(t *testing.T, blocks []Block) servers {
	t.Helper()
	broker, err := eventembed.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	s := servers{kafka: broker.Addrs()[0]}
	name := "events_docs_" + strings.ToLower(rand.Text()[:10])
	if needs(blocks, "postgres") {
		server := serverDSN(t, "postgres", "EVENTS_POSTGRES_DSN")
		newDatabase(t, "pgx", server, name)
		u, err := url.Parse(server)
		if err != nil {
			t.Fatal("EVENTS_POSTGRES_DSN is not a URL")
		}
		u.Path = "/" + name
		s.postgres = u.String()
	}
	if needs(blocks, "mysql") {
		server := serverDSN(t, "mysql", "EVENTS_MYSQL_DSN")
		newDatabase(t, "mysql", server, name)
		config, err := mysql.ParseDSN(server)
		if err != nil {
			t.Fatal("EVENTS_MYSQL_DSN cannot be read")
		}
		config.DBName = name
		s.mysql = config.FormatDSN()
	}
	return s
}

func needs(blocks []Block, server string) bool {
	return slices.ContainsFunc(blocks, func(b Block) bool { return b.NoRun == "" && slices.Contains(b.Needs, server) })
}

func serverDSN(t *testing.T, name, variable string) string {
	t.Helper()
	dsn := os.Getenv(variable)
	if dsn == "" {
		message := variable + ` is not set, and the page needs it; run eval "$(scripts/services env)" after scripts/services up`
		if strings.Contains(os.Getenv("EVENTS_REQUIRE"), name) {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	return dsn
}

func newDatabase(t *testing.T, driver, dsn, name string) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer db.Close()
		drop := "DROP DATABASE " + name
		if driver == "pgx" {
			drop += " WITH (FORCE)" // from what a page has left running
		}
		if _, err := db.Exec(drop); err != nil {
			t.Error(err)
		}
	})
}

// env is the environment of the page's commands.
func (s servers) env(folder string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "EVENTS_") || strings.HasPrefix(v, "GOFLAGS=") || strings.HasPrefix(v, "CI=")
	})
	env = append(env, "GOBIN="+folder, "PATH="+folder+":"+os.Getenv("PATH"), "GOFLAGS=-buildvcs=false", "GOWORK=off", "KAFKA_BROKERS="+s.kafka)
	if s.postgres != "" {
		env = append(env, "POSTGRES_DSN="+s.postgres)
	}
	if s.mysql != "" {
		env = append(env, "MYSQL_DSN="+s.mysql)
	}
	return env
}

var (
	kafkaAddress    = regexp.MustCompile(`\b(localhost|127\.0\.0\.1):1?9092\b`)
	postgresAddress = regexp.MustCompile(`\bpostgres(ql)?://[^\s'"` + "`" + `]*@(localhost|127\.0\.0\.1)\b[^\s'"` + "`" + `]*`)
	mysqlAddress    = regexp.MustCompile(`\b[^\s'"` + "`" + `]+@tcp\((localhost|127\.0\.0\.1):\d+\)/\w+`)
)

// here turns the addresses of docker-compose.yml's servers, and those that
// servers have by default, into those of the page's.
func (s servers) here(text string) string {
	text = kafkaAddress.ReplaceAllLiteralString(text, s.kafka)
	if s.postgres != "" {
		text = postgresAddress.ReplaceAllLiteralString(text, s.postgres)
	}
	if s.mysql != "" {
		text = mysqlAddress.ReplaceAllLiteralString(text, s.mysql)
	}
	return text
}

// execute runs the statements of an sql block.
func (s servers) execute(b Block) error {
	driver, dsn := "pgx", s.postgres
	query := url.Values{"default_query_exec_mode": {"simple_protocol"}} // several statements at once
	if b.Needs[0] == "mysql" {
		driver, dsn, query = "mysql", s.mysql, url.Values{"multiStatements": {"true"}}
	}
	mark := "?"
	if strings.Contains(dsn, "?") {
		mark = "&"
	}
	db, err := sql.Open(driver, dsn+mark+query.Encode())
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(b.Text)
	return err
}
