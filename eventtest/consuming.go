package eventtest

import "testing"

func (s *suite[ID, TX, DB]) consuming(t *testing.T) {}
