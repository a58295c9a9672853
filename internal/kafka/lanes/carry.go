package lanes

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed46dd6f11/events/internal/recordbatch"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// errNoAnswer is the error of a batch that an answer leaves out.
var errNoAnswer = errors.New("the broker's answer does not mention the partition")

// carry takes a request to its broker and comes back with the answers.
func (s *Sender) carry(r *request) {
	defer s.wg.Done()
	answers := make([]answer, len(r.batches))
	for i := range answers {
		answers[i].hint.leader, answers[i].offset = noLeader, -1
	}
	s.exchange(r, answers)
	for i, b := range r.batches {
		if answers[i].outcome == tooLarge {
			answers[i].limit = s.maxMessageBytes(b.lane.topic.name)
		}
		if b.encoded != nil {
			answers[i].size = len(b.encoded.bytes)
		}
	}
	s.mu.Lock()
	s.now = time.Now()
	s.m.answered(s.now, r, answers)
	s.report()
	// Not claimed before: however long a report takes, what others send starts
	// what there is to be done, for all brokers.
	starts := s.m.eager() && s.claim()
	s.mu.Unlock()
	if starts { // after those who wait for the answers have sent more
		s.start()
	}
}

// exchange sends a request and fills in the answers.
func (s *Sender) exchange(r *request, answers []answer) {
	req := kmsg.NewPtrProduceRequest()
	req.Acks = -1
	req.TimeoutMillis = int32(r.timeout.Milliseconds())
	sent := 0
	for i, b := range r.batches {
		if err := s.encode(b); err != nil {
			answers[i].verdict, answers[i].err = verdict{outcome: refused}, err
			if errors.Is(err, kerr.MessageTooLarge) {
				answers[i].outcome = tooLarge
			}
			continue
		}
		t := b.lane.topic
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != t.name {
			rt := kmsg.NewProduceRequestTopic()
			rt.Topic, rt.TopicID = t.name, b.sealed.topic
			req.Topics = append(req.Topics, rt)
		}
		rt := &req.Topics[len(req.Topics)-1]
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Partition, rp.Records = b.lane.partition, b.encoded.bytes
		rt.Partitions = append(rt.Partitions, rp)
		answers[i].verdict, answers[i].err = verdict{outcome: retry, uncertain: true}, errNoAnswer
		sent++
	}
	if sent == 0 {
		return
	}
	kresp, err := s.cfg.Client.Broker(int(r.leader)).Request(s.ctx, req)
	if err != nil {
		err = fmt.Errorf("broker %d: %w", r.leader, err)
		for i, b := range r.batches {
			if answers[i].err == errNoAnswer {
				b.encoded.lent = true
				answers[i].verdict, answers[i].err = judgeTransport(err), err
			}
		}
		return
	}
	read(r, kresp.(*kmsg.ProduceResponse), answers)
}

// read fills in what a response says. Its topics and partitions come in any
// order, but mostly in that of the request.
func read(r *request, resp *kmsg.ProduceResponse, answers []answer) {
	named := resp.Version >= 13
	next := 0
	for i := range resp.Topics {
		rt := &resp.Topics[i]
		for j := range rt.Partitions {
			rp := &rt.Partitions[j]
			for range r.batches {
				at := next
				next = (next + 1) % len(r.batches)
				b := r.batches[at]
				if b.lane.partition != rp.Partition || named && b.sealed.topic != rt.TopicID || !named && b.lane.topic.name != rt.Topic {
					continue
				}
				a := &answers[at]
				a.verdict, a.err, a.named = judge(rp.ErrorCode), kerr.ErrorForCode(rp.ErrorCode), named
				a.answered, a.offset = true, rp.BaseOffset
				a.hint = partitionInfo{leader: rp.CurrentLeader.LeaderID, leaderEpoch: rp.CurrentLeader.LeaderEpoch}
				if rp.ErrorMessage != nil {
					a.reason = *rp.ErrorMessage
				}
				for _, bad := range rp.ErrorRecords {
					a.bad = append(a.bad, bad.RelativeOffset)
					if a.reason == "" && bad.ErrorMessage != nil {
						a.reason = *bad.ErrorMessage
					}
				}
				break
			}
		}
	}
}

// encode makes a batch's bytes. What no broker takes is refused here: a request
// above its limit would cost the connection, and never be answered.
func (s *Sender) encode(b *batch) error {
	err := b.encode(s.cfg.Compression)
	if errors.Is(err, recordbatch.ErrTooLarge) {
		return fmt.Errorf("%w: %w", kerr.MessageTooLarge, err)
	}
	if err == nil && len(b.encoded.bytes) > s.maxRequest {
		return fmt.Errorf("%w: requests are limited to %d bytes", kerr.MessageTooLarge, s.maxRequest)
	}
	return err
}

// requestOverhead is more than a request with one batch has around it.
const requestOverhead = 4 << 10

// maxRequestOf returns how large a batch the client lets a request be: what it
// was told of the brokers' socket.request.max.bytes, 100 MiB by default.
func maxRequestOf(client *kgo.Client) int {
	if n, ok := client.OptValue(kgo.BrokerMaxWriteBytes).(int32); ok {
		return int(n) - requestOverhead
	}
	return 100<<20 - requestOverhead
}
