package eventmysql_test

import (
	"context"
	"database/sql"
	"log"
	"os"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/eventmysql"
)

// A pool that the service opens itself, with settings of its own.
func ExampleWrap() {
	config, err := mysql.ParseDSN(os.Getenv("MYSQL_DSN"))
	if err != nil {
		log.Fatal("MYSQL_DSN cannot be read")
	}
	config.InterpolateParams = true // one round trip for each statement instead of three
	config.Params = map[string]string{"innodb_lock_wait_timeout": "10"}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		log.Fatal(err)
	}
	pool := sql.OpenDB(connector)
	defer pool.Close()
	if err := eventmysql.Migrate(context.Background(), pool); err != nil {
		log.Fatal(err)
	}
	lib := eventmysql.NewLibrary()
	lib.Configure(eventmysql.Wrap(pool), nil, false, nil, nil, []string{"kafka:9092"})
}
