// Package sqlitetest runs a service with an SQLite database in a test, in one
// call:
//
//	lib := eventsqlite.NewLibrary()
//	shop.Register(lib)
//	s, db := sqlitetest.Start(t, lib)
//
// It is apart from eventtest so that the tests of services with another
// database do without SQLite.
package sqlitetest

import (
	"testing"

	"github.com/seed46dd6f11/events/eventsqlite"
	"github.com/seed46dd6f11/events/eventtest"
)

// Start is [eventtest.Start] with an empty database in memory that has the
// library's tables and is closed when the test ends. The service's own tables
// are for the caller to make.
func Start(t testing.TB, lib *eventsqlite.Library) (*eventtest.Service, *eventsqlite.DB) {
	t.Helper()
	db, err := eventsqlite.Open(t.Context(), ":memory:", eventsqlite.WithMigrate())
	if err != nil {
		t.Fatalf("sqlitetest.Start: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("sqlitetest: closing the database: %v", err)
		}
	})
	return eventtest.Start(t, lib, db), db
}
