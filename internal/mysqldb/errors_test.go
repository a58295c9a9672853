package mysqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/seed46dd6f11/events/eventmodels"
)

func answer(number uint16) error {
	return fmt.Errorf("a statement: %w", &mysql.MySQLError{Number: number, Message: "message"})
}

func TestFaults(t *testing.T) {
	const (
		event    = eventmodels.FaultEvent
		conflict = eventmodels.FaultConflict
		gone     = eventmodels.FaultAway
	)
	for name, c := range map[string]struct {
		err     error
		fault   eventmodels.Fault
		refused bool // of COMMIT
		ends    bool // the transaction
	}{
		"nil":                          {nil, event, false, false},
		"duplicate key":                {answer(1062), event, true, false},
		"syntax":                       {answer(1064), event, true, false},
		"too slow, MySQL":              {answer(3024), event, true, false},
		"too slow, MariaDB":            {answer(1969), event, true, false},
		"a packet too large":           {answer(1153), event, true, false},
		"read-only transaction":        {answer(1792), event, true, false},
		"interrupted":                  {answer(1317), event, false, false},
		"deadlock":                     {answer(1213), conflict, true, true},
		"lock timeout":                 {answer(1205), conflict, true, true},
		"changed since it was read":    {answer(1020), conflict, true, true},
		"group replication":            {answer(3101), conflict, true, true},
		"read-only server":             {answer(1290), gone, true, false},
		"read-only engine":             {answer(1836), gone, true, false},
		"too many connections":         {answer(1040), gone, true, false},
		"too many of the user":         {answer(1203), gone, true, false},
		"disk full":                    {answer(1114), gone, true, false},
		"no memory for locks":          {answer(1206), gone, true, true},
		"shutdown":                     {answer(1053), gone, false, false},
		"killed":                       {answer(1927), gone, false, true},
		"error during COMMIT":          {answer(1180), gone, false, false},
		"Galera is not ready":          {answer(1047), gone, false, false},
		"a proxy's lost server":        {answer(2013), gone, false, false},
		"a proxy without server":       {answer(9001), gone, false, false},
		"nothing was sent":             {driver.ErrBadConn, gone, true, true},
		"the connection is gone":       {mysql.ErrInvalidConn, gone, false, true},
		"end of file":                  {io.ErrUnexpectedEOF, gone, false, true},
		"refused":                      {&net.OpError{Op: "dial", Err: errors.New("refused")}, gone, false, true},
		"a closed *sql.Conn":           {sql.ErrConnDone, gone, false, true},
		"an ended transaction":         {sql.ErrTxDone, event, true, false},
		"canceled":                     {context.Canceled, event, true, false},
		"a deadline":                   {fmt.Errorf("x: %w", context.DeadlineExceeded), event, true, false},
		"an HTTP request":              {&url.Error{Op: "Get", Err: &net.OpError{Op: "dial", Err: errors.New("refused")}}, event, false, false},
		"a handler's":                  {errors.New("no"), event, false, false},
		"rolled back after a deadlock": {&RolledBackError{answer(1213)}, conflict, true, true},
		"rolled back when killed":      {&RolledBackError{mysql.ErrInvalidConn}, gone, true, true},
	} {
		if got := Fault(c.err); got != c.fault {
			t.Errorf("%s: fault %v", name, got)
		}
		if got := CommitRefused(c.err); got != c.refused {
			t.Errorf("%s: refused %v", name, got)
		}
		if got := EndsTransaction(c.err); got != c.ends {
			t.Errorf("%s: ends the transaction: %v", name, got)
		}
	}
	for number := range conflicts {
		if away[number] {
			t.Errorf("%d is of two kinds", number)
		}
	}
}

func TestStatements(t *testing.T) {
	if got := Statements("-- a; b\nA (\n  x\n);\n\nB;\nC"); !slices.Equal(got, []string{"-- a; b\nA (\n  x\n)", "B", "C"}) {
		t.Errorf("%q", got)
	}
}

func TestParseDSN(t *testing.T) {
	for dsn, interpolate := range map[string]bool{
		"u:p@tcp(h:1)/d":                         true,
		"u:p@tcp(h:1)/d?interpolateParams=false": false,
		"u:p@tcp(h:1)/d?interpolateParams=true":  true,
		"u:p@tcp(h:1)/d?charset=utf8mb4,utf8":    true,
		"u:p@tcp(h:1)/d?charset=latin1":          true,
		"u:p@tcp(h:1)/d?charset=gbk":             false,
		"u:p@tcp(h:1)/d?charset=utf8mb4,SJIS":    false,
		"u:p@tcp(h:1)/d?collation=big5_bin":      false,
	} {
		config, err := ParseDSN("MySQL", dsn)
		if err != nil || config.InterpolateParams != interpolate || config.Timeout != connectLimit {
			t.Errorf("%s: %+v, %v", dsn, config, err)
			continue
		}
		own, err := ownPool(config)
		if err != nil {
			t.Errorf("%s: the relay's own: %v", dsn, err)
			continue
		}
		_ = own.Close()
	}
}
