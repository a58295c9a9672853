package lanes

import (
	"context"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Sender writes rows to Kafka. See the package's documentation.
type Sender struct {
	cfg Config
}

// New returns a sender. It does nothing before Start.
func New(cfg Config) (*Sender, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Sender{cfg: cfg}, nil
}

// Start begins to send. It may be called once; calls after the first, and after
// Stop, do nothing.
func (s *Sender) Start() {}

// Send hands rows to their lanes, in the order in which the rows of a key are
// to be stored. It never waits for brokers or locks that wait for them. The
// rows must not be changed until they are reported.
//
// Send and Resume are called one after another, never at the same time. What
// Send returns of held topics has been reported when it is back. Before Start
// rows are queued; after Stop has been called they are dropped, without a
// report.
func (s *Sender) Send(rows []*eventmodels.OutboxRow) {}

// Resume ends what Held has begun, after Ready: what Send brings of the topic
// from now on is sent again. Every row of the topic that was given to Send
// before has been reported by now, so that the caller can begin again with
// those that were Returned. For a topic that is not Ready it does nothing.
func (s *Sender) Resume(topic string) {}

// Identify makes the lanes continue under another identity, with sequence
// numbers from 0. A batch of unknown outcome is written again under it. An
// identity with the present producer id and an epoch that is not larger is
// ignored: it would begin with sequence numbers that the brokers have seen, and
// what they take for repetitions they drop.
func (s *Sender) Identify(id Identity) {}

// Stop ends the sender: no new batch starts; what is in flight is waited for
// until ctx ends, then abandoned. When Stop is back, nothing is reported any
// more. It may be called any number of times, at any time, also before Start,
// but not from a method of Report.
func (s *Sender) Stop(ctx context.Context) {}

// WaitIdle waits until all rows given to Send have been reported, the sender is
// stopped, or ctx ends. It returns ctx's error in the last case.
func (s *Sender) WaitIdle(ctx context.Context) error { return nil }

// Stats are counts of what the sender has in its hands and has done.
type Stats struct {
	// Rows have been given to Send and were not reported; InFlight of them
	// are in requests that are not answered, or are waiting for their retry.
	Rows, InFlight int
	// HeldTopics are those that were reported as Held and not resumed.
	HeldTopics int
	// Requests, Batches and Retries (of Batches) have been sent.
	Requests, Batches, Retries uint64
	// Acked, Refused and Returned count rows.
	Acked, Refused, Returned uint64
}

// Stats returns the counts of now.
func (s *Sender) Stats() Stats { return Stats{} }
