package eventmodels

import "testing"

func TestOutboxCountRows(t *testing.T) {
	for _, c := range []struct {
		count OutboxCount
		want  int64
	}{
		{OutboxCount{}, 0},
		{OutboxCount{Counted: 3, First: 10, Last: 900, Highest: 900}, 3},
		{OutboxCount{Counted: 3, First: 10, Last: 900, Highest: 1000}, 3}, // came meanwhile
		{OutboxCount{Counted: StatsLimit, First: 1, Last: StatsLimit, Highest: StatsLimit}, StatsLimit},
		{OutboxCount{Counted: StatsLimit, First: 1, Last: StatsLimit, Highest: 5 * StatsLimit}, 5 * StatsLimit},
		{OutboxCount{Counted: StatsLimit, First: 1, Last: 2 * StatsLimit, Highest: 4 * StatsLimit}, 2 * StatsLimit}, // every second seq
		{OutboxCount{Counted: StatsLimit, First: 1, Last: StatsLimit, Highest: 5}, StatsLimit},                      // two snapshots
	} {
		if got := c.count.Rows(); got != c.want {
			t.Errorf("%+v: %d, want %d", c.count, got, c.want)
		}
	}
}
