package eventmodels

import "context"

// HandlerInfo is what every kind of handler tells of itself.
type HandlerInfo interface {
	// Topic is the topic that it consumes, without prefix.
	Topic() string
}

// HandlerInterface is a handler whose payload type is hidden: what
// [BoundTopic.Handler] makes and ConsumeIdempotent and ConsumeBroadcast take.
type HandlerInterface interface {
	HandlerInfo
	// Handle decodes one message and runs the handler. An error that is
	// [ErrDecode] means that the handler has not been called.
	Handle(ctx context.Context, m *Message) error
}

// BatchHandlerInterface is a handler that gets several events at a time.
type BatchHandlerInterface interface {
	HandlerInterface
	// HandleBatch decodes the messages and runs the handler with those that
	// could be decoded. If some could not, the error is a [*BatchError], or
	// the handler's, where that concerns all the events that it got.
	HandleBatch(ctx context.Context, ms []*Message) error
}

// HandlerTxInterface is an exactly-once handler whose payload type is hidden.
type HandlerTxInterface[ID AbstractID[ID], TX AbstractTX] interface {
	HandlerInfo
	// HandleTx is [HandlerInterface.Handle] in a transaction.
	HandleTx(ctx context.Context, tx TX, m *Message) error
}

// BatchHandlerTxInterface is an exactly-once handler that gets several events
// in one transaction.
type BatchHandlerTxInterface[ID AbstractID[ID], TX AbstractTX] interface {
	HandlerTxInterface[ID, TX]
	// HandleBatchTx runs the handler with all messages. If one cannot be
	// decoded the handler is not called and the error is a [*BatchError]
	// that names it.
	HandleBatchTx(ctx context.Context, tx TX, ms []*Message) error
}

// The handlers below make events of their messages and keep none of these. Their
// method CopiesMessages says so to the library, which uses the memory of the
// messages again. A handler that wraps one of them does not have the method.

type handler[E any] struct {
	topic  string
	handle func(context.Context, Event[E]) error
}

func (h *handler[E]) Topic() string { return h.topic }
func (*handler[E]) CopiesMessages() {}

func (h *handler[E]) Handle(ctx context.Context, m *Message) error {
	e, err := decodeMessage[E](m)
	if err != nil {
		return err
	}
	return h.handle(ctx, e)
}

type handlerTx[E any, ID AbstractID[ID], TX AbstractTX] struct {
	topic  string
	handle func(context.Context, TX, Event[E]) error
}

func (h *handlerTx[E, ID, TX]) Topic() string { return h.topic }
func (*handlerTx[E, ID, TX]) CopiesMessages() {}

func (h *handlerTx[E, ID, TX]) HandleTx(ctx context.Context, tx TX, m *Message) error {
	e, err := decodeMessage[E](m)
	if err != nil {
		return err
	}
	return h.handle(ctx, tx, e)
}

type batchHandler[E any] struct {
	topic  string
	handle func(context.Context, []Event[E]) error
}

func (h *batchHandler[E]) Topic() string { return h.topic }
func (*batchHandler[E]) CopiesMessages() {}

func (h *batchHandler[E]) Handle(ctx context.Context, m *Message) error {
	e, err := decodeMessage[E](m)
	if err != nil {
		return err
	}
	return h.handle(ctx, []Event[E]{e})
}

// HandleBatch runs the handler with the events that could be decoded: what it
// says of their positions is translated to positions in ms.
func (h *batchHandler[E]) HandleBatch(ctx context.Context, ms []*Message) error {
	events, positions, failed := decodeBatch[E](ms)
	if len(events) == 0 {
		return failed.Err()
	}
	err := h.handle(ctx, events)
	if failed == nil {
		return err
	}
	return failed.join(err, positions)
}

type batchHandlerTx[E any, ID AbstractID[ID], TX AbstractTX] struct {
	topic  string
	handle func(context.Context, TX, []Event[E]) error
}

func (h *batchHandlerTx[E, ID, TX]) Topic() string { return h.topic }
func (*batchHandlerTx[E, ID, TX]) CopiesMessages() {}

func (h *batchHandlerTx[E, ID, TX]) HandleTx(ctx context.Context, tx TX, m *Message) error {
	return h.HandleBatchTx(ctx, tx, []*Message{m})
}

func (h *batchHandlerTx[E, ID, TX]) HandleBatchTx(ctx context.Context, tx TX, ms []*Message) error {
	events, _, failed := decodeBatch[E](ms)
	if failed != nil {
		return failed
	}
	return h.handle(ctx, tx, events)
}

// decodeBatch returns the events, the position in ms of each, and the errors
// of those that cannot be decoded (nil if there are none).
func decodeBatch[E any](ms []*Message) (events []Event[E], positions []int, failed *BatchError) {
	events = make([]Event[E], 0, len(ms))
	for i, m := range ms {
		e, err := decodeMessage[E](m)
		if err != nil {
			if failed == nil {
				failed = &BatchError{}
			}
			failed.Fail(i, err)
			continue
		}
		events = append(events, e)
		positions = append(positions, i)
	}
	return events, positions, failed
}
