// Package mysqldb is what eventmysql and events2 have in common: servers that
// speak MySQL's protocol, through github.com/go-sql-driver/mysql. It has
// connections, transactions, errors, migrations, and what is done with the
// library's statements; their texts are the backends'.
package mysqldb
