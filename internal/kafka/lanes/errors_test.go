package lanes

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

func TestHeldErrorSaysWhy(t *testing.T) {
	for want, err := range map[string]*HeldError{
		"topic t cannot be written: " + kerr.RequestTimedOut.Error():                           {Topic: "t", Partition: -1, Err: kerr.RequestTimedOut},
		"partition 3 of topic t cannot be written: no answer: " + kerr.RequestTimedOut.Error(): {Topic: "t", Partition: 3, Reason: "no answer", Err: kerr.RequestTimedOut},
		"topic t cannot be written: it was created again with another number of partitions":    {Topic: "t", Partition: -1, Reason: "it was created again with another number of partitions"},
	} {
		if got := err.Error(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
