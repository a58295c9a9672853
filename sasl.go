package events

import (
	"errors"
	"fmt"
	"strings"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// SASLMethod names a SASL mechanism in the text form of [SASLConfig].
type SASLMethod string

// The methods of [SASLConfig].
const (
	SASLNone   SASLMethod = "none"   // no authentication
	SASLPlain  SASLMethod = "plain"  // PLAIN (RFC 4616); use it with TLS only
	SASLSHA256 SASLMethod = "sha256" // SCRAM-SHA-256 (RFC 7677)
	SASLSHA512 SASLMethod = "sha512" // SCRAM-SHA-512
)

// SASLConfig is a SASL mechanism that can be read from a configuration file
// or an environment variable.
type SASLConfig struct {
	// Mechanism is nil for no authentication.
	Mechanism sasl.Mechanism
}

// UnmarshalText reads "none", "plain:user:password", "sha256:user:password"
// or "sha512:user:password". The password may contain colons. The error never
// contains the text.
func (c *SASLConfig) UnmarshalText(text []byte) error {
	if SASLMethod(text) == SASLNone {
		c.Mechanism = nil
		return nil
	}
	method, rest, _ := strings.Cut(string(text), ":")
	user, password, ok := strings.Cut(rest, ":")
	if !ok || user == "" {
		return errors.New(`SASL configuration: want "none" or "method:user:password" with the method plain, sha256 or sha512`)
	}
	var err error
	switch SASLMethod(method) {
	case SASLPlain:
		c.Mechanism = plain.Mechanism{Username: user, Password: password}
	case SASLSHA256:
		c.Mechanism, err = scram.Mechanism(scram.SHA256, user, password)
	case SASLSHA512:
		c.Mechanism, err = scram.Mechanism(scram.SHA512, user, password)
	default:
		return errors.New("SASL configuration: unknown method; want none, plain, sha256 or sha512")
	}
	if err != nil {
		// The cause may quote what it was given.
		return fmt.Errorf("SASL configuration: user name or password cannot be used with %s (RFC 4013 forbids some characters)", method)
	}
	return nil
}

// SASLConfigFromString returns the mechanism of a text that
// [SASLConfig.UnmarshalText] reads: nil for "none", but also for a text that
// it refuses. Prefer UnmarshalText, which tells the two apart.
func SASLConfigFromString(text string) sasl.Mechanism {
	var c SASLConfig
	if c.UnmarshalText([]byte(text)) != nil {
		return nil
	}
	return c.Mechanism
}
