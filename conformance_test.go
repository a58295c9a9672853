package events_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventmysql"
	"github.com/seed46dd6f11/events/eventnodb"
	"github.com/seed46dd6f11/events/eventpg"
	"github.com/seed46dd6f11/events/events2"
	"github.com/seed46dd6f11/events/eventsqlite"
	"github.com/seed46dd6f11/events/eventtest"
	"github.com/seed46dd6f11/events/internal/s2tables"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("EmbeddedSQLite", func(t *testing.T) {
		t.Parallel()
		broker := embedded(t)
		h := onSQLite(broker.Addrs())
		h.Broker = broker
		eventtest.Run(t, h)
	})
	t.Run("EmbeddedNoDB", func(t *testing.T) {
		t.Parallel()
		broker := embedded(t)
		h := onNothing(broker.Addrs())
		h.Broker = broker
		eventtest.Run(t, h)
	})
	t.Run("KafkaPostgres", func(t *testing.T) {
		t.Parallel()
		eventtest.Run(t, onPostgres(t, kafkaBrokers(t)))
	})
	t.Run("EmbeddedMySQL", func(t *testing.T) {
		t.Parallel()
		h := onMySQL(t, nil)
		broker := embedded(t)
		h.Broker, h.Brokers = broker, broker.Addrs()
		eventtest.Run(t, h)
	})
	// SingleStore's statements, as far as MariaDB knows them, and SingleStore
	// itself where there is one.
	t.Run("EmbeddedSingleStoreOnMySQL", func(t *testing.T) {
		t.Parallel()
		h := onSingleStore(t, backend(t, "mysql", "EVENTS_MYSQL_DSN"), func(t testing.TB, dsn string) {
			db, err := sql.Open("mysql", dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := s2tables.Create(context.Background(), db, events2.Schema); err != nil {
				t.Fatal(err)
			}
		})
		broker := embedded(t)
		h.Broker, h.Brokers = broker, broker.Addrs()
		eventtest.Run(t, h)
	})
	t.Run("KafkaSingleStore", func(t *testing.T) {
		t.Parallel()
		h := onSingleStore(t, backend(t, "singlestore", "EVENTS_S2_DSN"), func(t testing.TB, dsn string) {
			db, err := events2.Open(context.Background(), dsn, events2.WithMigrate())
			if err != nil {
				t.Fatal(err)
			}
			db.Close()
		})
		h.Brokers = kafkaBrokers(t)
		eventtest.Run(t, h)
	})
	t.Run("KafkaMySQL", func(t *testing.T) {
		t.Parallel()
		eventtest.Run(t, onMySQL(t, kafkaBrokers(t)))
	})
	t.Run("KafkaSQLite", func(t *testing.T) {
		t.Parallel()
		eventtest.Run(t, onSQLite(kafkaBrokers(t)))
	})
	t.Run("KafkaNoDB", func(t *testing.T) {
		t.Parallel()
		eventtest.Run(t, onNothing(kafkaBrokers(t)))
	})
}

func embedded(t *testing.T) *eventembed.Broker {
	t.Helper()
	broker, err := eventembed.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	return broker
}

// openSQLite makes a database of the test's own.
func openSQLite(t *testing.T, opts ...eventsqlite.Option) *eventsqlite.DB {
	t.Helper()
	db, err := eventsqlite.Open(context.Background(), filepath.Join(t.TempDir(), "events.db"), append(opts, eventsqlite.WithMigrate())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// kafkaBrokers returns the real cluster's addresses. A backend that is not
// there is skipped, or a failure where it is required (scripts/test says so).
func kafkaBrokers(t *testing.T) []string {
	t.Helper()
	return strings.Split(backend(t, "kafka", "EVENTS_KAFKA_BROKERS"), ",")
}

func backend(t *testing.T, name, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value != "" {
		return value
	}
	message := fmt.Sprintf("%s is not set: no %s to test with (scripts/services up starts one)", variable, name)
	if strings.Contains(os.Getenv("EVENTS_REQUIRE"), name) {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

func onSQLite(brokers []string) eventtest.Harness[eventmodels.StringEventID, *eventsqlite.Tx, *eventsqlite.DB] {
	return eventtest.Harness[eventmodels.StringEventID, *eventsqlite.Tx, *eventsqlite.DB]{
		Brokers:             brokers,
		DeferredConstraints: true,
		Bind:                func(int) string { return "?" },
		NewDatabase: func(t testing.TB) func() *eventsqlite.DB {
			file := filepath.Join(t.TempDir(), "events.db")
			return func() *eventsqlite.DB {
				db, err := eventsqlite.Open(context.Background(), file, eventsqlite.WithMigrate())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { db.Close() })
				return db
			}
		},
	}
}

func onNothing(brokers []string) eventtest.Harness[eventnodb.ID, *eventnodb.NoDBTx, *eventnodb.NoDB] {
	return eventtest.Harness[eventnodb.ID, *eventnodb.NoDBTx, *eventnodb.NoDB]{Brokers: brokers}
}

func onPostgres(t *testing.T, brokers []string) eventtest.Harness[eventmodels.StringEventID, *eventpg.Tx, *eventpg.DB] {
	t.Helper()
	dsn := backend(t, "postgres", "EVENTS_POSTGRES_DSN")
	return eventtest.Harness[eventmodels.StringEventID, *eventpg.Tx, *eventpg.DB]{
		Brokers:             brokers,
		Concurrent:          true,
		DeferredConstraints: true,
		OpenTransactions: `SELECT count(*) FROM pg_stat_activity
			WHERE application_name LIKE current_setting('application_name') || '%' AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()`,
		Bind: func(n int) string { return fmt.Sprintf("$%d", n) },
		NewDatabase: func(t testing.TB) func() *eventpg.DB {
			own := newPostgresDatabase(t, dsn)
			return func() *eventpg.DB {
				db, err := eventpg.Open(context.Background(), own, eventpg.WithMigrate())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { db.Close() })
				return db
			}
		},
	}
}

func onMySQL(t *testing.T, brokers []string) eventtest.Harness[eventmodels.BinaryEventID, *eventmysql.Tx, *eventmysql.DB] {
	t.Helper()
	dsn := backend(t, "mysql", "EVENTS_MYSQL_DSN")
	return eventtest.Harness[eventmodels.BinaryEventID, *eventmysql.Tx, *eventmysql.DB]{
		Brokers:            brokers,
		Concurrent:         true,
		CommitsDefinitions: true,
		Quote:              "`",
		OpenTransactions: `SELECT count(*) FROM information_schema.innodb_trx AS t JOIN information_schema.processlist AS p ON p.id = t.trx_mysql_thread_id
			WHERE p.db = DATABASE() AND p.command = 'Sleep' AND p.id <> CONNECTION_ID()`,
		Bind: func(int) string { return "?" },
		NewDatabase: func(t testing.TB) func() *eventmysql.DB {
			own := newMySQLDatabase(t, dsn)
			return func() *eventmysql.DB {
				db, err := eventmysql.Open(context.Background(), own, eventmysql.WithMigrate())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { db.Close() })
				return db
			}
		},
	}
}

// onSingleStore: tables makes the library's tables in a database.
func onSingleStore(t *testing.T, dsn string, tables func(t testing.TB, dsn string)) eventtest.Harness[eventmodels.BinaryEventID, *events2.Tx, *events2.DB] {
	t.Helper()
	return eventtest.Harness[eventmodels.BinaryEventID, *events2.Tx, *events2.DB]{
		Concurrent:         true,
		CommitsDefinitions: true,
		Quote:              "`",
		Bind:               func(int) string { return "?" },
		NewDatabase: func(t testing.TB) func() *events2.DB {
			own := newMySQLDatabase(t, dsn)
			tables(t, own)
			return func() *events2.DB {
				db, err := events2.Open(context.Background(), own)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { db.Close() })
				return db
			}
		},
	}
}

// newMySQLDatabase makes a database that is dropped at the test's end, and
// returns its DSN.
func newMySQLDatabase(t testing.TB, dsn string) string {
	t.Helper()
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal("the DSN cannot be read")
	}
	name := "events_test_" + strings.ReplaceAll(uuid.NewString()[:13], "-", "_")
	admin, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer admin.Close()
		if _, err := admin.Exec("DROP DATABASE " + name); err != nil {
			t.Error(err)
		}
	})
	config.DBName = name
	return config.FormatDSN()
}

// newPostgresDatabase makes a schema that is dropped at the test's end, and
// returns a DSN in which it stands for a database of the test's own.
func newPostgresDatabase(t testing.TB, dsn string) string {
	t.Helper()
	name := "events_test_" + strings.ReplaceAll(uuid.NewString()[:13], "-", "_")
	admin, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec("CREATE SCHEMA " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer admin.Close()
		if _, err := admin.Exec("DROP SCHEMA " + name + " CASCADE"); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatalf("EVENTS_POSTGRES_DSN is not a URL: %v", err)
	}
	q := u.Query()
	q.Set("search_path", name)
	q.Set("application_name", name)
	u.RawQuery = q.Encode()
	return u.String()
}
