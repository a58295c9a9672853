package events2

import (
	"context"
	"errors"
)

// Wake implements [eventmodels.OutboxStore]: the server cannot tell other
// processes anything, their relays poll.
func (s *store) Wake(context.Context, string) error { return nil }

// Listen implements [eventmodels.OutboxStore].
func (s *store) Listen(context.Context, string, chan<- struct{}, func()) error {
	return errors.ErrUnsupported
}
