package kafka

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var creation = []kmsg.Key{kmsg.CreateTopics}

func specs(names ...WireTopic) []TopicSpec {
	s := make([]TopicSpec, len(names))
	for i, n := range names {
		s[i].Topic = n
	}
	return s
}

func TestEnsureTopicsDefaults(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		plain, own := newName("plain"), newName("own")
		t.Cleanup(func() {
			if c.embed == nil {
				_, _ = c.adm.DeleteTopics(context.Background(), string(plain), string(own))
			}
		})
		client := c.client(t)
		err := client.EnsureTopics(timeout(t), []TopicSpec{
			{Topic: plain},
			{Topic: own, Partitions: 5, ReplicationFactor: 1, Configs: map[string]string{"message.timestamp.type": "CreateTime", "cleanup.policy": "compact"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[WireTopic]map[string]string{
			plain: {"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "1"},
			own:   {"message.timestamp.type": "CreateTime", "min.insync.replicas": "1", "cleanup.policy": "compact"},
		} {
			configs, err := c.adm.DescribeTopicConfigs(timeout(t), string(name))
			if err != nil {
				t.Fatal(err)
			}
			got := make(map[string]string)
			for _, c := range configs[0].Configs {
				got[c.Key] = c.MaybeValue()
			}
			for k, v := range want {
				if got[k] != v {
					t.Errorf("%s: %s is %q, want %q", name, k, got[k], v)
				}
			}
		}
		for name, want := range map[WireTopic]int{plain: 2, own: 5} {
			if n, err := client.PartitionCount(timeout(t), name); err != nil || n != want {
				t.Errorf("%s has %d partitions: %v", name, n, err)
			}
		}
		if _, err := client.PartitionCount(timeout(t), "no-such-a"); !errors.Is(err, ErrUnknownTopic) {
			t.Errorf("partitions of nothing: %v", err)
		}
	})
}

func TestTopicSpecRequest(t *testing.T) {
	for _, test := range []struct {
		spec                    TopicSpec
		brokers                 int
		partitions, replication int
		insync                  string
	}{
		{TopicSpec{}, 1, 2, 1, "1"},
		{TopicSpec{}, 2, 2, 2, "1"},
		{TopicSpec{}, 3, 2, 3, "2"},
		{TopicSpec{}, 9, 2, 3, "2"},
		{TopicSpec{}, 0, 2, 1, "1"},
		{TopicSpec{Partitions: 7, ReplicationFactor: 5}, 9, 7, 5, "4"},
		{TopicSpec{Configs: map[string]string{"min.insync.replicas": "3"}}, 3, 2, 3, "3"},
		{TopicSpec{Assignments: map[int32][]int32{0: {1, 2, 3}, 1: {2, 3, 1}}}, 3, -1, -1, "2"},
	} {
		r := test.spec.request("t", test.brokers)
		var insync string
		for _, c := range r.Configs {
			if c.Name == "min.insync.replicas" {
				insync = *c.Value
			}
		}
		if int(r.NumPartitions) != test.partitions || int(r.ReplicationFactor) != test.replication || insync != test.insync {
			t.Errorf("%+v with %d brokers: %d partitions, %d copies, %s in sync", test.spec, test.brokers, r.NumPartitions, r.ReplicationFactor, insync)
		}
		if len(r.ReplicaAssignment) != len(test.spec.Assignments) {
			t.Errorf("%+v: assignments %v", test.spec, r.ReplicaAssignment)
		}
	}
}

func TestEnsureTopicsAsksOnce(t *testing.T) {
	c := embedded(t)
	client := c.client(t)
	seen := c.embed.Observe(eventembed.Match{Requests: creation})
	first := c.embed.Stall(eventembed.Match{Requests: creation})
	var calls sync.WaitGroup
	for range 50 {
		calls.Go(func() {
			if err := client.EnsureTopics(timeout(t), specs("a", "b")); err != nil {
				t.Error(err)
			}
		})
	}
	if err := first.Wait(timeout(t), 1); err != nil {
		t.Fatal(err)
	}
	first.Remove()
	calls.Wait()
	if err := client.EnsureTopics(timeout(t), specs("b", "a")); err != nil {
		t.Error(err)
	}
	if n := seen.Hits(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// Several clients, as several processes have, that create one topic at the
// same time: one creates it, all are content.
func TestEnsureTopicsRace(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		name := newName("race")
		t.Cleanup(func() {
			if c.embed == nil {
				_, _ = c.adm.DeleteTopics(context.Background(), string(name))
			}
		})
		var calls sync.WaitGroup
		for range 8 {
			client := c.client(t)
			calls.Go(func() {
				if err := client.EnsureTopics(timeout(t), specs(name)); err != nil {
					t.Error(err)
				}
				if err := client.produce(timeout(t), []*Record{record(name, "k", "v")}); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
	})
}

func TestEnsureTopicsPartialFailure(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		good, bad, illegal := newName("good"), newName("bad"), WireTopic("not/legal")
		t.Cleanup(func() {
			if c.embed == nil {
				_, _ = c.adm.DeleteTopics(context.Background(), string(good))
			}
		})
		client := c.client(t)
		err := client.EnsureTopics(timeout(t), []TopicSpec{{Topic: good}, {Topic: bad, ReplicationFactor: 99}, {Topic: illegal}})
		var topic *TopicError
		if !errors.As(err, &topic) || !errors.Is(err, kerr.InvalidReplicationFactor) || !errors.Is(err, kerr.InvalidTopicException) {
			t.Fatalf("error: %v", err)
		}
		if strings.Contains(err.Error(), string(good)) || !strings.Contains(err.Error(), string(bad)) || !strings.Contains(err.Error(), string(illegal)) {
			t.Errorf("error: %v", err)
		}
		if _, err := client.PartitionCount(timeout(t), good); err != nil {
			t.Errorf("the good one: %v", err)
		}
		if _, err := client.PartitionCount(timeout(t), bad); !errors.Is(err, ErrUnknownTopic) {
			t.Errorf("the bad one: %v", err)
		}
		if err := client.EnsureTopics(timeout(t), specs(good)); err != nil {
			t.Errorf("the good one: %v", err)
		}
	})
}

func TestEnsureTopicsRetries(t *testing.T) {
	for _, transient := range []*kerr.Error{kerr.NotController, kerr.RequestTimedOut, kerr.ThrottlingQuotaExceeded, kerr.LeaderNotAvailable} {
		t.Run(transient.Message, func(t *testing.T) {
			c := embedded(t)
			client := c.client(t)
			fault := c.embed.Fail(eventembed.Match{Requests: creation, Count: 2}, transient)
			if err := client.EnsureTopics(timeout(t), specs("t")); err != nil {
				t.Error(err)
			}
			if fault.Hits() == 0 {
				t.Error("the fault was not met")
			}
		})
	}
	t.Run("connection dropped", func(t *testing.T) {
		c := embedded(t)
		client := c.client(t)
		c.embed.Drop(eventembed.Match{Requests: creation, Count: 1})
		c.embed.DropResponse(eventembed.Match{Requests: creation, Count: 1})
		if err := client.EnsureTopics(timeout(t), specs("t")); err != nil {
			t.Error(err)
		}
	})
	t.Run("brokers away", func(t *testing.T) {
		c := embedded(t)
		client := c.client(t)
		if err := c.embed.Cut(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		defer cancel()
		err := client.EnsureTopics(ctx, specs("t"))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "read metadata at "+c.brokers[0]) {
			t.Errorf("while away: %v", err)
		}
		if err := c.embed.Restore(); err != nil {
			t.Fatal(err)
		}
		if err := client.EnsureTopics(timeout(t), specs("t")); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestEnsureTopicsRefused(t *testing.T) {
	c := embedded(t)
	client := c.client(t)
	fault := c.embed.Fail(eventembed.Match{Requests: creation, Topic: "secret"}, kerr.TopicAuthorizationFailed)
	for range 2 { // a failure is not kept
		err := client.EnsureTopics(timeout(t), specs("secret", "open"))
		var topic *TopicError
		if !errors.As(err, &topic) || topic.Topic != "secret" || !errors.Is(err, kerr.TopicAuthorizationFailed) {
			t.Fatalf("error: %v", err)
		}
	}
	fault.Remove()
	if err := client.EnsureTopics(timeout(t), specs("secret", "open")); err != nil {
		t.Error(err)
	}
}

func TestEnsureTopicsWaiterEndsItsOwnWait(t *testing.T) {
	c := embedded(t)
	client := c.client(t)
	stall := c.embed.Stall(eventembed.Match{Requests: creation})
	patient := make(chan error, 1)
	impatient, cancel := context.WithCancel(context.Background())
	left := make(chan error, 1)
	go func() { left <- client.EnsureTopics(impatient, specs("t")) }()
	if err := stall.Wait(timeout(t), 1); err != nil {
		t.Fatal(err)
	}
	go func() { patient <- client.EnsureTopics(timeout(t), specs("t")) }()
	eventually(t, "the second call waits, too", func() bool { return waiters(client.known.flights, "t") == 2 })
	cancel()
	if err := receive(t, "the first call's return", left); !errors.Is(err, context.Canceled) {
		t.Errorf("the first call: %v", err)
	}
	stall.Remove()
	if err := receive(t, "the second call's return", patient); err != nil {
		t.Errorf("the second call: %v", err)
	}
}

// Nobody waits any more, and the request never comes back: the next call
// begins anew.
func TestEnsureTopicsIsNotStuck(t *testing.T) {
	c := embedded(t)
	client := c.client(t)
	stall := c.embed.Stall(eventembed.Match{Requests: creation, Count: 1})
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan error, 1)
	go func() { left <- client.EnsureTopics(ctx, specs("t")) }()
	if err := stall.Wait(timeout(t), 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := receive(t, "the first call's return", left); !errors.Is(err, context.Canceled) {
		t.Errorf("the first call: %v", err)
	}
	if err := client.EnsureTopics(timeout(t), specs("t")); err != nil {
		t.Errorf("the second call: %v", err)
	}
	stall.Remove()
}

func TestForget(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 1, "max.message.bytes", "3000")
		client := c.client(t)
		if err := client.EnsureTopics(timeout(t), specs(topic)); err != nil {
			t.Fatal(err)
		}
		if limit, err := client.Limits(timeout(t), topic); err != nil || limit != 3000 {
			t.Fatalf("limit %d, %v", limit, err)
		}
		c.delete(t, topic)
		client.Forget(topic)
		if _, ok := client.CachedLimit(topic); ok {
			t.Error("the limit was not forgotten")
		}
		if err := client.EnsureTopics(timeout(t), []TopicSpec{{Topic: topic, Configs: map[string]string{"max.message.bytes": "4000"}}}); err != nil {
			t.Fatal(err)
		}
		if limit, err := client.Limits(timeout(t), topic); err != nil || limit != 4000 {
			t.Errorf("limit %d, %v", limit, err)
		}
	})
}

func TestClusterID(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		id, err := c.client(t).ClusterID(timeout(t))
		if err != nil || id == "" {
			t.Errorf("%q, %v", id, err)
		}
	})
}

func TestPingNobody(t *testing.T) {
	c := &cluster{brokers: []string{"127.0.0.1:1"}}
	if err := c.client(t).Ping(timeout(t)); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("error: %v", err)
	}
}

// waiters is how many callers wait for a topic.
func waiters[V any](f *flights[V], topic WireTopic) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.pending[topic]; l != nil {
		return l.flight.waiters
	}
	return 0
}

func TestTopics(t *testing.T) {
	onClusters(t, func(t *testing.T, c *cluster) {
		client := c.client(t)
		for range 3 { // what was just created is there
			topic := c.topic(t, 1)
			names, err := client.Topics(timeout(t))
			if err != nil || !slices.Contains(names, topic) || !slices.IsSorted(names) {
				t.Errorf("%v: %s is not among %d topics", err, topic, len(names))
			}
		}
		client.Close()
		if _, err := client.Topics(timeout(t)); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
