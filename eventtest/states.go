package eventtest

import "testing"

func (s *suite[ID, TX, DB]) states(t *testing.T) {}
