package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
)

// TooBigError says that a record is larger than its topic's max.message.bytes.
type TooBigError struct {
	Topic WireTopic
	Key   []byte // may be nil
	Size  int    // what the record takes as a batch of its own, before compression
	Limit int    // the topic's max.message.bytes
}

func (e *TooBigError) Error() string {
	return fmt.Sprintf("kafka: record with key %s is too big for topic %q: %d bytes, max.message.bytes is %d",
		quoteKey(e.Key), string(e.Topic), e.Size, e.Limit)
}

// Is makes errors.Is(err, ErrTooBig) true.
func (e *TooBigError) Is(target error) bool { return target == ErrTooBig }

// ProduceError says which records of one call were not acknowledged, in the
// order of the call. All others were. errors.Is and errors.As look into each.
type ProduceError struct {
	Failed []RecordError
}

// RecordError is why one record was not acknowledged.
type RecordError struct {
	Index int // in the call
	Topic WireTopic
	Key   []byte // may be nil
	Err   error
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("produce to topic %q with key %s: %v", string(e.Topic), quoteKey(e.Key), e.Err)
}

func (e *RecordError) Unwrap() error { return e.Err }

func (e *ProduceError) Error() string {
	var b strings.Builder
	b.WriteString("kafka: ")
	for i := range e.Failed {
		if i == maxListed {
			fmt.Fprintf(&b, "; and %d more", len(e.Failed)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(e.Failed[i].Error())
	}
	return b.String()
}

func (e *ProduceError) Unwrap() []error {
	errs := make([]error, len(e.Failed))
	for i := range e.Failed {
		errs[i] = &e.Failed[i]
	}
	return errs
}

// maxKey is how many bytes of a key an error shows.
const maxKey = 64

// quoteKey makes a key readable, whatever its bytes are.
func quoteKey(key []byte) string {
	switch {
	case key == nil:
		return "(none)"
	case len(key) > maxKey:
		return strconv.Quote(string(key[:maxKey])) + "..."
	}
	return strconv.Quote(string(key))
}

// result is the call's error.
func (p *producer) result(ctx context.Context, k *call) error {
	for i, r := range k.placed {
		r.Offset = k.offsets[i]
	}
	if !k.failed {
		return nil
	}
	var failed []RecordError
	e := explanation{client: p.client, limits: make(map[WireTopic]int)}
	for i, err := range k.errs {
		if err != nil {
			row := &k.rows[i]
			failed = append(failed, RecordError{Index: i, Topic: WireTopic(row.Topic), Key: row.Key, Err: e.of(ctx, row, err)})
		}
	}
	return &ProduceError{Failed: failed}
}

// explanation says what the sender says about the rows of a call in this package's
// words, and forgets what was known of a topic that is not as it was.
type explanation struct {
	client *Client
	// limits are those of the topics that have turned out to have others.
	limits map[WireTopic]int
}

func (e *explanation) of(ctx context.Context, row *eventmodels.OutboxRow, err error) error {
	topic := WireTopic(row.Topic)
	var tooLarge *lanes.TooLargeError
	var refused *lanes.RefusedError
	var held *lanes.HeldError
	switch {
	case errors.As(err, &tooLarge):
		return fmt.Errorf("%w: %w", &TooBigError{Topic: topic, Key: row.Key, Size: sizeOf(row), Limit: e.limit(ctx, topic, tooLarge.Limit)}, tooLarge.Err)
	case errors.As(err, &refused) && errors.Is(err, lanes.ErrNoPartition):
		e.client.Forget(topic)
		return noPartition(refused.Partition)
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		e.client.Forget(topic) // so that it can be created
		return fmt.Errorf("%w: %w", ErrUnknownTopic, err)
	case errors.As(err, &held) && held.Reason == "":
		return held.Err
	}
	return err
}

// limit asks anew for a topic's limit, once for all of the call's rows. If it
// cannot be had in time it is was, what it was taken for: the error is known, and
// does not wait for it.
func (e *explanation) limit(ctx context.Context, topic WireTopic, was int) int {
	limit, asked := e.limits[topic]
	if asked {
		return limit
	}
	ctx, cancel := context.WithTimeout(ctx, e.client.cfg.RequestTimeout)
	defer cancel()
	e.client.Forget(topic)
	limit, err := e.client.Limits(ctx, topic)
	if err != nil {
		limit = was
	}
	e.limits[topic] = limit
	return limit
}
