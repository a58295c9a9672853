package main

import (
	"context"
	"fmt"
	"time"

	"github.com/seed46dd6f11/events"
)

var statusCommands = []command{
	{name: "outbox status", about: "rows, parked rows, age of the oldest, and who relays", run: outboxStatus, needs: parkedNeed},
	{name: "lag", about: "how far consumer groups are behind", run: lag, needs: []string{"brokers", "group"}},
}

func outboxStatus(ctx context.Context, c *call) error {
	if len(c.args) > 0 {
		return &usageError{"outbox status has no arguments"}
	}
	lib, err := c.database(ctx)
	if err != nil {
		return err
	}
	status, err := lib.OutboxStatus(ctx)
	if err != nil {
		return err
	}
	if c.json {
		return c.line(status)
	}
	relay := "nobody has relayed yet"
	switch {
	case status.LeaseLive:
		relay = status.LeaseOwner
	case status.LeaseOwner != "":
		relay = "nobody; the last one was " + status.LeaseOwner
	}
	_, err = fmt.Fprintf(c.out, "rows        %d\noldest      %v\nparked      %d\nrelay       %s\n", status.Rows, status.OldestAge.Round(time.Millisecond), status.Parked, oneLine(relay))
	return err
}

func lag(ctx context.Context, c *call) error {
	if len(c.args) > 0 {
		return &usageError{"lag has no arguments; use -group"}
	}
	lib, err := c.cluster(ctx)
	if err != nil {
		return err
	}
	var groups []events.ConsumerGroupName
	if c.group != "" {
		groups = append(groups, events.NewConsumerGroup(c.group))
	}
	lags, err := lib.ConsumerLag(ctx, groups...)
	if err != nil {
		return err
	}
	if c.json {
		for _, l := range lags {
			if err := c.line(l); err != nil {
				return err
			}
		}
		return nil
	}
	row, flush := c.table("GROUP TOPIC PARTITION COMMITTED END LAG")
	for _, l := range lags {
		committed := any(l.Committed)
		if l.Committed < 0 {
			committed = "-"
		}
		row(l.Group, l.Topic, l.Partition, committed, l.End, l.Lag)
	}
	return flush()
}
