//go:build linux

package faultcampaign

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
	"github.com/seed46dd6f11/events/internal/faultcampaign/service"
)

// maxMessage is max.message.bytes of Orders.
const maxMessage = 2 << 20

// stream is what happens to the topics beside the service: another producer,
// and somebody who looks after them.
type stream struct {
	prefix  string
	history *history
	journal *service.Journal
	client  *kgo.Client
	admin   *kadm.Client
	brokers []string

	mu    sync.Mutex
	added map[string]bool // the ids of orders that the stream has written
}

func openStream(ctx context.Context, addresses []string, prefix string, h *history, j *service.Journal) (*stream, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(addresses...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchMaxBytes(maxMessage), kgo.MetadataMinAge(250*time.Millisecond))
	if err != nil {
		return nil, err
	}
	s := &stream{prefix: prefix, history: h, journal: j, client: client, admin: kadm.NewClient(client), brokers: addresses, added: map[string]bool{}}
	return s, s.createTopics(ctx)
}

func (s *stream) close() { s.client.Close() }

// createTopics makes the topics as the library would, and some different.
func (s *stream) createTopics(ctx context.Context) error {
	text := func(v any) *string { t := fmt.Sprint(v); return &t }
	for topic, more := range map[string]map[string]*string{
		service.Orders:   {"max.message.bytes": text(maxMessage)},
		service.Invoices: nil,
		service.Growing:  nil,
		// What has not been read after some seconds is gone.
		service.Brief: {"retention.ms": text(8000), "segment.bytes": text(1 << 20)},
	} {
		settings := map[string]*string{"min.insync.replicas": text(brokers - 1), "message.timestamp.type": text("LogAppendTime")}
		for name, value := range more {
			settings[name] = value
		}
		if _, err := s.admin.CreateTopic(ctx, 3, brokers, settings, s.prefix+topic); err != nil {
			return fmt.Errorf("create topic %s: %w", topic, err)
		}
	}
	s.journal.Write(checker.Trimmed{At: time.Now(), Topic: service.Brief})
	return nil
}

// record is one of an order that no transaction has written.
func (s *stream) record(topic string, pad int) *kgo.Record {
	order := service.Order{ID: uuid.New(), Key: "foreign", Pad: strings.Repeat("x", pad)}
	value, err := json.Marshal(order)
	if err != nil {
		panic(err) // a string and a number
	}
	return &kgo.Record{Topic: s.prefix + topic, Key: []byte(order.Key), Value: value}
}

// large writes an order almost as large as its topic takes.
func (s *stream) large(ctx context.Context) error {
	r := s.record(service.Orders, maxMessage-64<<10)
	var order service.Order
	if err := json.Unmarshal(r.Value, &order); err != nil {
		return err
	}
	s.mu.Lock()
	s.added[order.ID.String()] = true
	s.mu.Unlock()
	return s.client.ProduceSync(ctx, r).FirstErr()
}

// wrote says whether the stream has written the order.
func (s *stream) wrote(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.added[id]
}

// undecodable writes records that are no orders.
func (s *stream) undecodable(ctx context.Context) error {
	return s.client.ProduceSync(ctx,
		&kgo.Record{Topic: s.prefix + service.Orders, Key: []byte("raw"), Value: []byte("no order " + uuid.NewString())},
		&kgo.Record{Topic: s.prefix + service.Orders, Value: []byte(`{"id": ` + uuid.NewString())},
	).FirstErr()
}

// abort writes orders in a transaction of Kafka's and aborts it: nobody may see
// them.
func (s *stream) abort(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.TransactionalID(s.prefix+"foreign-"+uuid.NewString()), kgo.TransactionTimeout(30*time.Second))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	var records []*kgo.Record
	for range 30 {
		records = append(records, s.record(service.Orders, 0), s.record(service.Growing, 0))
	}
	produced := client.ProduceSync(ctx, records...).FirstErr()
	// A transaction whose end the brokers do not hear is aborted by them.
	if err := client.EndTransaction(ctx, kgo.TryAbort); err != nil {
		return err
	}
	return produced
}

// grow adds a partition to Growing.
func (s *stream) grow(ctx context.Context) error {
	topics, err := s.admin.ListTopics(ctx, s.prefix+service.Growing)
	if err != nil {
		return err
	}
	n := len(topics[s.prefix+service.Growing].Partitions) + 1
	s.journal.Write(checker.Grown{At: time.Now(), Topic: service.Growing, Partitions: int32(n)})
	responses, err := s.admin.CreatePartitions(ctx, 1, s.prefix+service.Growing)
	if err != nil {
		return err
	}
	return responses.Error()
}

// trim removes all that Brief has at the moment.
func (s *stream) trim(ctx context.Context) error {
	ends, err := s.admin.ListEndOffsets(ctx, s.prefix+service.Brief)
	if err != nil {
		return err
	}
	responses, err := s.admin.DeleteRecords(ctx, ends.Offsets())
	if err != nil {
		return err
	}
	return responses.Error()
}

// controller is the broker that leads the cluster's metadata, from 1. What
// brokers tell clients is another one each time.
func (s *stream) controller(ctx context.Context) (int, error) {
	request := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, s.client)
	if err != nil {
		return 0, err
	}
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return 0, err
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("the cluster has no metadata")
	}
	partition := response.Topics[0].Partitions[0]
	return int(partition.LeaderID), kerr.ErrorForCode(partition.ErrorCode)
}

// lag says what of their topics the groups have not committed, "" if they have
// committed all.
func (s *stream) lag(ctx context.Context) (behind string, err error) {
	var groups []string
	for group := range service.Groups {
		groups = append(groups, s.prefix+group)
	}
	lags, err := s.admin.Lag(ctx, groups...)
	if err != nil {
		return "", err
	}
	if err := lags.Error(); err != nil {
		return "", err
	}
	for group, topic := range service.Groups {
		described := lags[s.prefix+group]
		partitions := described.Lag[s.prefix+topic]
		if len(partitions) == 0 {
			return "", fmt.Errorf("group %s does not read %s", group, topic)
		}
		for _, of := range partitions {
			if of.Lag < 0 {
				return "", fmt.Errorf("the lag of %s is not known: %v", group, of.Err)
			}
			// What was removed before it was read does not count.
			if of.End.Offset > max(of.Commit.At, of.Start.Offset) {
				behind += fmt.Sprintf(" %s has committed %[2]s/%[3]d up to %[4]d, and there are %[5]d to %[6]d;", group, topic, of.Partition, of.Commit.At, of.Start.Offset, of.End.Offset)
			}
		}
	}
	return behind, nil
}
