package eventsqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
)

// A file is a database's file and the lock of its writers.
type file struct {
	path     string
	lock     *writeLock
	driver   driver.Driver // that the service uses; nil: the registered one
	volatile bool          // the data does not outlive the process
}

// rowQueryer is what locate needs of a database.
type rowQueryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// locate asks SQLite for the file of a database.
func locate(ctx context.Context, db rowQueryer) (*file, error) {
	var path sql.NullString
	err := whileBusy(ctx, func() error {
		return db.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path)
	})
	if err != nil {
		return nil, fmt.Errorf("find the database's file (is it an SQLite database?): %w", err)
	}
	if path.String == "" {
		return nil, ErrInMemory
	}
	f := &file{path: path.String, lock: writeLockOf(path.String)}
	if d, ok := db.(interface{ Driver() driver.Driver }); ok {
		f.driver = d.Driver()
	}
	return f, nil
}

// settings are the driver's parameters of our own connections, one set for
// each kind.
type settings string

const (
	// durable: a commit is on the disk when it returns.
	durable settings = "_txlock=immediate&_busy_timeout=0&_foreign_keys=1&_synchronous=FULL&_pragma=journal_size_limit(67108864)"
	// lazy: a crash of the machine can undo the last commits.
	lazy settings = "_txlock=immediate&_busy_timeout=0&_foreign_keys=1&_synchronous=NORMAL&_pragma=journal_size_limit(67108864)"
	// volatile: a crash of the machine can destroy the file.
	volatile settings = "_txlock=immediate&_busy_timeout=0&_foreign_keys=1&_synchronous=OFF&_pragma=journal_size_limit(67108864)"
)

func settingsOf(isVolatile bool) settings {
	if isVolatile {
		return volatile
	}
	return durable
}

// connectorFor returns a connector of the registered driver.
func connectorFor(path string, s settings) (driver.Connector, error) {
	dsn, err := dsnOf(path, s)
	if err != nil {
		return nil, err
	}
	c, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	return patient{c}, nil
}

// connector returns a connector for the file, with the driver that the service
// uses: a wrapped one goes on to see what happens, and above all there are no
// two SQLites in the process, whose locks would not hold against each other.
func (f *file) connector(s settings) (driver.Connector, error) {
	if f.driver == nil {
		return connectorFor(f.path, s)
	}
	dsn, err := dsnOf(f.path, s)
	if err != nil {
		return nil, err
	}
	return patient{dsnConnector{f.driver, dsn}}, nil
}

// dsnOf makes a URI of a path, in which any character may be, and makes it
// independent of the working directory.
func dsnOf(path string, s settings) (string, error) {
	if strings.ContainsRune(path, 0) {
		return "", errors.New("the path has a NUL in it")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: string(s)}).String(), nil
}

// dsnConnector opens connections of a driver that has no connectors.
type dsnConnector struct {
	driver driver.Driver
	dsn    string
}

func (c dsnConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.driver.Open(c.dsn)
}

func (c dsnConnector) Driver() driver.Driver { return c.driver }

// patient waits in Go when a connection cannot be opened because another
// process has the file for itself: it recovers it, or changes its mode.
type patient struct{ driver.Connector }

func (p patient) Connect(ctx context.Context) (driver.Conn, error) {
	var conn driver.Conn
	err := whileBusy(ctx, func() (err error) {
		conn, err = p.Connector.Connect(ctx)
		return err
	})
	return conn, err
}
