package lanes

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// modelCluster is a naive Kafka: what it stores, what it knows of producers,
// and what is wrong with it at the moment.
type modelCluster struct {
	rnd *rand.Rand
	// byID: requests name topics by id, and a log that was never written
	// takes only sequence number 0.
	byID   bool
	topics map[string]*modelTopic
	nextID byte
	// rejected counts sequence errors.
	rejected int
}

type modelTopic struct {
	name      string
	id        topicID
	forbidden bool
	limit     int // of a batch, in rows
	parts     []*modelPartition
}

type modelPartition struct {
	leader, epoch int32
	fewReplicas   bool
	log           []written
	producers     map[int64]*modelProducer
}

type written struct {
	row *row
	id  Identity
}

type modelProducer struct {
	epoch  int16
	next   int32
	recent [][2]int32
}

// sent is a batch as it is in a request.
type sent struct {
	topic     string
	partition int32
	rows      []*row
	sealed    seal
}

func snapshot(r *request) []sent {
	var out []sent
	for _, b := range r.batches {
		out = append(out, sent{topic: b.lane.topic.name, partition: b.lane.partition, rows: slices.Clone(b.rows), sealed: b.sealed})
	}
	return out
}

func (c *modelCluster) create(name string, partitions, brokers int) *modelTopic {
	c.nextID++
	t := &modelTopic{name: name, limit: 1 << 30}
	t.id[0], t.id[15] = c.nextID, 1
	c.topics[name] = t
	t.grow(partitions, brokers, c.rnd)
	return t
}

func (t *modelTopic) grow(partitions, brokers int, rnd *rand.Rand) {
	for len(t.parts) < partitions {
		t.parts = append(t.parts, &modelPartition{leader: int32(rnd.IntN(brokers)), producers: make(map[int64]*modelProducer)})
	}
}

// info is what metadata say; nil for a topic that does not exist.
func (c *modelCluster) info(name string) *topicInfo {
	t := c.topics[name]
	if t == nil {
		return nil
	}
	info := &topicInfo{id: t.id}
	for _, p := range t.parts {
		info.partitions = append(info.partitions, partitionInfo{leader: p.leader, leaderEpoch: p.epoch})
	}
	return info
}

// produce is what a broker does with a batch.
func (c *modelCluster) produce(broker int32, s sent) answer {
	no := func(e *kerr.Error) answer {
		return answer{verdict: judge(e.Code), err: e, hint: partitionInfo{leader: noLeader}, answered: true, named: c.byID}
	}
	t := c.topics[s.topic]
	if c.byID && (t == nil || t.id != s.sealed.topic) {
		return no(kerr.UnknownTopicID)
	}
	if t == nil || int(s.partition) >= len(t.parts) {
		return no(kerr.UnknownTopicOrPartition)
	}
	p := t.parts[s.partition]
	switch {
	case t.forbidden:
		return no(kerr.TopicAuthorizationFailed)
	case p.leader != broker:
		a := no(kerr.NotLeaderForPartition)
		if c.rnd.IntN(2) == 0 {
			a.hint = partitionInfo{leader: p.leader, leaderEpoch: p.epoch}
		}
		return a
	case p.fewReplicas:
		return no(kerr.NotEnoughReplicas)
	case len(s.rows) > t.limit:
		return no(kerr.MessageTooLarge)
	}
	var bad []int32
	for i, r := range s.rows {
		if poisoned(r) {
			bad = append(bad, int32(i))
		}
	}
	if len(bad) > 0 {
		a := no(kerr.InvalidRecord)
		switch c.rnd.IntN(3) {
		case 0:
			a.bad = bad
		case 1:
			a = no(kerr.MessageTooLarge)
		}
		return a
	}
	if fail, done := p.check(s, c.byID); fail != nil {
		if fail != kerr.InvalidProducerEpoch {
			c.rejected++
		}
		return no(fail)
	} else if !done {
		for _, r := range s.rows {
			p.log = append(p.log, written{r, s.sealed.id})
		}
	}
	switch c.rnd.IntN(20) {
	case 0:
		return no(kerr.RequestTimedOut)
	case 1:
		return no(kerr.NotLeaderForPartition)
	}
	return answer{answered: true, named: c.byID, hint: partitionInfo{leader: noLeader}}
}

// check is the broker's check of producer, epoch and sequence; done says that
// the batch is stored already.
func (p *modelPartition) check(s sent, strict bool) (fail *kerr.Error, done bool) {
	id, seq, n := s.sealed.id, s.sealed.seq, int32(len(s.rows))
	state := p.producers[id.ProducerID]
	switch {
	case state == nil:
		if strict && seq != 0 {
			return kerr.OutOfOrderSequenceNumber, false
		}
		state = &modelProducer{epoch: id.Epoch}
		p.producers[id.ProducerID] = state
	case id.Epoch < state.epoch:
		return kerr.InvalidProducerEpoch, false
	case id.Epoch > state.epoch:
		if seq != 0 {
			return kerr.OutOfOrderSequenceNumber, false
		}
		*state = modelProducer{epoch: id.Epoch}
	case slices.Contains(state.recent, [2]int32{seq, n}):
		return nil, true
	case seq != state.next:
		return kerr.OutOfOrderSequenceNumber, false
	}
	state.next = seq + n
	state.recent = append(state.recent, [2]int32{seq, n})
	if len(state.recent) > 5 {
		state.recent = state.recent[1:]
	}
	return nil, false
}

// poisoned rows are those that the model's brokers refuse.
func poisoned(r *row) bool { return r.Payload == nil }

func (w written) String() string { return fmt.Sprintf("%s%d@%d", w.row.Key, w.row.Seq, w.id.Epoch) }
