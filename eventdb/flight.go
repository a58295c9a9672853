package eventdb

import (
	"math"
	"slices"
	"sync"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
)

// flight is what a leadership knows about rows that were read and are not yet
// deleted, and about topics that cannot be written. The lanes' reports write
// it; the reader and the deleter take from it.
type flight struct {
	mu sync.Mutex

	// rows are those that were read and may still be in the table. A row leaves
	// when it is deleted, parked or returned. The seq alone would not do: a
	// server that has lost commits draws their seqs again while rows of these
	// may be in flight.
	rows map[eventmodels.OutboxKey]flying
	// unacked counts the rows among them that Kafka has not acknowledged, by
	// wire topic; no zeros.
	unacked map[string]load
	bytes   int // of all that unacked counts

	// reading is set while a read is under way. A row that is deleted
	// meanwhile may be on the page that the read brings, and must be known
	// when it comes: such rows are in gone and leave after the read.
	reading bool
	gone    []eventmodels.OutboxKey

	// passed is the smallest seq of the rows that were read and are not here,
	// because of their topic: they were passed over, or returned. They are read
	// again when it is ready.
	passed int64

	held  map[string]error // topics that cannot be written now
	ready []string         // held topics that can be written again; the reader resumes them

	acks    uint64                  // calls of Acked
	acked   []eventmodels.OutboxKey // to be deleted
	refused []refusal               // to be parked

	fenced *fence // the identity was refused; the reader takes another

	room      chan struct{} // capacity 1: rows have left
	attention chan struct{} // capacity 1: ready or fenced was set
	deletable chan struct{} // capacity 1: acked was set
	parkable  chan struct{} // capacity 1: refused was set
}

type flying struct {
	bytes int
	acked bool
}

// load is a number of rows and what they weigh.
type load struct{ rows, bytes int }

type refusal struct {
	key   eventmodels.OutboxKey
	topic string
	err   error
}

type fence struct {
	id  lanes.Identity
	err error
}

func newFlight() *flight {
	return &flight{
		rows:      make(map[eventmodels.OutboxKey]flying),
		unacked:   make(map[string]load),
		passed:    math.MaxInt64,
		held:      make(map[string]error),
		room:      make(chan struct{}, 1),
		attention: make(chan struct{}, 1),
		deletable: make(chan struct{}, 1),
		parkable:  make(chan struct{}, 1),
	}
}

func sizeOf(row *eventmodels.OutboxRow) int {
	return row.Weight() + 128
}

// beginRead is called before a read. It returns the topics whose rows are to
// be left out, and how many rows and bytes there is room for. What the lanes
// keep of held topics, a batch per partition, takes nothing from the others.
func (f *flight) beginRead(maxRows, maxBytes int) (held []string, rows, bytes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading = true
	rows, bytes = maxRows-len(f.rows), maxBytes-f.bytes
	for topic := range f.held {
		held = append(held, topic)
		stuck := f.unacked[topic]
		rows += stuck.rows
		bytes += stuck.bytes
	}
	return held, rows, bytes
}

// admit takes what a read has brought, and returns the rows that are to be
// sent: not those that were left out, and not those that are here already,
// which a read from the beginning brings again.
func (f *flight) admit(page []eventmodels.OutboxRow, held []string) []*eventmodels.OutboxRow {
	f.mu.Lock()
	defer f.mu.Unlock()
	send := make([]*eventmodels.OutboxRow, 0, len(page))
	for i := range page {
		row := &page[i]
		if _, here := f.rows[row.OutboxKey()]; here {
			continue
		}
		if slices.Contains(held, row.Topic) {
			f.passed = min(f.passed, row.Seq)
			continue
		}
		size := sizeOf(row)
		f.rows[row.OutboxKey()] = flying{bytes: size}
		f.count(row.Topic, 1, size)
		send = append(send, row)
	}
	f.endRead()
	return send
}

// endRead is called, with the lock, when nothing of the read is used any more.
func (f *flight) endRead() {
	f.reading = false
	for _, key := range f.gone {
		delete(f.rows, key)
	}
	f.gone = f.gone[:0]
}

// failedRead ends a read that brought nothing.
func (f *flight) failedRead() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endRead()
}

// strangers ends a read of what has been looked at before, and returns those
// of its rows that nobody knows here: they are not in flight, and their topic is
// not held.
func (f *flight) strangers(page []eventmodels.OutboxRow) []eventmodels.OutboxRow {
	f.mu.Lock()
	defer f.mu.Unlock()
	unknown := slices.DeleteFunc(page, func(row eventmodels.OutboxRow) bool {
		_, here := f.rows[row.OutboxKey()]
		_, held := f.held[row.Topic]
		return here || held
	})
	f.endRead()
	return unknown
}

// lowest returns the smallest seq of the rows that were read and may still be
// in the table; math.MaxInt64 if there is none.
func (f *flight) lowest() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	lowest := f.passed
	for key := range f.rows {
		lowest = min(lowest, key.Seq)
	}
	return lowest
}

// readAgain says that reading goes back to at or below lowest.
func (f *flight) readAgain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.passed = math.MaxInt64
}

func (f *flight) count(topic string, rows, bytes int) {
	l := f.unacked[topic]
	l.rows += rows
	l.bytes += bytes
	if l.rows == 0 {
		delete(f.unacked, topic)
	} else {
		f.unacked[topic] = l
	}
	f.bytes += bytes
}

// takeReady returns the topics that can be written again: they are no longer
// held.
func (f *flight) takeReady() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	ready := f.ready
	f.ready = nil
	for _, topic := range ready {
		delete(f.held, topic)
	}
	return ready
}

func (f *flight) takeFence() *fence {
	f.mu.Lock()
	defer f.mu.Unlock()
	fenced := f.fenced
	f.fenced = nil
	return fenced
}

// putFenceBack keeps a fence for the next step, without asking for attention:
// what failed is tried again after a pause.
func (f *flight) putFenceBack(fenced *fence) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fenced == nil {
		f.fenced = fenced
	}
}

func (f *flight) ackCount() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acks
}

func (f *flight) hasAcked() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.acked) > 0
}

func (f *flight) hasRefused() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.refused) > 0
}

// takeAcked returns up to n keys to delete.
func (f *flight) takeAcked(n int) []eventmodels.OutboxKey {
	f.mu.Lock()
	defer f.mu.Unlock()
	n = min(n, len(f.acked))
	keys := f.acked[:n:n]
	f.acked = f.acked[n:]
	return keys
}

func (f *flight) takeRefused() []refusal {
	f.mu.Lock()
	defer f.mu.Unlock()
	refused := f.refused
	f.refused = nil
	return refused
}

// giveBack returns what could not be deleted or parked, to be tried again.
func (f *flight) giveBack(keys []eventmodels.OutboxKey, refused []refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acked = append(f.acked, keys...)
	f.refused = append(f.refused, refused...)
}

// deleted notes that rows are no longer in the table.
func (f *flight) deleted(keys []eventmodels.OutboxKey) {
	f.mu.Lock()
	for _, key := range keys {
		if f.reading {
			f.gone = append(f.gone, key)
		} else {
			delete(f.rows, key)
		}
	}
	f.mu.Unlock()
	signal(f.room)
}

// settled reports whether everything that can be decided now has been: what
// Kafka has not acknowledged belongs to held topics. heldErr is the reason of
// one of these.
//
// The sender gives back rows of a topic that it holds as soon as they are sent,
// and another goroutine may still be about to report why: rows that were passed
// over and no topic that is held mean that it will. A topic that is ready has
// rows to be read.
func (f *flight) settled() (settled bool, heldErr error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ready) > 0 || f.passed != math.MaxInt64 && len(f.held) == 0 {
		return false, nil
	}
	for topic := range f.unacked {
		if _, ok := f.held[topic]; !ok {
			return false, nil
		}
	}
	for _, err := range f.held {
		return true, err
	}
	return true, nil
}
