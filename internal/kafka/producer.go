package kafka

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
	"github.com/seed46dd6f11/events/internal/loglimit"
	"github.com/seed46dd6f11/events/internal/recordbatch"
)

// maxRequest is the largest record that fits into a request: a broker's
// socket.request.max.bytes is 100 MiB by default, as is franz-go's limit.
const maxRequest = 99 << 20

// maxSendBackoff bounds the pause before a batch that has failed is sent again:
// somebody waits for it.
const maxSendBackoff = time.Second

// Produce writes the rows and returns when the brokers have acknowledged all of
// them (acks=all, idempotent). Their ID and Seq mean nothing here. The error is a
// [ProduceError] that names every row that was not acknowledged; the others were.
// A row that is larger than its topic allows is refused with a [TooBigError]
// without being sent.
//
// ctx is the only limit: while the brokers are away, Produce waits. When ctx
// ends it returns at once; rows that had been sent by then may be written all
// the same, so that what they refer to must not be changed afterwards.
//
// Rows of one call that have the same partition are written in their order. Keys
// go to the partition that Java's default partitioner picks, rows without a key
// to one partition after the other.
func (c *Client) Produce(ctx context.Context, rows []eventmodels.OutboxRow) error {
	k := c.producer.pool.get()
	k.rows = append(k.rows, rows...)
	return c.producer.produce(ctx, k)
}

// ProducePlaced is [Client.Produce] for records whose Partition says where they
// go: those of dead letters, of which all that belong together lie in one
// partition, whatever their keys are. A partition that the topic does not have
// is an error. Their Offset is set: -1 if they were not acknowledged, or if the
// brokers do not know any more where a record lies that they already had.
func (c *Client) ProducePlaced(ctx context.Context, records []*Record) error {
	k := c.producer.pool.get()
	k.placed = records
	for _, r := range records {
		r.Offset = -1
		k.rows = append(k.rows, rowOf(r))
	}
	return c.producer.produce(ctx, k)
}

func rowOf(r *Record) eventmodels.OutboxRow {
	at := r.Timestamp
	if at.IsZero() {
		at = time.Now()
	}
	return eventmodels.OutboxRow{Topic: r.Topic, Key: r.Key, Headers: recordbatch.AppendHeaders(nil, r.Headers), Payload: r.Value, CreatedAt: at}
}

// producer writes what calls of Produce bring, through one sender of package
// lanes, and tells them what became of it. The sender is made by the first call,
// since it needs an identity from the brokers.
type producer struct {
	client *Client
	// room bounds what is not acknowledged, in bytes; see [producer.weigh].
	room *semaphore.Weighted
	// senders has the sender, under the name of no topic.
	senders *flights[*lanes.Sender]
	pool    callPool
	warn    loglimit.Limit // of what is tried again

	// life ends with stop, which waits for identifying.
	life        context.Context
	end         context.CancelFunc
	identifying sync.WaitGroup

	mu     sync.Mutex
	closed bool
	// calls are those whose rows the sender has, by slot; free are the slots
	// without one.
	calls []*call
	free  []int

	// done is memory of Acked, which the sender calls one at a time.
	done []*call
}

func newProducer(c *Client) *producer {
	p := &producer{client: c, room: semaphore.NewWeighted(int64(c.cfg.MaxBufferedBytes)), warn: loglimit.Limit{Burst: 1}}
	p.life, p.end = context.WithCancel(context.Background())
	p.senders = newFlights(p.start)
	return p
}

// theSender is the key of senders.
const theSender WireTopic = ""

// sender returns the sender, after making it.
func (p *producer) sender(ctx context.Context) (*lanes.Sender, error) {
	if s, ok := p.senders.cached(theSender); ok {
		return s, nil
	}
	made, failed := p.senders.get(ctx, []WireTopic{theSender})
	return made[theSender], failed[theSender]
}

// start makes the sender.
func (p *producer) start(ctx context.Context, _ []WireTopic, f *flight[*lanes.Sender]) {
	id, err := p.identity(ctx, func(err error) { f.trying(theSender, err) })
	if err != nil {
		f.report(theSender, nil, err)
		return
	}
	c := p.client
	s, err := lanes.New(lanes.Config{
		Client:          c.kgo,
		Identity:        id,
		Report:          p,
		Logger:          c.log,
		Compression:     codecs[c.cfg.Compression],
		Patient:         true,
		Recreated:       func(topic string) { c.Forget(WireTopic(topic)) },
		MaxMessageBytes: func(topic string) int { limit, _ := c.CachedLimit(WireTopic(topic)); return limit },
		MaxBackoff:      maxSendBackoff,
		MetadataMaxAge:  c.cfg.MetadataMaxAge,
	})
	if err == nil {
		s.Start()
	}
	f.report(theSender, s, err)
}

// produce does what [Client.Produce] says, and recycles the call.
func (p *producer) produce(ctx context.Context, k *call) error {
	k.begin()
	p.check(ctx, k)
	if k.left > 0 {
		p.send(ctx, k)
	}
	err := p.result(ctx, k)
	p.pool.put(k)
	return err
}

// check settles the rows that cannot be sent, and weighs the others.
func (p *producer) check(ctx context.Context, k *call) {
	var topic string
	var limit int
	var err error
	for i := range k.rows {
		row := &k.rows[i]
		if i == 0 || row.Topic != topic {
			topic = row.Topic
			limit, err = p.client.Limits(ctx, WireTopic(topic))
			limit = min(limit, maxRequest, p.client.cfg.MaxBufferedBytes)
		}
		size := sizeOf(row)
		if err == nil && size > limit {
			limit, err = p.client.RefreshLimit(ctx, WireTopic(topic)) // it may have been raised
			limit = min(limit, maxRequest, p.client.cfg.MaxBufferedBytes)
		}
		switch {
		case err != nil:
			k.settle(i, err)
		case size > limit:
			k.settle(i, &TooBigError{Topic: WireTopic(topic), Key: row.Key, Size: size, Limit: limit})
		default:
			k.sent = append(k.sent, row)
			k.room += p.weigh(size)
		}
	}
	k.room = min(k.room, int64(p.client.cfg.MaxBufferedBytes)) // a larger call goes alone
}

// sizeOf is what a row takes as a batch of its own, before compression: what
// brokers compare with max.message.bytes.
func sizeOf(r *eventmodels.OutboxRow) int {
	return recordbatch.BatchSize([]recordbatch.Record{{Key: r.Key, Value: r.Payload, RawHeaders: r.Headers, Timestamp: r.CreatedAt}})
}

// weigh is the room that a row takes: its size, and at least its part of
// MaxBufferedBytes when there are MaxBufferedRecords.
func (p *producer) weigh(size int) int64 {
	return int64(max(size, p.client.cfg.MaxBufferedBytes/p.client.cfg.MaxBufferedRecords))
}

// send gives the call's rows to the sender and waits for their results, or for
// the end of ctx.
func (p *producer) send(ctx context.Context, k *call) {
	if ctx.Err() != nil {
		k.fail(ctx.Err())
		return
	}
	sender, err := p.sender(ctx)
	if err == nil {
		err = p.room.Acquire(ctx, k.room)
	}
	if err != nil {
		k.fail(err)
		return
	}
	if !p.enter(k) {
		p.room.Release(k.room)
		k.fail(ErrClosed)
		return
	}
	if k.placed == nil {
		sender.Send(k.sent)
	} else {
		// What SendTo brings can be on its way when it is back, and what comes next
		// is another batch.
		for rows := k.sent; len(rows) > 0; {
			n := 1
			for n < len(rows) && k.partitionOf(rows[n]) == k.partitionOf(rows[0]) {
				n++
			}
			sender.SendTo(k.partitionOf(rows[0]), rows[:n])
			rows = rows[n:]
		}
	}
	select {
	case <-k.done:
		return
	case <-ctx.Done():
	}
	p.giveUp(k, sender.Withdraw(k.sent), ctx.Err())
}

// stop fails what is being produced, and all that follows, with [ErrClosed].
func (p *producer) stop() {
	p.mu.Lock()
	p.closed = true
	for _, k := range p.calls {
		if k != nil {
			p.room.Release(k.room)
			k.lost = true
			k.fail(ErrClosed)
			k.done <- struct{}{}
		}
	}
	p.calls = nil
	p.mu.Unlock()
	p.end()
	p.identifying.Wait()
	p.senders.stop()
	if s, ok := p.senders.cached(theSender); ok {
		s.Stop(p.life) // which has ended: nothing is waited for
	}
}
