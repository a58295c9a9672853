package kafka

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	// ErrClosed is what a closed client, group or reader returns.
	ErrClosed = errors.New("kafka: closed")
	// ErrTooBig is found by errors.Is in a [TooBigError].
	ErrTooBig = errors.New("kafka: record is larger than the topic allows")
	// ErrNotOwner says that an offset was not committed because the
	// partition belongs to somebody else by now. Trying again is useless:
	// what was done since the last commit will be done again by the owner.
	ErrNotOwner = errors.New("kafka: the partition is no longer this member's")
	// ErrRebalancing says that an offset was not committed because the group
	// is being rebalanced. The commit can be tried again as long as the
	// partition has not been revoked.
	ErrRebalancing = errors.New("kafka: the group is being rebalanced")
	// ErrUnknownTopic says that a topic does not exist.
	ErrUnknownTopic = errors.New("kafka: the topic does not exist")
)

// TopicError is what went wrong with one topic.
type TopicError struct {
	Topic WireTopic
	Op    string // what was tried: "create", "describe", ...
	Err   error
}

func (e *TopicError) Error() string {
	return fmt.Sprintf("kafka: %s topic %q: %v", e.Op, string(e.Topic), e.Err)
}

func (e *TopicError) Unwrap() error { return e.Err }

// replacedTopic is an ErrUnknownTopic: there is a topic of this name, and it is
// not the one that was read.
type replacedTopic struct{}

var errReplacedTopic error = replacedTopic{}

func (replacedTopic) Error() string { return "it was deleted and created again while it was read" }

func (replacedTopic) Is(target error) bool { return target == ErrUnknownTopic }

// noPartition is an ErrUnknownTopic: the topic does not have the partition of
// this number. It may be another topic than the one that was known.
type noPartition int32

func (p noPartition) Error() string {
	return fmt.Sprintf("kafka: the topic has no partition %d", int32(p))
}

func (noPartition) Is(target error) bool { return target == ErrUnknownTopic }

// maxListed is how many failures an error's text spells out.
const maxListed = 3

// CommitError says which partitions' offsets were not committed, and why. All
// others of the call were. errors.Is and errors.As look into each.
type CommitError struct {
	Group  string
	Failed map[TopicPartition]error
}

func (e *CommitError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kafka: commit offsets of group %q", e.Group)
	for i, tp := range e.partitions() {
		if i == maxListed {
			fmt.Fprintf(&b, "; and %d more", len(e.Failed)-i)
			break
		}
		fmt.Fprintf(&b, "; %s: %v", tp, e.Failed[tp])
	}
	return b.String()
}

func (e *CommitError) Unwrap() []error {
	errs := make([]error, 0, len(e.Failed))
	for _, tp := range e.partitions() {
		errs = append(errs, e.Failed[tp])
	}
	return errs
}

// Refused reports whether the error of a commit says of a partition that its
// offset may not be committed: a [CommitError] names those, any other error
// concerns them all.
func Refused(err error, tp TopicPartition) bool {
	var some *CommitError
	if errors.As(err, &some) {
		return some.Failed[tp] != nil
	}
	return err != nil
}

func (e *CommitError) partitions() []TopicPartition {
	tps := make([]TopicPartition, 0, len(e.Failed))
	for tp := range e.Failed {
		tps = append(tps, tp)
	}
	sort.Slice(tps, func(i, j int) bool { return tps[i].less(tps[j]) })
	return tps
}

// commitError says of a broker's answer to a commit whether trying again can
// help.
func commitError(err error) error {
	switch {
	case errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.UnknownMemberID),
		errors.Is(err, kerr.FencedInstanceID), errors.Is(err, kerr.StaleMemberEpoch),
		errors.Is(err, kerr.UnknownTopicID):
		return fmt.Errorf("%w: %w", ErrNotOwner, err)
	case errors.Is(err, kerr.RebalanceInProgress):
		return fmt.Errorf("%w: %w", ErrRebalancing, err)
	case errors.Is(err, kgo.ErrClientClosed):
		return ErrClosed
	}
	return err
}

// CredentialsRefused says whether err is a broker's refusal to let this process
// in with its SASL credentials.
func CredentialsRefused(err error) bool {
	return errors.Is(err, kerr.SaslAuthenticationFailed) || errors.Is(err, kerr.UnsupportedSaslMechanism) ||
		errors.Is(err, kerr.IllegalSaslState)
}

// explain adds what to do to an error of talking to the brokers.
func (c Config) explain(op string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, kgo.ErrClientClosed) {
		return ErrClosed
	}
	var hint string
	var record tls.RecordHeaderError
	certificate := certificateHint(err)
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		hint = "; the broker refused the user name or the password"
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		hint = "; the broker does not offer this SASL mechanism"
	case errors.Is(err, kerr.IllegalSaslState):
		hint = "; the broker wants no SASL at this address"
	case certificate != "":
		hint = "; " + certificate
	case errors.As(err, &record):
		hint = "; the broker does not speak TLS at this address"
	case errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.TopicAuthorizationFailed),
		errors.Is(err, kerr.GroupAuthorizationFailed):
		hint = "; the user may not do this, an ACL is missing"
	}
	return fmt.Errorf("kafka: %s at %s: %w%s", op, strings.Join(c.Brokers, ","), err, hint)
}

// CodeOf returns the name of the error code with which a broker has answered,
// such as NOT_LEADER_FOR_PARTITION; false if err is no such answer.
func CodeOf(err error) (name string, ok bool) {
	var code *kerr.Error
	if errors.As(err, &code) {
		return code.Message, true
	}
	return "", false
}
