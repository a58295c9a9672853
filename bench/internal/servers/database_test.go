package servers

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestWithDatabase(t *testing.T) {
	for _, dsn := range []string{
		"postgres://u:p%40ss@db.example:5433/first?sslmode=disable",
		"postgres://u:p%40ss@db.example:5433?sslmode=disable",
		"host=db.example port=5433 user=u password=p@ss dbname=first sslmode=disable",
	} {
		other, err := withDatabase(dsn, "bench-1-x-2")
		if err != nil {
			t.Fatal(err)
		}
		config, err := pgx.ParseConfig(other)
		if err != nil {
			t.Fatal(err)
		}
		if config.Database != "bench-1-x-2" || config.Host != "db.example" || config.Port != 5433 || config.User != "u" || config.Password != "p@ss" {
			t.Errorf("%s became %s", dsn, other)
		}
	}
}
