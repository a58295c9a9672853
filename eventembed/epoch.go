package eventembed

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A client that finds a new leader asks where the leader epoch that it knows
// has ended, to see whether its position still exists. Kafka knows that from
// the election on; the cluster only once the new leader has stored something,
// and until then answers that it knows nothing of the epoch, as after an
// unclean election: clients would read again from somewhere. As nothing is
// truncated here, the answer for the present epoch (the partition's end) is
// right for every older one.

// askPresentEpoch makes questions about older epochs ones about the present
// epoch, as far as the client knows that. It reports whether there were any.
func askPresentEpoch(req *kmsg.OffsetForLeaderEpochRequest) (changed bool) {
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			p := &req.Topics[i].Partitions[j]
			if p.LeaderEpoch < p.CurrentLeaderEpoch {
				p.LeaderEpoch = p.CurrentLeaderEpoch
				changed = true
			}
		}
	}
	return changed
}

// reframe writes the frame of a request again, with its size before it.
func reframe(req *request) []byte {
	frame := append(make([]byte, 4, 4+len(req.header)), req.header...)
	frame = req.body.AppendTo(frame)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}
