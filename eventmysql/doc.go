// Package eventmysql connects the events library with MySQL (8.0.19 or later)
// and MariaDB (10.6 or later), over github.com/go-sql-driver/mysql:
// transactions that carry events, exactly-once marks, and the outbox that the
// relay reads.
package eventmysql
