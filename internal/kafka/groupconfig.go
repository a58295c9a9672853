package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// GroupConfig is what a member of a consumer group needs to know.
type GroupConfig struct {
	Config

	// Group is the consumer group's id. It has no default.
	Group string
	// Topics are what is consumed. One that does not exist is consumed when
	// it does.
	Topics []WireTopic
	// Starts are where the partitions of a topic begin of which the group has
	// committed nothing. Default for topics that are not in it: [Earliest].
	Starts map[WireTopic]Start
	// Balancers are the ways to assign partitions that the member can agree
	// to, the preferred one first. Default [CooperativeSticky].
	Balancers []Balancer
	// InstanceID makes the member a static one: it gets its partitions back
	// when it is away for less than the session timeout, and leaving the
	// group does not give them up. Default "": a member like any other.
	InstanceID string
	// HeartbeatInterval is also how soon a member notices a rebalance.
	// Default 1 s.
	HeartbeatInterval time.Duration
	// SessionTimeout is how long the brokers wait for a member that died
	// before others get its partitions. It must be within the brokers'
	// group.min.session.timeout.ms (6 s) and group.max.session.timeout.ms.
	// Kafka's own default is 45 s; this one takes over sooner and still
	// survives that the coordinator moves twice, 10 s each. Default 20 s.
	SessionTimeout time.Duration
	// RebalanceTimeout is how long the other members wait in a rebalance for
	// this one to give up partitions. Default 60 s.
	RebalanceTimeout time.Duration

	// OnTruncated is told what a broker has lost. Default: only logged.
	OnTruncated func(Truncation)
	// OnGap is told of what was removed, by retention, before it was read.
	// Default: only logged.
	OnGap func(Gap)
	// OnTopicRecreated is told that a topic was deleted, and perhaps created
	// again, after Lost was called for its partitions. Default: only logged.
	OnTopicRecreated func(WireTopic)
	// OnSessionError is told why the member was thrown out of the group or
	// cannot join it. It tries again. Default: only logged.
	OnSessionError func(error)
}

func (c GroupConfig) withDefaults() GroupConfig {
	c.Config = c.Config.withDefaults()
	setDefault(&c.HeartbeatInterval, time.Second)
	setDefault(&c.SessionTimeout, 20*time.Second)
	setDefault(&c.RebalanceTimeout, 60*time.Second)
	if len(c.Balancers) == 0 {
		c.Balancers = []Balancer{CooperativeSticky()}
	}
	if c.OnTruncated == nil {
		c.OnTruncated = func(Truncation) {}
	}
	if c.OnGap == nil {
		c.OnGap = func(Gap) {}
	}
	if c.OnTopicRecreated == nil {
		c.OnTopicRecreated = func(WireTopic) {}
	}
	if c.OnSessionError == nil {
		c.OnSessionError = func(error) {}
	}
	return c
}

// validate names the field that cannot be used. The defaults are filled in.
func (c GroupConfig) validate() error {
	if err := c.Config.validate(); err != nil {
		return err
	}
	if c.Group == "" {
		return errors.New("kafka: Group: empty")
	}
	if c.HeartbeatInterval < 0 || c.HeartbeatInterval > c.SessionTimeout/3 {
		return fmt.Errorf("kafka: HeartbeatInterval: %v is not between 0 and a third of the session timeout, %v", c.HeartbeatInterval, c.SessionTimeout)
	}
	if c.RebalanceTimeout < 3*c.HeartbeatInterval {
		return fmt.Errorf("kafka: RebalanceTimeout: %v is less than three heartbeats", c.RebalanceTimeout)
	}
	return nil
}

// revokeTime is how long Revoked may take: the rebalance timeout without the
// heartbeats that it took to notice, and with time to commit and rejoin.
func (c GroupConfig) revokeTime() time.Duration {
	return c.RebalanceTimeout - max(2*c.HeartbeatInterval, c.RebalanceTimeout/10)
}

// Balancer assigns a group's partitions to its members.
type Balancer = kgo.GroupBalancer

// CooperativeSticky moves as few partitions as it can, and only these stop.
func CooperativeSticky() Balancer { return kgo.CooperativeStickyBalancer() }

// Sticky moves as few partitions as it can, but all of them stop in every
// rebalance.
func Sticky() Balancer { return kgo.StickyBalancer() }

// Range gives each member a range of each topic's partitions. All of them stop
// in every rebalance. It is the default of many other clients.
func Range() Balancer { return kgo.RangeBalancer() }

// RoundRobin deals the partitions out one by one. All of them stop in every
// rebalance.
func RoundRobin() Balancer { return kgo.RoundRobinBalancer() }
