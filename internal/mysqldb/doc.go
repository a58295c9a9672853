// Package mysqldb is what eventmysql and events2 have in common: servers that
// speak MySQL's protocol, through github.com/go-sql-driver/mysql. It knows
// connections, errors and migrations, and no table of the library.
package mysqldb
