package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// LogRange is a part of a partition's log.
type LogRange struct {
	TopicPartition
	// From is the first offset, To the one after the last. What is not in the
	// log is left out on both sides.
	From, To int64
	// MaxBytes is how much of the log is asked for at once, before it is
	// decompressed; a batch that is larger is read alone. Default 1 MiB.
	MaxBytes int32
}

// Len is how many offsets the range has, of which not all need to be records.
func (r LogRange) Len() int64 { return max(0, r.To-r.From) }

// Chunk is what was read of a range at once: the committed records of [From,
// Next). Chunks follow each other without overlap. If one begins above the end
// of the last, or the first above the beginning of the range, then retention
// has removed what was between. Records may be empty.
type Chunk struct {
	From, Next int64
	Records    []*Record
}

// LogRanges is what can be read of each partition now: from the first record
// that is there to where a reader of committed records comes to the end.
// Topics that do not exist are left out.
func (c *Client) LogRanges(ctx context.Context, topics []WireTopic) (map[TopicPartition]LogRange, error) {
	ranges := make(map[TopicPartition]LogRange)
	if len(topics) == 0 {
		return ranges, nil // no topics would mean all of them
	}
	starts, err := list(ctx, c.adm.ListStartOffsets, topics)
	if err != nil {
		return nil, c.cfg.explain("read start offsets", err)
	}
	ends, err := c.EndOffsets(ctx, topics)
	if err != nil {
		return nil, err
	}
	for tp, end := range ends {
		if start, ok := starts[tp]; ok {
			ranges[tp] = LogRange{TopicPartition: tp, From: start.At, To: max(start.At, end)}
		}
	}
	return ranges, nil
}

// Read reads a range's committed records, in order, a chunk at a time; nothing
// is fetched ahead, so one chunk is what it needs of memory. It ends at r.To,
// although there may be no record just before it, or at the log's end if that
// comes first. The chunk's records may be kept.
//
// Reading needs no group and changes nothing. What can pass, as a leader that
// moves or brokers that are away, is tried again until ctx ends. The error is
// the last thing that is yielded; it is a [TopicError] with [ErrUnknownTopic]
// if the topic does not exist or was created anew meanwhile.
func (c *Client) Read(ctx context.Context, r LogRange) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		s := &scan{client: c, LogRange: r, next: max(0, r.From), leader: -1}
		if s.MaxBytes < 1 {
			s.MaxBytes = defaultChunk
		}
		for s.next < s.To {
			chunk, err := s.chunk(ctx)
			if err != nil {
				yield(Chunk{}, c.cfg.explain("read "+s.String(), err))
				return
			}
			if chunk.From < chunk.Next && !yield(chunk, nil) {
				return
			}
		}
	}
}

// ErrEndsEarly says that a log has ended below where it did when it was asked.
// A leader that has just been elected may not know yet how much of its log is
// committed, and shows less of it for a moment; or the end of the log is lost.
var ErrEndsEarly = errors.New("the log ends before where it did a moment ago; try again")

// Whole is what [Client.Read] yields of a range all of which is known to be in the
// log, with [ErrEndsEarly] behind it if that ended before. It is for those who
// draw conclusions from what is not there.
func Whole(r LogRange, read iter.Seq2[Chunk, error]) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		next := r.From
		for chunk, err := range read {
			if !yield(chunk, err) || err != nil {
				return
			}
			next = chunk.Next
		}
		if next < r.To {
			yield(Chunk{}, fmt.Errorf("read %s up to %d, reached %d: %w", r, r.To, next, ErrEndsEarly))
		}
	}
}

const (
	defaultChunk = 1 << 20
	// emptyAnswers is how many answers without a record, though the log goes
	// on, it takes to believe that there is a hole up to the log's end. Brokers
	// also answer so when a quota is exceeded or remote storage is slow.
	emptyAnswers = 5
)

// scan is one reading of a range. It is used by one goroutine.
type scan struct {
	client *Client
	LogRange
	next int64 // the offset to fetch

	leader int32 // -1: to be looked up
	epoch  int32 // the leader's
	id     [16]byte
	known  bool // id is
	empty  int  // answers without anything, one after the other
}

// chunk fetches until it has moved on or has come to the log's end, which ends
// the scan.
func (s *scan) chunk(ctx context.Context) (Chunk, error) {
	for wait := (pause{}); ; wait.next(ctx) {
		chunk, moved, err := s.try(ctx)
		switch {
		case moved:
			s.empty = 0
			return chunk, nil
		case ctx.Err() != nil:
			return Chunk{}, errors.Join(ctx.Err(), err)
		case s.client.kgo.Context().Err() != nil:
			return Chunk{}, ErrClosed // requests fail in various ways
		case err == nil:
			// a long poll that has found nothing yet
		case final(err), errors.Is(err, ErrUnknownTopic), errors.Is(err, errBatch):
			return Chunk{}, err
		default:
			s.leader = -1
		}
	}
}

// errBatch says that what a broker has sent cannot be read.
var errBatch = errors.New("the log cannot be read")

// try makes one attempt. moved says that s.next has changed.
func (s *scan) try(ctx context.Context) (chunk Chunk, moved bool, err error) {
	if s.leader < 0 {
		if err := s.lookUp(ctx); err != nil {
			return Chunk{}, false, err
		}
	}
	answer, err := s.fetch(ctx)
	if err != nil {
		return Chunk{}, false, err
	}
	switch err := kerr.ErrorForCode(answer.ErrorCode); {
	case errors.Is(err, kerr.OffsetOutOfRange):
		return s.outOfRange(ctx)
	case err != nil:
		return Chunk{}, false, err
	}
	if len(answer.RecordBatches) == 0 {
		return s.nothing(answer)
	}
	return s.take(answer)
}

// take reads the batches of an answer.
func (s *scan) take(answer *kmsg.FetchResponseTopicPartition) (chunk Chunk, moved bool, err error) {
	answer.RecordBatches = batchesBelow(answer.RecordBatches, s.To)
	read, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: s.next, IsolationLevel: kgo.ReadCommitted(), Topic: string(s.Topic), Partition: s.Partition,
	}, answer, kgo.DefaultDecompressor(), nil)
	if next <= s.next {
		// One whole batch at least is in every answer that has any, so this
		// one is broken.
		if read.Err == nil {
			read.Err = errors.New("the answer has no whole batch")
		}
		return Chunk{}, false, fmt.Errorf("%w at offset %d: %w", errBatch, s.next, read.Err)
	}
	// An error after the first batch shows again, as the first, in the next
	// attempt.
	records := read.Records
	if i := slices.IndexFunc(records, func(r *Record) bool { return r.Offset >= s.To }); i >= 0 {
		clear(records[i:])
		records = records[:i]
	}
	chunk = Chunk{From: s.next, Next: min(next, s.To), Records: records}
	s.next = chunk.Next
	return chunk, true, nil
}

// batchesBelow leaves out the batches that begin at an offset or above, so that
// they are not decompressed for nothing. The first batch always stays. What is
// older than format 2 is left as it is: its first offset is its last record's.
func batchesBelow(raw []byte, to int64) []byte {
	const lengthEnd, magicAt, format = 12, 16, 2
	for at := 0; len(raw)-at > magicAt; {
		length := int64(int32(binary.BigEndian.Uint32(raw[at+8:])))
		if raw[at+magicAt] != format || length < 0 || length > int64(len(raw)-at-lengthEnd) {
			return raw
		}
		if at > 0 && int64(binary.BigEndian.Uint64(raw[at:])) >= to {
			return raw[:at]
		}
		at += lengthEnd + int(length)
	}
	return raw
}

// nothing is an answer without records: the log's end has been reached, or
// there is none between here and there.
func (s *scan) nothing(answer *kmsg.FetchResponseTopicPartition) (Chunk, bool, error) {
	end := answer.LastStableOffset
	if end < 0 {
		end = answer.HighWatermark
	}
	if s.empty++; end > s.next && s.empty < emptyAnswers {
		return Chunk{}, false, nil
	}
	chunk := Chunk{From: s.next, Next: max(s.next, min(s.To, end))}
	s.next = s.To
	return chunk, true, nil
}

// outOfRange moves to the log's start if what was to be read is gone, and ends
// the scan if it is above the log's end.
func (s *scan) outOfRange(ctx context.Context) (Chunk, bool, error) {
	ranges, err := s.client.LogRanges(ctx, []WireTopic{s.Topic})
	if err != nil {
		return Chunk{}, false, err
	}
	there, ok := ranges[s.TopicPartition]
	switch {
	case !ok:
		return Chunk{}, false, &TopicError{Topic: s.Topic, Op: "read", Err: ErrUnknownTopic}
	case s.next < there.From:
		s.next = there.From
	case s.next >= there.To:
		s.next = s.To
	default:
		// It has come into range between the two requests: an election.
		return Chunk{}, false, fmt.Errorf("offset %d was out of range", s.next)
	}
	return Chunk{}, true, nil
}

// lookUp finds the partition's leader.
func (s *scan) lookUp(ctx context.Context) error {
	resp, err := s.client.metadata(ctx, s.Topic)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		if t.Topic == nil || *t.Topic != string(s.Topic) {
			continue
		}
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			return &TopicError{Topic: s.Topic, Op: "read", Err: ErrUnknownTopic}
		case err != nil:
			return &TopicError{Topic: s.Topic, Op: "read", Err: err}
		case s.known && s.id != t.TopicID:
			return &TopicError{Topic: s.Topic, Op: "read", Err: errReplacedTopic}
		}
		s.id, s.known = t.TopicID, true
		for _, p := range t.Partitions {
			if p.Partition != s.Partition {
				continue
			}
			if p.Leader < 0 {
				return kerr.LeaderNotAvailable
			}
			s.leader, s.epoch = p.Leader, p.LeaderEpoch
			return nil
		}
		return &TopicError{Topic: s.Topic, Op: "read", Err: noPartition(s.Partition)}
	}
	return kerr.LeaderNotAvailable
}

// fetch asks the leader for what comes next.
func (s *scan) fetch(ctx context.Context) (*kmsg.FetchResponseTopicPartition, error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = int32(s.client.cfg.FetchMaxWait.Milliseconds())
	req.MinBytes = 1
	req.IsolationLevel = 1 // committed
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = string(s.Topic), s.id // brokers read one or the other
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition = s.Partition
	part.CurrentLeaderEpoch = s.epoch
	part.FetchOffset = s.next
	part.PartitionMaxBytes = s.MaxBytes
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)

	answer, err := s.client.kgo.Broker(int(s.leader)).Request(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			if p := &resp.Topics[i].Partitions[j]; p.Partition == s.Partition {
				return p, nil
			}
		}
	}
	return nil, fmt.Errorf("the broker %d has answered without the partition", s.leader)
}
