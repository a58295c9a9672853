package eventtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// cluster is how a test looks at the brokers, and writes to them, beside the
// Library: as other programs do.
type cluster struct {
	t      *testing.T
	prefix string
	kgo    *kgo.Client
	adm    *kadm.Client
}

func (w *world[ID, TX, DB]) cluster(opts ...kgo.Opt) *cluster {
	w.t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(w.h.Brokers...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(100 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	return &cluster{t: w.t, prefix: w.prefix, kgo: client, adm: kadm.NewClient(client)}
}

// within is a context for one request.
func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// must fails the test if err is not nil.
func (c *cluster) must(what string, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
}

// create makes a topic before the Library does, and waits until it is there.
func (c *cluster) create(topic string, partitions int32, configs map[string]*string) {
	c.t.Helper()
	ctx, cancel := within()
	defer cancel()
	_, err := c.adm.CreateTopic(ctx, partitions, 1, configs, c.prefix+topic)
	c.must("create topic", err)
	eventually(c.t, "the topic to be there", func() bool { return len(c.leaders(topic)) == int(partitions) })
}

// leaders is the partitions that can be written to.
func (c *cluster) leaders(topic string) (partitions []int32) {
	c.t.Helper()
	ctx, cancel := within()
	defer cancel()
	details, err := c.adm.ListTopics(ctx, c.prefix+topic)
	c.must("list topics", err)
	for _, p := range details[c.prefix+topic].Partitions {
		if p.Err == nil && p.Leader >= 0 {
			partitions = append(partitions, p.Partition)
		}
	}
	return partitions
}

// remove deletes a topic.
func (c *cluster) remove(topic string) {
	c.t.Helper()
	ctx, cancel := within()
	defer cancel()
	_, err := c.adm.DeleteTopic(ctx, c.prefix+topic)
	c.must("delete topic", err)
}

// send writes a record as it is; its Topic is without prefix.
func (c *cluster) send(r kgo.Record) *kgo.Record {
	c.t.Helper()
	ctx, cancel := within()
	defer cancel()
	r.Topic = c.prefix + r.Topic
	c.must("produce", c.kgo.ProduceSync(ctx, &r).FirstErr())
	return &r
}

// ends is where the next records go, by partition; transaction markers count.
func (c *cluster) ends(topic string) map[int32]int64 {
	c.t.Helper()
	ctx, cancel := within()
	defer cancel()
	listed, err := c.adm.ListEndOffsets(ctx, c.prefix+topic)
	c.must("list end offsets", err)
	ends := make(map[int32]int64)
	listed.Each(func(o kadm.ListedOffset) {
		c.must("end offset", o.Err)
		ends[o.Partition] = o.Offset
	})
	return ends
}

// committed is what a group has committed, by partition; those of which it has
// committed nothing are left out.
func (c *cluster) committed(group, topic string) map[int32]int64 {
	c.t.Helper()
	ctx, cancel := within()
	defer cancel()
	fetched, err := c.adm.FetchOffsets(ctx, c.prefix+group)
	committed := make(map[int32]int64)
	if err != nil {
		return committed // the group does not exist, or its coordinator is not found yet
	}
	fetched.Each(func(o kadm.OffsetResponse) {
		if o.Topic == c.prefix+topic && o.Err == nil && o.At >= 0 {
			committed[o.Partition] = o.At
		}
	})
	return committed
}

// lag is what a group has not committed, all partitions together.
func (c *cluster) lag(group, topic string) (lag int64) {
	c.t.Helper()
	committed := c.committed(group, topic)
	for p, end := range c.ends(topic) {
		lag += end - committed[p]
	}
	return lag
}

// awaitNoLag waits until a group has committed all of a topic.
func (c *cluster) awaitNoLag(group string, topics ...string) {
	c.t.Helper()
	for _, topic := range topics {
		eventually(c.t, fmt.Sprintf("group %s to commit all of %s", group, topic), func() bool { return c.lag(group, topic) == 0 })
	}
}

// awaitCommitted waits until a group has committed an offset, and no more.
func (c *cluster) awaitCommitted(group, topic string, partition int32, offset int64) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("group %s to commit %s/%d up to %d", group, topic, partition, offset), func() bool {
		at, ok := c.committed(group, topic)[partition]
		if at > offset {
			c.t.Fatalf("group %s has committed %s/%d up to %d, not %d", group, topic, partition, at, offset)
		}
		return ok && at == offset || !ok && offset == 0
	})
}

// records reads what a topic has now, without what is not committed, by partition
// and offset. A topic that does not exist has nothing.
func (c *cluster) records(topic string) (records []*kgo.Record) {
	c.t.Helper()
	ends := make(map[int32]int64)
	starts := make(map[int32]kgo.Offset)
	ctx, cancel := within()
	defer cancel()
	listed, err := c.adm.ListCommittedOffsets(ctx, c.prefix+topic)
	c.must("list offsets", err)
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err == nil && o.Offset > 0 {
			ends[o.Partition], starts[o.Partition] = o.Offset, kgo.NewOffset().AtStart()
		}
	})
	if len(ends) == 0 {
		return nil
	}
	reader, err := kgo.NewClient(append(c.kgo.Opts(), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.prefix + topic: starts}))...)
	c.must("read", err)
	defer reader.Close()
	for len(ends) > 0 {
		fetches := reader.PollFetches(ctx)
		c.must("read", fetches.Err0())
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
			if r.Offset+1 >= ends[r.Partition] {
				delete(ends, r.Partition)
			}
		})
	}
	slices.SortStableFunc(records, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return records
}
