package eventmodels

import (
	"sync/atomic"
	"unsafe"
)

// sharedPayload is the payload of an event that several handlers get. Nobody
// waits for it: handlers that run at the same time may each decode one, of
// which the first is shared.
type sharedPayload struct {
	first atomic.Pointer[decodedPayload]
}

// decodedPayload is not changed any more. It says what it was decoded of, since
// a message is its handler's: one that is wrapped may have put other data into
// it before it is decoded.
type decodedPayload struct {
	payload                  any // a pointer to the type of the topic that it was decoded for
	data                     []byte
	contentType, specVersion string
}

func (d *decodedPayload) isOf(m *Message) bool {
	return len(d.data) == len(m.Data) && unsafe.SliceData(d.data) == unsafe.SliceData(m.Data) &&
		d.contentType == m.ContentType && d.specVersion == m.SpecVersion
}

// SharePayload makes m, and the copies of it that are made from now on, use the
// payload that the first of them has decoded, in handlers whose topic is bound
// to the same type. What the payload points to is the same for all of them. The
// library calls it for the events of topics with several handlers.
func (m *Message) SharePayload() { m.shared = new(sharedPayload) }

// payloadOf returns the payload of a message. What it points to is not to be
// changed. An error is nobody else's: a codec that asks a server may have a
// better answer the next time.
func payloadOf[E any](m *Message) (*E, error) {
	if m.shared != nil {
		if d := m.shared.first.Load(); d != nil && d.isOf(m) {
			if payload, ok := d.payload.(*E); ok {
				return payload, nil
			}
		}
	}
	payload := new(E) // alone: what a codec gets a pointer to is allocated
	err := decodePayload(m, payload)
	if m.shared != nil && err == nil {
		m.shared.first.CompareAndSwap(nil, &decodedPayload{payload, m.Data, m.ContentType, m.SpecVersion})
	}
	return payload, err
}
