package letterdesk

import (
	"context"

	"github.com/seed46dd6f11/events/internal/kafka"
)

const (
	firstStep = 256      // offsets; so that the first page is there soon
	stepBytes = 4 << 20  // of headers and keys that a step may keep
	allSteps  = 64 << 10 // offsets of the steps of all partitions together
)

// backward reads a partition from its end, in steps. Each step is read forward,
// as Kafka does, and given back the other way round.
type backward struct {
	client *kafka.Client
	log    kafka.LogRange
	next   int64 // the end of what was not read yet
	step   int64
	most   int64
}

func newBackward(client *kafka.Client, log kafka.LogRange, partitions int) *backward {
	return &backward{client: client, log: log, next: log.To, step: firstStep, most: max(firstStep, allSteps/int64(max(partitions, 1)))}
}

// end says that the beginning of the log was reached.
func (b *backward) end() bool { return b.next <= b.log.From }

// more reads the next step.
func (b *backward) more(ctx context.Context) ([]record, error) {
	part := b.log
	part.From, part.To = max(b.log.From, b.next-b.step), b.next
	var records []record
	kept := 0
	for chunk, err := range kafka.Whole(part, b.client.Read(ctx, part)) {
		if err != nil {
			return nil, err
		}
		for _, r := range chunk.Records {
			rec := read(r)
			kept += 500 + len(rec.key) + len(rec.header.Error)
			records = append(records, rec)
		}
	}
	b.next = part.From
	if kept > stepBytes {
		b.step = max(1, b.step/2)
	} else if kept < stepBytes/4 {
		b.step = min(b.most, b.step*2)
	}
	return records, nil
}
