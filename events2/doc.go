// Package events2 connects the events library with SingleStore, over
// github.com/go-sql-driver/mysql.
package events2
