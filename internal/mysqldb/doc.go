// Package mysqldb is what eventmysql and events2 have in common: servers that
// speak MySQL's protocol, through github.com/go-sql-driver/mysql. It has
// connections, transactions, errors, migrations, leases, and the statements that
// are the same for both.
package mysqldb
