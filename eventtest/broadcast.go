package eventtest

import "testing"

func (s *suite[ID, TX, DB]) broadcast(t *testing.T) {}
