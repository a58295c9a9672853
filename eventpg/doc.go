// Package eventpg connects the events library with PostgreSQL (13 or later),
// over pgx v5.
package eventpg
