package eventembed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ownTimeout bounds what the Broker asks itself; it takes microseconds unless
// something is broken.
const ownTimeout = time.Minute

// Records reads all that a topic stores and a read-committed consumer would
// get, by partition and offset. No fault and no Cut touches the reading. The
// error wraps kerr.UnknownTopicOrPartition if there is no such topic.
func (b *Broker) Records(topic string) ([]*kgo.Record, error) {
	id, _ := b.TopicID(topic)
	partitions, err := b.Partitions(topic)
	if err != nil {
		return nil, err
	}
	var records []*kgo.Record
	for _, p := range partitions {
		read, err := b.readPartition(topic, id, p)
		if err != nil {
			return nil, fmt.Errorf("eventembed: read topic %s, partition %d: %w", topic, p.ID, err)
		}
		records = append(records, read...)
	}
	return records, nil
}

// readPartition reads from the start of p to its last stable offset.
func (b *Broker) readPartition(topic string, id TopicID, p Partition) ([]*kgo.Record, error) {
	var records []*kgo.Record
	for next, tries := p.Start, 0; next < p.Stable; {
		answer, err := b.fetch(topic, id, p, next)
		switch {
		case errors.Is(err, kerr.NotLeaderForPartition) && tries < 3:
			tries++
			if err := b.call(func() error { p.Leader = b.cluster.LeaderFor(topic, p.ID); return nil }); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		}
		read, after := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
			Offset:         next,
			IsolationLevel: kgo.ReadCommitted(),
			Topic:          topic,
			Partition:      p.ID,
		}, answer, kgo.DefaultDecompressor(), nil)
		if read.Err != nil {
			return nil, read.Err
		}
		records = append(records, read.Records...)
		if after <= next {
			return nil, fmt.Errorf("no progress at offset %d of %d", next, p.Stable)
		}
		next = after
	}
	return records, nil
}

// fetch asks the leader of p for what is stored from an offset on.
func (b *Broker) fetch(topic string, id TopicID, p Partition, from int64) (*kmsg.FetchResponseTopicPartition, error) {
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p.ID, from, 16<<20
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID = topic, id
	rt.Partitions = append(rt.Partitions, rp)
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.SessionEpoch, req.IsolationLevel = 16<<20, -1, 1
	req.Topics = append(req.Topics, rt)

	answer, err := b.askNode(p.Leader, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, errors.New("the answer is not about the partition")
	}
	partition := &resp.Topics[0].Partitions[0]
	return partition, kerr.ErrorForCode(partition.ErrorCode)
}

// ask sends a request to the node that it is for.
func (b *Broker) ask(req kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), ownTimeout)
	defer cancel()
	cl, err := b.ownClient()
	if err != nil {
		return nil, err
	}
	return cl.Request(ctx, req)
}

// askNode sends a request to a node.
func (b *Broker) askNode(node int32, req kmsg.Request) (resp kmsg.Response, err error) {
	err = b.call(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), ownTimeout)
		defer cancel()
		cl, err := b.ownClient()
		if err != nil {
			return err
		}
		resp, err = cl.SeedBrokers()[node].RetriableRequest(ctx, req)
		return err
	})
	return resp, err
}

// ownClient is the client with which the Broker asks itself what the cluster
// does not tell otherwise; it may be used inside call only.
func (b *Broker) ownClient() (*kgo.Client, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client != nil {
		return b.client, nil
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(b.addrs...),
		kgo.Dialer(func(ctx context.Context, _, address string) (net.Conn, error) {
			for _, l := range b.listeners {
				if l.addr.String() == address {
					return l.dial(ctx)
				}
			}
			return nil, fmt.Errorf("no node at %s", address)
		}),
	}
	cl, err := kgo.NewClient(append(opts, b.ownLogin()...)...)
	b.client = cl
	return cl, err
}
