package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// maxRequest is the largest record that fits into a request: a broker's
// socket.request.max.bytes is 100 MiB by default, as is franz-go's limit.
const maxRequest = 99 << 20

// producing are the options of the immediate producer. It writes at once
// (without linger), waits for all in-sync replicas and is idempotent, which is
// franz-go's default; keys go to the partition that Java's default partitioner
// picks, records without a key to one partition after the other.
//
// There is no limit on how long or how often a record is tried: the caller's
// ctx is the limit. What franz-go would give up by itself is a topic that it
// cannot find in five looks.
func (c *Client) producing() []kgo.Opt {
	codecs, _ := c.cfg.Compression.codecs() // validated
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(partitioner{kgo.StickyKeyPartitioner(nil)}),
		kgo.ProducerBatchCompression(codecs...),
		kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(c.cfg.MaxBufferedRecords),
		kgo.MaxBufferedBytes(c.cfg.MaxBufferedBytes),
		kgo.ProducerBatchMaxBytesFn(c.batchLimit),
	}
}

// batchLimit is how large franz-go makes batches of a topic. It asks when it
// first sees the topic, and Produce has read the limit by then.
//
// franz-go counts the length that stands before a batch in the request, which
// is not the batch's: a uvarint, or, as long as it does not know the version of
// produce requests that the broker speaks, 4 bytes. See [purger.slack].
func (c *Client) batchLimit(topic string) int32 {
	limit := DefaultMaxMessageBytes
	if c.limit != nil { // nil while the client is made
		if v, ok := c.CachedLimit(WireTopic(topic)); ok {
			limit = max(512, min(v, maxRequest))
		}
	}
	if c.purge.hasSlack(WireTopic(topic)) {
		return int32(limit + longPrefix)
	}
	return int32(limit + prefixSize(limit))
}

const longPrefix = 4

// prefixSize is the size of the uvarint before a batch.
func prefixSize(batch int) int { return (bits.Len(uint(batch+1)) + 6) / 7 }

// Produce writes the records and returns when the brokers have acknowledged
// all of them. The error is a [ProduceError] that names every record that was
// not acknowledged; the others were. A record that is larger than its topic
// allows is refused with a [TooBigError] without being sent.
//
// ctx is the only limit: while the brokers are away, Produce waits. When ctx
// ends it returns at once; records that had been sent by then may be written
// all the same, and none may be changed afterwards.
//
// Records of one call that have the same partition are written in their order.
func (c *Client) Produce(ctx context.Context, records []*Record) error {
	p := &production{client: c, ctx: ctx, records: records}
	p.errs, p.pending = p.oneErr[:], p.onePending[:]
	if len(records) != 1 {
		p.errs, p.pending = make([]error, len(records)), make([]int, len(records))
	}
	pending := p.pending
	for i := range records {
		pending[i] = i
	}
	for attempt := 1; len(pending) > 0; attempt++ {
		pending = p.attempt(pending, attempt)
	}
	return p.result()
}

// production is one call of Produce.
type production struct {
	client  *Client
	ctx     context.Context
	records []*Record
	errs    []error // the result of each record; nil is acknowledged
	pending []int   // memory for the records that have no result

	// Memory for a single record, of which most calls are.
	oneErr     [1]error
	onePending [1]int
}

// attempts bounds how often a record is handed to franz-go again after its topic
// was forgotten.
const attempts = 5

// attempt hands the records over, waits for their results, and returns those
// that should be handed over again.
func (p *production) attempt(pending []int, attempt int) []int {
	pending = p.check(pending)
	if len(pending) == 0 {
		return nil
	}
	c := p.client
	rounds := make(rounds, 0, 1)
	for _, i := range pending {
		t := WireTopic(p.records[i].Topic)
		if _, ok := rounds.of(t); !ok {
			rounds = append(rounds, topicRound{t, c.purge.round(p.ctx, t)})
		}
	}
	results := p.handOver(pending)

	var again []int
	for n, i := range pending {
		err := results[n]
		round, _ := rounds.of(WireTopic(p.records[i].Topic))
		if err == nil || p.ctx.Err() != nil || !c.purge.retry(failure{c, p.records[i], round, attempt, err}) {
			p.errs[i] = err
			continue
		}
		again = append(again, i)
	}
	return again
}

// check settles the records that cannot be sent, and returns the others.
func (p *production) check(pending []int) []int {
	sendable := pending[:0]
	for _, i := range pending {
		r := p.records[i]
		limit, err := p.client.Limits(p.ctx, WireTopic(r.Topic))
		if err == nil {
			err = checkSize(r, min(limit, maxRequest, p.client.cfg.MaxBufferedBytes))
		}
		if err != nil {
			p.errs[i] = err
			continue
		}
		sendable = append(sendable, i)
	}
	return sendable
}

// handOver gives the records to franz-go, all at once, and waits for their
// results or for the end of ctx.
func (p *production) handOver(pending []int) []error {
	h := &handover{left: len(pending), done: make(chan struct{})}
	if h.results = h.one[:]; len(pending) != 1 {
		h.results = make([]error, len(pending))
	}
	for n := range h.results {
		h.results[n] = errPending
	}
	for n, i := range pending {
		p.client.kgo.Produce(p.ctx, p.records[i], func(_ *Record, err error) { h.settle(n, err) })
	}
	select {
	case <-h.done:
		return h.results
	case <-p.ctx.Done():
	}
	// franz-go has the same ctx and soon ends what it has not sent, and the
	// rest when the broker answers. Nobody waits for it.
	results := h.abandon()
	for n := range results {
		if results[n] == errPending {
			results[n] = p.ctx.Err()
		}
	}
	return results
}

// handover collects the results of records. franz-go may still settle some when
// nobody waits any more.
type handover struct {
	mu      sync.Mutex
	results []error // nil when abandoned
	left    int
	done    chan struct{}
	one     [1]error // memory of results for a single record
}

func (h *handover) settle(n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.results != nil {
		h.results[n] = err
	}
	h.left--
	if h.left == 0 {
		close(h.done)
	}
}

func (h *handover) abandon() []error {
	h.mu.Lock()
	defer h.mu.Unlock()
	results := h.results
	h.results = nil
	return results
}

// errPending is the result of a record that has none yet.
var errPending = errors.New("pending")

// result is the call's error.
func (p *production) result() error {
	var failed []RecordError
	for i, err := range p.errs {
		if err == nil {
			continue
		}
		r := p.records[i]
		switch {
		case errors.Is(err, kgo.ErrClientClosed):
			err = ErrClosed
		case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
			err = fmt.Errorf("%w: %w", ErrUnknownTopic, err)
		case errors.Is(err, kerr.MessageTooLarge):
			limit, _ := p.client.CachedLimit(WireTopic(r.Topic))
			err = fmt.Errorf("%w: %w", &TooBigError{Topic: WireTopic(r.Topic), Key: r.Key, Size: RecordSize(r), Limit: limit}, err)
		}
		failed = append(failed, RecordError{Index: i, Topic: WireTopic(r.Topic), Key: r.Key, Err: err})
	}
	if len(failed) == 0 {
		return nil
	}
	return &ProduceError{Failed: failed}
}
