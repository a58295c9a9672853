package eventembed

import (
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Whatever a client sends is a request, or an error, and never a panic: the
// frame comes from the network.
func FuzzParseRequest(f *testing.F) {
	formatter := kmsg.NewRequestFormatter(kmsg.FormatterClientID("fuzz"))
	add := func(request kmsg.Request, version int16) {
		request.SetVersion(version)
		f.Add(formatter.AppendRequest(nil, request, 7)[4:])
	}
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Topics = []kmsg.FetchRequestTopic{{Topic: "t", TopicID: [16]byte{1}, Partitions: []kmsg.FetchRequestTopicPartition{{Partition: 3}}}}
	fetch.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "u", TopicID: [16]byte{2}, Partitions: []int32{1, 2}}}
	add(fetch, 11)
	add(fetch, 16)
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group = "g"
	add(commit, 7)
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKeys = []string{"g", "h"}
	add(find, 4)
	add(kmsg.NewPtrApiVersionsRequest(), 3)
	f.Add([]byte{})
	f.Add([]byte{0, 1, 0, 16, 0, 0, 0, 0, 0xff, 0xff})
	f.Add([]byte{0x7f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if tagsMany(frame) {
			return // kmsg goes through as many of them as the frame says that there are
		}
		key, keyErr := requestKey(frame)
		request, err := parseRequest(frame, 1, func(id [16]byte) string { return string(id[:1]) })
		if err != nil {
			return
		}
		if keyErr != nil || request.key != key || request.body.Key() != int16(key) {
			t.Fatalf("key %v of %v, error %v", key, request.key, keyErr)
		}
		if len(request.header) > len(frame) {
			t.Fatal("the header is longer than the frame")
		}
	})
}

// tagsMany reports whether kmsg's reader of the request may be busy for seconds:
// it does not end with the frame when a number of tagged fields does not, up to
// four billion. What is left has numbers of two million at most.
func tagsMany(frame []byte) bool {
	if len(frame) < 4 {
		return false
	}
	body := kmsg.RequestForKey(int16(binary.BigEndian.Uint16(frame)))
	if body == nil {
		return false
	}
	body.SetVersion(int16(binary.BigEndian.Uint16(frame[2:])))
	long := 0
	for _, b := range frame {
		if b < 0x80 {
			long = 0
		} else if long++; long == 3 {
			return body.IsFlexible()
		}
	}
	return false
}
