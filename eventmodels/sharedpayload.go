package eventmodels

import "sync/atomic"

// sharedPayload is the payload of an event that several handlers get. Nobody
// waits for it: handlers that run at the same time may each decode one, of
// which the first is shared.
type sharedPayload struct {
	first atomic.Pointer[decodedPayload]
}

// decodedPayload is not changed any more.
type decodedPayload struct {
	payload any // a pointer to the type of the topic that it was decoded for
	err     error
}

// SharePayload makes m, and the copies of it that are made from now on, use the
// payload that the first of them has decoded, in handlers whose topic is bound
// to the same type. What the payload points to is the same for all of them. The
// library calls it for the events of topics with several handlers.
func (m *Message) SharePayload() { m.shared = new(sharedPayload) }

// payloadOf returns the payload of a message. What it points to is not to be
// changed.
func payloadOf[E any](m *Message) (*E, error) {
	if m.shared != nil {
		if d := m.shared.first.Load(); d != nil {
			if payload, ok := d.payload.(*E); ok {
				return payload, d.err
			}
		}
	}
	payload := new(E) // alone: what a codec gets a pointer to is allocated
	err := decodePayload(m, payload)
	if m.shared != nil {
		m.shared.first.CompareAndSwap(nil, &decodedPayload{payload, err})
	}
	return payload, err
}
