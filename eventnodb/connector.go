package eventnodb

import (
	"context"
	"database/sql/driver"
)

// noConnector connects to nothing.
type noConnector struct{}

func (noConnector) Connect(context.Context) (driver.Conn, error) {
	return nil, refused("QueryRowContext")
}

func (noConnector) Driver() driver.Driver { return noDriver{} }

type noDriver struct{}

func (noDriver) Open(string) (driver.Conn, error) { return nil, refused("Open") }
