package servers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/bench/internal/compare"
)

// envMySQL says where a MySQL or MariaDB server is, envSingleStore where a
// SingleStore is. Measurements do without one that is not set.
const (
	envMySQL       = "EVENTS_MYSQL_DSN"
	envSingleStore = "EVENTS_S2_DSN"
)

// HasMySQL says whether there is a MySQL or MariaDB server.
func (s *Servers) HasMySQL() bool { return os.Getenv(envMySQL) != "" }

// HasSingleStore says whether there is a SingleStore.
func (s *Servers) HasSingleStore() bool { return os.Getenv(envSingleStore) != "" }

// MySQLDatabase is Database on the server of EVENTS_MYSQL_DSN.
func (s *Servers) MySQLDatabase(ctx context.Context, c *compare.Cleanup, what string) (dsn string, err error) {
	return s.database(ctx, c, envMySQL, what)
}

// SingleStoreDatabase is Database on the server of EVENTS_S2_DSN.
func (s *Servers) SingleStoreDatabase(ctx context.Context, c *compare.Cleanup, what string) (dsn string, err error) {
	return s.database(ctx, c, envSingleStore, what)
}

func (s *Servers) database(ctx context.Context, c *compare.Cleanup, variable, what string) (string, error) {
	config, err := mysql.ParseDSN(os.Getenv(variable))
	if err != nil {
		return "", errors.New(variable + " cannot be read") // the error could quote the password
	}
	name := strings.ReplaceAll(s.Name(what), "-", "_")
	if err := onMySQL(ctx, config, "CREATE DATABASE "+name); err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	c.Defer(func(ctx context.Context) error {
		if err := onMySQL(ctx, config, "DROP DATABASE "+name); err != nil {
			return fmt.Errorf("drop database %s: %w", name, err)
		}
		return nil
	})
	own := config.Clone()
	own.DBName = name
	return own.FormatDSN(), nil
}

func onMySQL(ctx context.Context, config *mysql.Config, statement string) (err error) {
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, statement)
	return err
}

// mysqlFact says what the server is, for the report; "" if there is none.
func (s *Servers) mysqlFact(ctx context.Context) (fact string, err error) {
	if !s.HasMySQL() {
		return "", nil
	}
	db, err := sql.Open("mysql", os.Getenv(envMySQL))
	if err != nil {
		return "", errors.New(envMySQL + " cannot be read")
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	const query = `SELECT CONCAT('MySQL or MariaDB ', VERSION(), ', innodb_flush_log_at_trx_commit ', @@innodb_flush_log_at_trx_commit,
		', innodb_buffer_pool_size ', @@innodb_buffer_pool_size >> 20, ' MiB')`
	err = db.QueryRowContext(ctx, query).Scan(&fact)
	return fact, err
}
