package eventnodb

import (
	"context"
	"database/sql/driver"

	"github.com/seed46dd6f11/events/eventmodels"
)

// noConnector connects to nothing.
type noConnector struct{}

func (noConnector) Connect(context.Context) (driver.Conn, error) {
	return nil, eventmodels.NotImplementedErr
}

func (noConnector) Driver() driver.Driver { return noDriver{} }

type noDriver struct{}

func (noDriver) Open(string) (driver.Conn, error) { return nil, eventmodels.NotImplementedErr }
