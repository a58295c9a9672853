package events

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/seed46dd6f11/events/internal/kafka"
)

// Credentials can be refused after a topic is known, when there is nothing to ask
// of it any more.
func TestProduceErrorOfRefusedCredentials(t *testing.T) {
	var l LibraryNoDB
	l.settings.prefix = "test-"
	refused := fmt.Errorf("begin to produce: %w", kerr.SaslAuthenticationFailed)
	err := l.unprefixed(&kafka.ProduceError{Failed: []kafka.RecordError{{Topic: "test-orders", Key: []byte("k"), Err: refused}}})
	if failed := new(ProduceError); !errors.As(err, &failed) || failed.Topic != "orders" || failed.Key != "k" {
		t.Errorf("error: %v", err)
	}
	if !errors.Is(err, ErrAuthentication) || !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("error: %v", err)
	}
}
