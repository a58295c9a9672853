package eventembed

import (
	"encoding/binary"
	"maps"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchSessions remembers what the fetch sessions of a connection are about:
// an incremental fetch (KIP-227) names only what has changed since the last.
// A session that a client continues on another connection is not known there;
// franz-go, the Java client and librdkafka begin a new one.
type fetchSessions struct {
	partitions map[int32]map[topicPartition]struct{} // by session id
	beginning  map[int32]beginning                   // by correlation id
}

// beginning is a full fetch that waits to hear its session's id.
type beginning struct {
	version int16
	named   map[topicPartition]struct{}
}

// request notes a fetch request and completes what it names.
func (s *fetchSessions) request(req *request) {
	fetch, ok := req.body.(*kmsg.FetchRequest)
	if !ok || fetch.Version < 7 {
		return
	}
	if fetch.SessionEpoch <= 0 {
		delete(s.partitions, fetch.SessionID)
		if fetch.SessionEpoch == 0 {
			if s.beginning == nil {
				s.beginning = make(map[int32]beginning)
			}
			s.beginning[req.correlationID] = beginning{fetch.Version, maps.Clone(req.named.topics)}
		}
		return
	}
	known, ok := s.partitions[fetch.SessionID]
	if !ok {
		return
	}
	for gone := range req.forgotten {
		delete(known, gone)
	}
	maps.Copy(known, req.named.topics)
	// A topic is named as long as one of its partitions is.
	for tp := range known {
		if tp.partition != noPartition {
			known[topicPartition{tp.topic, noPartition}] = struct{}{}
		}
	}
	req.named.topics = maps.Clone(known)
}

// response notes the answer to a full fetch: the id of the session that it
// began. frame is the whole response.
func (s *fetchSessions) response(correlationID int32, frame []byte) {
	b, ok := s.beginning[correlationID]
	if !ok {
		return
	}
	delete(s.beginning, correlationID)
	// size, correlation id, [tags from version 12 on], throttle, error, session
	at := 4 + 4 + 4 + 2
	if b.version >= 12 {
		at++
	}
	if len(frame) < at+4 {
		return
	}
	id := int32(binary.BigEndian.Uint32(frame[at:]))
	if id == 0 {
		return
	}
	if s.partitions == nil {
		s.partitions = make(map[int32]map[topicPartition]struct{})
	}
	s.partitions[id] = b.named
}
