package events

import (
	"fmt"
	"strings"

	"github.com/memsql/errors"
)

// UnregisteredTopicError is (errors.Is) the error of an event or handler whose
// topic was not announced with SetTopicConfig, although Configure was told
// that all topics must be. See [UnregisteredTopicsError] for the names.
const UnregisteredTopicError errors.String = "topic is not pre-registered"

// ErrTopicCreationTimeout is (errors.Is) the error of a topic that could not
// be created in time.
var ErrTopicCreationTimeout errors.String = "event library topic creation deadline exceeded"

const (
	// ErrNotConfigured is the error of calls that come before Configure.
	ErrNotConfigured errors.String = "the Library is not configured; call Configure first"
	// ErrNoDatabase is the error of calls that need a database when Configure
	// was given none.
	ErrNoDatabase errors.String = "the Library has no database; give Configure a connection (eventpg.Open or the like)"
	// ErrStopped is the error of calls that come after Shutdown.
	ErrStopped errors.String = "the Library is stopped; a stopped Library cannot be used again"
	// ErrAlreadyStarted is the error of a second StartConsuming, also after the
	// end of the first, and of a CatchUpProduce while another one runs.
	ErrAlreadyStarted errors.String = "it was started before"
	// ErrTooBig is (errors.Is) the error of an event that is larger than its
	// topic allows; see [TooBigError].
	ErrTooBig errors.String = "event is too big"
	// ErrUnreachable is the error of StartConsuming and PingBrokers when no
	// broker answers.
	ErrUnreachable errors.String = "no Kafka broker answers"
	// ErrAuthentication is the error of StartConsuming, CatchUpProduce, Produce,
	// CreateTopics and PingBrokers when the brokers refuse the SASL credentials that
	// Configure was given, or want others.
	ErrAuthentication errors.String = "the Kafka brokers refuse the credentials; check the saslMechanism given to Configure"
	// ErrCertificate is the error of StartConsuming, CatchUpProduce, Produce,
	// CreateTopics and PingBrokers when a broker's TLS certificate cannot be trusted, or
	// the brokers refuse the certificate of this process.
	ErrCertificate errors.String = "TLS certificates do not fit; check the tlsConfig given to Configure, and the brokers' certificates"
)

// UnregisteredTopicsError names the topics that were not announced.
type UnregisteredTopicsError struct {
	Topics []string
}

// Error names each of them.
func (e *UnregisteredTopicsError) Error() string {
	return fmt.Sprintf("%s: %s (announce them with SetTopicConfig, or call Configure with mustRegisterTopics false)",
		UnregisteredTopicError, strings.Join(e.Topics, ", "))
}

// Is makes errors.Is(err, UnregisteredTopicError) true.
func (e *UnregisteredTopicsError) Is(target error) bool { return target == UnregisteredTopicError }

// AbandonedError says what a shutdown could not wait for.
type AbandonedError struct {
	// Handlers names the handlers that still ran, as "group/handler".
	Handlers []string
	// Err is the end of the context that limited it, or nil.
	Err error
}

// Error names what was abandoned, and what happens to it.
func (e *AbandonedError) Error() string {
	if len(e.Handlers) == 0 {
		return fmt.Sprintf("shutdown was cut short: %v", e.Err)
	}
	return fmt.Sprintf("shutdown abandoned running handlers (their events are delivered again after the restart): %s", strings.Join(e.Handlers, ", "))
}

// Unwrap returns Err.
func (e *AbandonedError) Unwrap() error { return e.Err }
