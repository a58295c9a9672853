package eventembed

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxTopicName is how long a topic's name can be in Kafka.
const maxTopicName = 249

// legalTopic says whether Kafka accepts a topic's name. The cluster accepts
// any.
func legalTopic(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > maxTopicName {
		return false
	}
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
		default:
			return false
		}
	}
	return true
}

// refuseIllegal sees to it that the cluster refuses the topics of a request
// whose names Kafka refuses.
func (b *Broker) refuseIllegal(req *request) {
	for tp := range req.named.topics {
		if legalTopic(tp.topic) {
			continue
		}
		if _, known := b.illegal.LoadOrStore(tp.topic, true); known {
			continue
		}
		b.cluster.Fault(kfake.Fault{
			Keys:  []kmsg.Key{kmsg.CreateTopics, kmsg.Metadata},
			Topic: tp.topic,
			Err:   kerr.InvalidTopicException,
			Count: -1,
		})
	}
}

// topicName is the name of the topic with an id, "" if there is none.
func (b *Broker) topicName(id [16]byte) string {
	if name, ok := b.names.Load(id); ok {
		return name.(string)
	}
	var name string
	_ = b.call(func() error { // a closed broker knows no topics
		if info := b.cluster.TopicIDInfo(id); info != nil {
			name = info.Topic
			b.names.Store(id, name)
		}
		return nil
	})
	return name
}
