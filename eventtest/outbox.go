package eventtest

import "testing"

func (s *suite[ID, TX, DB]) outbox(t *testing.T) {}
