package eventtest

import "testing"

func (s *suite[ID, TX, DB]) exactlyOnce(t *testing.T) {}
