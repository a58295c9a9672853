package eventdb

import (
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka/lanes"
)

var _ lanes.Report = (*flight)(nil)

// reportTo counts what the lanes report on its way to the flight.
type reportTo struct {
	*flight
	spans    *spans
	observer RelayObserver
}

func (r reportTo) Acked(rows []*eventmodels.OutboxRow, partition int32, offset int64) {
	r.spans.end(rows, nil)
	r.observer.Relayed(rows[0].Topic, rows)
	r.flight.Acked(rows, partition, offset)
}

func (r reportTo) Refused(row *eventmodels.OutboxRow, err error) {
	r.spans.end([]*eventmodels.OutboxRow{row}, err)
	r.observer.Parked(row.Topic)
	r.flight.Refused(row, err)
}

func (r reportTo) Returned(rows []*eventmodels.OutboxRow) {
	r.spans.end(rows, errHeld)
	r.flight.Returned(rows)
}

// settle notes that Kafka, or the topic's hold, has decided about a row.
func (f *flight) settle(row *eventmodels.OutboxRow, acked bool) {
	was, ok := f.rows[row.OutboxKey()]
	if !ok || was.acked {
		return
	}
	f.count(row.Topic, -1, -was.bytes)
	if acked {
		f.rows[row.OutboxKey()] = flying{acked: true}
	}
}

// Acked implements [lanes.Report].
func (f *flight) Acked(rows []*eventmodels.OutboxRow, _ int32, _ int64) {
	f.mu.Lock()
	f.acks++
	for _, row := range rows {
		f.settle(row, true)
		f.acked = append(f.acked, row.OutboxKey())
	}
	f.mu.Unlock()
	signal(f.deletable)
	signal(f.room)
}

// Refused implements [lanes.Report].
func (f *flight) Refused(row *eventmodels.OutboxRow, err error) {
	f.mu.Lock()
	f.settle(row, true)
	f.refused = append(f.refused, refusal{key: row.OutboxKey(), topic: row.Topic, err: err})
	f.mu.Unlock()
	signal(f.parkable)
	signal(f.room)
}

// Returned implements [lanes.Report]. The rows are read again when their topic
// is ready.
func (f *flight) Returned(rows []*eventmodels.OutboxRow) {
	f.mu.Lock()
	for _, row := range rows {
		f.settle(row, false)
		delete(f.rows, row.OutboxKey())
		f.passed = min(f.passed, row.Seq)
	}
	f.mu.Unlock()
	signal(f.room)
}

// Held implements [lanes.Report].
func (f *flight) Held(topic string, err error) {
	f.mu.Lock()
	f.held[topic] = err
	f.mu.Unlock()
	signal(f.room)
}

// Ready implements [lanes.Report].
func (f *flight) Ready(topic string) {
	f.mu.Lock()
	f.ready = append(f.ready, topic)
	f.mu.Unlock()
	signal(f.attention)
}

// Fenced implements [lanes.Report].
func (f *flight) Fenced(id lanes.Identity, err error) {
	f.mu.Lock()
	f.fenced = &fence{id: id, err: err}
	f.mu.Unlock()
	signal(f.attention)
}
