package events

import (
	"fmt"
	"slices"

	"github.com/seed46dd6f11/events/internal/kafka"
)

// GroupBalancer is a way to assign the partitions of a consumer group's topics
// to its members, by its name in Kafka's protocol. The members of a group use
// one that all of them know.
type GroupBalancer string

const (
	// BalanceCooperativeSticky moves as few partitions as it can, and only
	// these stop in a rebalance.
	BalanceCooperativeSticky GroupBalancer = "cooperative-sticky"
	// BalanceSticky moves as few partitions as it can.
	BalanceSticky GroupBalancer = "sticky"
	// BalanceRange gives each member a range of each topic's partitions. It
	// is the default of many other clients.
	BalanceRange GroupBalancer = "range"
	// BalanceRoundRobin deals the partitions out one by one.
	BalanceRoundRobin GroupBalancer = "roundrobin"
)

// SetGroupBalancers says which balancers the members of all consumer groups
// of this Library can agree to, the preferred one first. The default is
// BalanceCooperativeSticky alone.
//
// Others are needed while a group also has members that do not know it, as in
// the first rolling deploy after another client or implementation: without a
// balancer in common Kafka refuses the member that comes later. As long as any
// of those given here is not the cooperative one, all partitions of a member
// stop in every rebalance: when the last such member is gone, a second
// deploy takes the call out again.
//
// It panics if none is given, or one that is unknown or given twice.
func (l *LibraryNoDB) SetGroupBalancers(balancers ...GroupBalancer) {
	if len(balancers) == 0 {
		panic("events: SetGroupBalancers: none was given; the default is BalanceCooperativeSticky")
	}
	for i, b := range balancers {
		if b.kafka() == nil {
			panic(fmt.Sprintf("events: SetGroupBalancers: %q is unknown; use one of the constants Balance...", string(b)))
		}
		if slices.Contains(balancers[:i], b) {
			panic(fmt.Sprintf("events: SetGroupBalancers: %q is given twice", string(b)))
		}
	}
	l.edit("SetGroupBalancers", func(s *settings) { s.balancers = slices.Clone(balancers) })
}

// kafka returns nil for an unknown one.
func (b GroupBalancer) kafka() kafka.Balancer {
	switch b {
	case BalanceCooperativeSticky:
		return kafka.CooperativeSticky()
	case BalanceSticky:
		return kafka.Sticky()
	case BalanceRange:
		return kafka.Range()
	case BalanceRoundRobin:
		return kafka.RoundRobin()
	}
	return nil
}

// groupBalancers is empty for the default.
func (s *settings) groupBalancers() []kafka.Balancer {
	all := make([]kafka.Balancer, len(s.balancers))
	for i, b := range s.balancers {
		all[i] = b.kafka()
	}
	return all
}
