package lanes

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// lookup asks for the metadata of topics. There is one at a time.
func (s *Sender) lookup(names []string) {
	defer s.wg.Done()
	limits := make(map[string]int, len(names))
	for _, name := range names {
		limits[name] = s.maxMessageBytes(name)
	}
	ctx, cancel := context.WithTimeout(s.lookups, s.cfg.RequestTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	for _, name := range names {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, s.cfg.Client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	s.turn(func() {
		if s.phase == stopping {
			return
		}
		s.m.looking = false
		answers := make(map[string]*kmsg.MetadataResponseTopic, len(names))
		if err == nil {
			for i := range resp.Topics {
				if t := &resp.Topics[i]; t.Topic != nil {
					answers[*t.Topic] = t
				}
			}
		}
		for _, name := range names {
			s.lookedUp(name, answers[name], limits[name], err)
		}
	})
}

// lookedUp tells the machine what metadata say about a topic: t, or nothing
// because of err.
func (s *Sender) lookedUp(name string, t *kmsg.MetadataResponseTopic, limit int, err error) {
	switch {
	case err != nil:
		s.m.missed(s.now, name, fmt.Errorf("look up its partitions: %w", err))
	case t == nil:
		s.m.missed(s.now, name, kerr.UnknownTopicOrPartition)
	case t.ErrorCode == kerr.UnknownTopicOrPartition.Code:
		s.m.unknown(s.now, name, kerr.UnknownTopicOrPartition)
	case t.ErrorCode == kerr.TopicAuthorizationFailed.Code, t.ErrorCode == kerr.InvalidTopicException.Code:
		s.m.forbidden(s.now, name, kerr.ErrorForCode(t.ErrorCode))
	case t.ErrorCode != 0:
		s.m.missed(s.now, name, kerr.ErrorForCode(t.ErrorCode))
	default:
		info := topicInfo{id: t.TopicID, partitions: make([]partitionInfo, len(t.Partitions)), limit: limit}
		for i := range t.Partitions {
			p := &t.Partitions[i]
			if p.Partition < 0 || int(p.Partition) >= len(info.partitions) {
				s.m.missed(s.now, name, fmt.Errorf("metadata lists partition %d among %d", p.Partition, len(t.Partitions)))
				return
			}
			leader := p.Leader
			if leader < 0 {
				leader = noLeader
			}
			info.partitions[p.Partition] = partitionInfo{leader: leader, leaderEpoch: p.LeaderEpoch}
		}
		s.m.found(s.now, name, info)
	}
}

// create runs EnsureTopic.
func (s *Sender) create(name string) {
	defer s.wg.Done()
	err := s.cfg.EnsureTopic(s.lookups, name)
	if err != nil {
		err = fmt.Errorf("create it: %w", err)
	}
	s.turn(func() {
		if s.phase != stopping {
			s.m.ensured(s.now, name, err)
		}
	})
}

// maxMessageBytes returns the cached limit of a topic.
func (s *Sender) maxMessageBytes(name string) int {
	if s.cfg.MaxMessageBytes != nil {
		if n := s.cfg.MaxMessageBytes(name); n > 0 {
			return n
		}
	}
	return defaultMaxMessageBytes
}
