package mysqldb

import (
	"testing"

	"github.com/seed46dd6f11/events/eventmodels"
)

// What fits into one statement.
func TestFitting(t *testing.T) {
	rows := make([]eventmodels.OutboxRow, 5)
	for i := range rows {
		rows[i].Payload = make([]byte, InsertBytes/5*2)
	}
	if n := Fitting(rows); n != 2 {
		t.Errorf("%d rows in the first statement", n)
	}
	rows[0].Payload = make([]byte, InsertBytes+1)
	if n := Fitting(rows); n != 1 {
		t.Errorf("%d rows in the first statement, the first of which is larger than allowed", n)
	}
	if n := Fitting(make([]eventmodels.OutboxRow, 50_000)); n != InsertChunk {
		t.Errorf("%d small rows in the first statement", n)
	}
}
