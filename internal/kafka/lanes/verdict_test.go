package lanes

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		err  *kerr.Error
		want verdict
	}{
		{nil, verdict{outcome: acked}},
		{kerr.DuplicateSequenceNumber, verdict{outcome: duplicate}},
		{kerr.MessageTooLarge, verdict{outcome: tooLarge}},
		{kerr.RecordListTooLarge, verdict{outcome: tooLarge}},
		{kerr.InvalidRecord, verdict{outcome: refused}},
		{kerr.InvalidTimestamp, verdict{outcome: refused}},
		{kerr.CorruptMessage, verdict{outcome: corrupt}},
		{kerr.NotEnoughReplicas, verdict{outcome: retry}},
		{kerr.NotEnoughReplicasAfterAppend, verdict{outcome: retry, uncertain: true}},
		{kerr.RequestTimedOut, verdict{outcome: retry, uncertain: true}},
		{kerr.NotLeaderForPartition, verdict{outcome: retry, uncertain: true, seek: true}},
		{kerr.LeaderNotAvailable, verdict{outcome: retry, uncertain: true, seek: true}},
		{kerr.UnknownTopicOrPartition, verdict{outcome: retry, uncertain: true, seek: true}},
		{kerr.KafkaStorageError, verdict{outcome: retry, uncertain: true, seek: true}},
		{kerr.UnknownTopicID, verdict{outcome: retry, seek: true}},
		{kerr.FencedLeaderEpoch, verdict{outcome: retry, seek: true}},
		{kerr.TopicAuthorizationFailed, verdict{outcome: hold}},
		{kerr.ClusterAuthorizationFailed, verdict{outcome: hold}},
		{kerr.InvalidTopicException, verdict{outcome: hold}},
		{kerr.UnsupportedCompressionType, verdict{outcome: hold}},
		{kerr.InvalidProducerEpoch, verdict{outcome: fenced}},
		{kerr.ProducerFenced, verdict{outcome: fenced}},
		{kerr.OutOfOrderSequenceNumber, verdict{outcome: fenced}},
		{kerr.UnknownProducerID, verdict{outcome: fenced}},
		{kerr.UnknownServerError, verdict{outcome: retry, uncertain: true}},
		{&kerr.Error{Message: "FROM_THE_FUTURE", Code: 12345}, verdict{outcome: retry, uncertain: true}},
	} {
		code, name := int16(0), "none"
		if c.err != nil {
			code, name = c.err.Code, c.err.Message
		}
		if got := judge(code); got != c.want {
			t.Errorf("%s: %v %+v, want %v %+v", name, got.outcome, got, c.want.outcome, c.want)
		}
	}
}

func TestJudgeTransport(t *testing.T) {
	for _, c := range []struct {
		err       error
		uncertain bool
	}{
		{io.EOF, true},
		{errors.New("unknown"), true},
		{syscall.ECONNRESET, true},
		{fmt.Errorf("broker 1: %w", &net.OpError{Op: "read", Err: syscall.ECONNREFUSED}), true},
		{fmt.Errorf("broker 1: %w", &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}), false},
		{fmt.Errorf("broker 1: %w", syscall.ECONNREFUSED), false},
	} {
		if got, want := judgeTransport(c.err), (verdict{outcome: retry, uncertain: c.uncertain, seek: true}); got != want {
			t.Errorf("%v: %+v, want %+v", c.err, got, want)
		}
	}
}
