package mysqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// connectLimit bounds one attempt to connect.
const connectLimit = 15 * time.Second

// ambiguous matches the character sets in which a byte of a character can look
// like the backslash that escapes: parameters in a statement's text, bytes above
// all, could end where they should not. The driver looks at collations only.
var ambiguous = regexp.MustCompile(`(?i)[?&](charset|collation)=[^&]*(big5|cp932|gb2312|gbk|gb18030|sjis)`)

// ParseDSN reads a data source name of go-sql-driver/mysql. Its errors never
// quote it, since there is no telling what in a broken one is the password.
//
// The parameters of statements are put into their text (interpolateParams)
// unless the name says otherwise, or a character set in which that is not safe:
// one round trip instead of three.
func ParseDSN(product, dsn string) (*mysql.Config, error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("the %s data source name cannot be read; write it as user:password@tcp(host:3306)/database?parameter=value", product)
	}
	if config.DBName == "" {
		return nil, fmt.Errorf("the %s data source name has no database; write it as user:password@tcp(host:3306)/database", product)
	}
	if !strings.Contains(dsn, "interpolateParams=") {
		config.InterpolateParams = !ambiguous.MatchString(dsn)
	}
	if config.Timeout <= 0 {
		config.Timeout = connectLimit
	}
	config.Logger = &mysql.NopLogger{} // its errors are returned, too
	if config.Net == "tcp" && config.DialFunc == nil {
		// The operating system notices within half a minute that the other
		// side is gone.
		dialer := net.Dialer{Timeout: config.Timeout,
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
		config.DialFunc = dialer.DialContext
	}
	return config, nil
}

// SetDefault sets a session variable that the data source name does not.
func SetDefault(config *mysql.Config, variable, value string) {
	if config.Params == nil {
		config.Params = make(map[string]string)
	}
	if _, set := config.Params[variable]; !set {
		config.Params[variable] = value
	}
}

// ownPool makes connections beside the application's pool, with the settings
// of its data source name. It keeps none: those who take them do.
func ownPool(config *mysql.Config) (*sql.DB, error) {
	own := config.Clone()
	if ambiguous.MatchString(config.FormatDSN()) {
		if err := own.Apply(mysql.Charset("utf8mb4", "utf8mb4_general_ci")); err != nil {
			return nil, err
		}
	}
	own.InterpolateParams = true
	// The rows that a WHERE has found count, and not those that have changed.
	own.ClientFoundRows = true
	own.MultiStatements, own.RejectReadOnly, own.ParseTime = false, false, false
	own.ReadTimeout, own.WriteTimeout = 0, 0 // calls are bounded
	connector, err := mysql.NewConnector(own)
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxIdleConns(-1)
	return pool, nil
}

// ConnOf returns what takes connections out of a pool of the application's,
// which is a *sql.DB or has one embedded.
func ConnOf(db any) Source {
	return func(ctx context.Context) (*sql.Conn, error) {
		pool, ok := db.(interface {
			Conn(context.Context) (*sql.Conn, error)
		})
		if !ok {
			return nil, fmt.Errorf("the relay needs connections of its own, and %T does not give them; "+
				"embed a *sql.DB in it, or give it the method Conn(context.Context) (*sql.Conn, error)", db)
		}
		conn, err := pool.Conn(ctx)
		if err != nil {
			return nil, err
		}
		if err := CheckDriver(conn); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return conn, nil
	}
}
