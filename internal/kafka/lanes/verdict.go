package lanes

import (
	"errors"
	"net"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
)

// outcome is what a broker's answer means for a batch.
type outcome uint8

const (
	// acked: the brokers hold it.
	acked outcome = iota
	// duplicate: the broker has a batch with these sequence numbers. If an
	// earlier attempt of this one may have been written, it is this one.
	duplicate
	// tooLarge: it, or a record of it, is larger than the topic allows.
	tooLarge
	// refused: a record of it is wrong.
	refused
	// corrupt: it did not arrive as it was sent, or it is wrong.
	corrupt
	// retry: it can go well later.
	retry
	// hold: it cannot go well until somebody changes something.
	hold
	// fenced: the identity is refused.
	fenced
)

func (o outcome) String() string {
	return [...]string{"acked", "duplicate", "tooLarge", "refused", "corrupt", "retry", "hold", "fenced"}[o]
}

// verdict is what is done about an answer.
type verdict struct {
	outcome
	// uncertain: the batch may have been written although the answer is an
	// error. It must be sent again as it is, byte for byte.
	uncertain bool
	// seek: the broker may not be the partition's leader, or the topic not
	// the one that was known: look it up.
	seek bool
}

// verdicts decides about every error code that means something to a produce
// request. What is not here is tried again, as if it could have been written.
//
// An answer that the leader has changed, that the partition is not there or
// that a disk has failed can come after the append: a broker that waits for its
// followers answers so when it loses the partition meanwhile.
var verdicts = map[int16]verdict{
	0:                                            {outcome: acked},
	kerr.DuplicateSequenceNumber.Code:            {outcome: duplicate},
	kerr.MessageTooLarge.Code:                    {outcome: tooLarge},
	kerr.RecordListTooLarge.Code:                 {outcome: tooLarge},
	kerr.InvalidRecord.Code:                      {outcome: refused},
	kerr.InvalidTimestamp.Code:                   {outcome: refused},
	kerr.CorruptMessage.Code:                     {outcome: corrupt},
	kerr.NotEnoughReplicas.Code:                  {outcome: retry},
	kerr.ThrottlingQuotaExceeded.Code:            {outcome: retry},
	kerr.NotEnoughReplicasAfterAppend.Code:       {outcome: retry, uncertain: true},
	kerr.RequestTimedOut.Code:                    {outcome: retry, uncertain: true},
	kerr.NetworkException.Code:                   {outcome: retry, uncertain: true, seek: true},
	kerr.NotLeaderForPartition.Code:              {outcome: retry, uncertain: true, seek: true},
	kerr.LeaderNotAvailable.Code:                 {outcome: retry, uncertain: true, seek: true},
	kerr.ReplicaNotAvailable.Code:                {outcome: retry, uncertain: true, seek: true},
	kerr.BrokerNotAvailable.Code:                 {outcome: retry, uncertain: true, seek: true},
	kerr.KafkaStorageError.Code:                  {outcome: retry, uncertain: true, seek: true},
	kerr.UnknownTopicOrPartition.Code:            {outcome: retry, uncertain: true, seek: true},
	kerr.UnknownTopicID.Code:                     {outcome: retry, seek: true},
	kerr.InconsistentTopicID.Code:                {outcome: retry, seek: true},
	kerr.FencedLeaderEpoch.Code:                  {outcome: retry, seek: true},
	kerr.UnknownLeaderEpoch.Code:                 {outcome: retry, seek: true},
	kerr.TopicAuthorizationFailed.Code:           {outcome: hold},
	kerr.ClusterAuthorizationFailed.Code:         {outcome: hold},
	kerr.InvalidTopicException.Code:              {outcome: hold},
	kerr.PolicyViolation.Code:                    {outcome: hold},
	kerr.InvalidRequiredAcks.Code:                {outcome: hold},
	kerr.UnsupportedVersion.Code:                 {outcome: hold},
	kerr.UnsupportedForMessageFormat.Code:        {outcome: hold},
	kerr.UnsupportedCompressionType.Code:         {outcome: hold},
	kerr.InvalidProducerEpoch.Code:               {outcome: fenced},
	kerr.ProducerFenced.Code:                     {outcome: fenced},
	kerr.OutOfOrderSequenceNumber.Code:           {outcome: fenced},
	kerr.UnknownProducerID.Code:                  {outcome: fenced},
	kerr.InvalidProducerIDMapping.Code:           {outcome: fenced},
	kerr.InvalidTxnState.Code:                    {outcome: fenced},
	kerr.TransactionalIDAuthorizationFailed.Code: {outcome: hold},
}

// judge decides about an error code.
func judge(code int16) verdict {
	if v, ok := verdicts[code]; ok {
		return v
	}
	return verdict{outcome: retry, uncertain: true}
}

// judgeTransport decides about a request without an answer.
func judgeTransport(err error) verdict {
	return verdict{outcome: retry, uncertain: !neverSent(err), seek: true}
}

// neverSent reports whether err proves that nothing of a request has left the
// process, because there was no connection.
func neverSent(err error) bool {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Op == "dial"
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
