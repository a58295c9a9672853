package mysqldb

import (
	"errors"
	"testing"
	"testing/synctest"
)

// A limit that is reached in COMMIT leaves it unknown.
func TestCommitBeyondItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		err := limited(func() error { <-release; return nil })
		if !errors.Is(err, errEndLimit) || CommitRefused(err) {
			t.Errorf("error: %v", err)
		}
		close(release)
	})
}
