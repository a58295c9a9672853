package eventembed

import (
	"bytes"
	"encoding/binary"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var ordersID = [16]byte{1, 2, 3}

func nameOrders(id [16]byte) string {
	if id == ordersID {
		return "orders"
	}
	return ""
}

// frameOf writes a request as a client does, with its size.
func frameOf(body kmsg.Request, clientID string) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID)).AppendRequest(nil, body, 7)
}

func mustParse(t *testing.T, frame []byte) *request {
	t.Helper()
	req, err := parseRequest(frame[4:], 3, nameOrders)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// versionsOf is every version of every request.
func versionsOf(yield func(kmsg.Request) bool) {
	for key := int16(0); key < kmsg.MaxKey; key++ {
		body := kmsg.RequestForKey(key)
		if body == nil {
			continue
		}
		for v := int16(0); v <= body.MaxVersion(); v++ {
			if kmsg.Key(key) == kmsg.ControlledShutdown && v == 0 {
				continue // between brokers, and with a header of its own
			}
			body := kmsg.RequestForKey(key)
			if d, ok := body.(interface{ Default() }); ok {
				d.Default()
			}
			body.SetVersion(v)
			if !yield(body) {
				return
			}
		}
	}
}

func TestEveryRequestIsReadAndStamped(t *testing.T) {
	for body := range versionsOf {
		frame := frameOf(body, "me")
		req := mustParse(t, frame)
		if req.key != kmsg.Key(body.Key()) || req.correlationID != 7 || req.node != 3 {
			t.Fatalf("%s v%d: read as %+v", req.key.Name(), body.GetVersion(), req)
		}
		if req.clientID != "me" {
			t.Fatalf("%s v%d: client id %q", req.key.Name(), body.GetVersion(), req.clientID)
		}
		for _, from := range []origin{{internal: true}, {clientID: "me"}, {}} {
			stamped := stamp(mustParse(t, frame), from)
			if !body.IsFlexible() {
				if stamped != nil {
					t.Fatalf("%s v%d: stamped without tagged fields", req.key.Name(), body.GetVersion())
				}
				continue
			}
			if size := binary.BigEndian.Uint32(stamped); int(size) != len(stamped)-4 {
				t.Fatalf("%s v%d: size %d of %d bytes", req.key.Name(), body.GetVersion(), size, len(stamped)-4)
			}
			got := mustParse(t, stamped)
			if o, ok := originOf(got.body); !ok || o != from {
				t.Fatalf("%s v%d: origin %+v, %v", req.key.Name(), body.GetVersion(), o, ok)
			}
			// Nothing else has changed.
			tagsOf(got.body).Set(originTag, nil)
			plain := mustParse(t, frame)
			tagsOf(plain.body).Set(originTag, nil)
			if !bytes.Equal(got.body.AppendTo(nil), plain.body.AppendTo(nil)) || !bytes.Equal(got.header, plain.header) {
				t.Fatalf("%s v%d: the stamp has changed the request", req.key.Name(), body.GetVersion())
			}
		}
		if o, ok := originOf(req.body); ok {
			t.Fatalf("%s: an origin without stamp: %+v", req.key.Name(), o)
		}
	}
}

// filled is a request with values in all its fields.
func filled(body kmsg.Request) kmsg.Request {
	fill(reflect.ValueOf(body).Elem(), "")
	return body
}

func fill(v reflect.Value, field string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			switch f := v.Type().Field(i); f.Name {
			case "Version", "UnknownTags", "CoordinatorType":
			default:
				fill(v.Field(i), f.Name)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), field)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), field)
	case reflect.Array:
		v.Set(reflect.ValueOf(ordersID))
	case reflect.String:
		switch field {
		case "Topic", "TopicNames":
			v.SetString("orders")
		case "Group", "GroupID", "Groups", "CoordinatorKey", "CoordinatorKeys":
			v.SetString("billing")
		default:
			v.SetString("x")
		}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(5)
	case reflect.Bool:
		v.SetBool(true)
	}
}

func TestWhatRequestsName(t *testing.T) {
	topic := []topicPartition{{"orders", noPartition}}
	partition := []topicPartition{{"orders", noPartition}, {"orders", 5}}
	group := []string{"billing"}
	for _, c := range []struct {
		body   kmsg.Request
		topics []topicPartition
		groups []string
	}{
		{kmsg.NewPtrProduceRequest(), partition, nil},
		{kmsg.NewPtrFetchRequest(), partition, nil},
		{kmsg.NewPtrListOffsetsRequest(), partition, nil},
		{kmsg.NewPtrMetadataRequest(), topic, nil},
		{kmsg.NewPtrOffsetCommitRequest(), partition, group},
		{kmsg.NewPtrOffsetFetchRequest(), partition, group},
		{kmsg.NewPtrFindCoordinatorRequest(), nil, group},
		{kmsg.NewPtrJoinGroupRequest(), nil, group},
		{kmsg.NewPtrSyncGroupRequest(), nil, group},
		{kmsg.NewPtrHeartbeatRequest(), nil, group},
		{kmsg.NewPtrLeaveGroupRequest(), nil, group},
		{kmsg.NewPtrConsumerGroupHeartbeatRequest(), partition, group},
		{kmsg.NewPtrDescribeGroupsRequest(), nil, group},
		{kmsg.NewPtrDeleteGroupsRequest(), nil, group},
		{kmsg.NewPtrCreateTopicsRequest(), partition, nil},
		{kmsg.NewPtrCreatePartitionsRequest(), topic, nil},
		{kmsg.NewPtrDeleteTopicsRequest(), topic, nil},
		{kmsg.NewPtrDeleteRecordsRequest(), partition, nil},
		{kmsg.NewPtrOffsetForLeaderEpochRequest(), partition, nil},
		{kmsg.NewPtrAddPartitionsToTxnRequest(), partition, nil},
		{kmsg.NewPtrAddOffsetsToTxnRequest(), nil, group},
		{kmsg.NewPtrTxnOffsetCommitRequest(), partition, group},
		{kmsg.NewPtrInitProducerIDRequest(), nil, nil},
		{kmsg.NewPtrApiVersionsRequest(), nil, nil},
	} {
		for v := int16(0); v <= c.body.MaxVersion(); v++ {
			name := kmsg.Key(c.body.Key()).Name()
			body := filled(kmsg.RequestForKey(c.body.Key()))
			body.SetVersion(v)
			req := mustParse(t, frameOf(body, "me"))
			slices.Sort(req.named.groups)
			if got := slices.Compact(req.named.groups); !slices.Equal(got, c.groups) {
				t.Errorf("%s v%d: groups %v, want %v", name, v, got, c.groups)
			}
			want := make(map[topicPartition]struct{})
			for _, tp := range c.topics {
				want[tp] = struct{}{}
			}
			if !maps.Equal(req.named.topics, want) {
				t.Errorf("%s v%d: topics %v, want %v", name, v, req.named.topics, want)
			}
		}
	}
}

func TestFetchSessionsAreFollowed(t *testing.T) {
	var s fetchSessions
	fetch := func(version int16, correlationID, session, epoch int32, named []int32, forgotten ...int32) *request {
		body := kmsg.NewPtrFetchRequest()
		body.Version, body.SessionID, body.SessionEpoch = version, session, epoch
		rt := kmsg.NewFetchRequestTopic()
		rt.Topic, rt.TopicID = "orders", ordersID
		for _, p := range named {
			rp := kmsg.NewFetchRequestTopicPartition()
			rp.Partition = p
			rt.Partitions = append(rt.Partitions, rp)
		}
		if len(named) > 0 {
			body.Topics = append(body.Topics, rt)
		}
		if len(forgotten) > 0 {
			ft := kmsg.NewFetchRequestForgottenTopic()
			ft.Topic, ft.TopicID, ft.Partitions = "orders", ordersID, forgotten
			body.ForgottenTopics = append(body.ForgottenTopics, ft)
		}
		req := mustParse(t, frameOf(body, "me"))
		req.correlationID = correlationID
		s.request(req)
		return req
	}
	answer := func(version int16, correlationID, session int32) {
		resp := kmsg.NewPtrFetchResponse()
		resp.Version, resp.SessionID = version, session
		frame := make([]byte, 8)
		if resp.IsFlexible() {
			frame = append(frame, 0)
		}
		s.response(correlationID, resp.AppendTo(frame))
	}
	check := func(what string, req *request, want ...int32) {
		t.Helper()
		var got []int32
		for tp := range req.named.topics {
			if tp.partition != noPartition {
				got = append(got, tp.partition)
			}
		}
		slices.Sort(got)
		_, topic := req.named.topics[topicPartition{"orders", noPartition}]
		if !slices.Equal(got, want) || topic != (len(want) > 0) {
			t.Errorf("%s: got %v and topic %v, want %v", what, got, topic, want)
		}
	}
	for _, version := range []int16{7, 11, 12, 17} {
		s = fetchSessions{}
		check("full", fetch(version, 1, 0, 0, []int32{0, 1}), 0, 1)
		answer(version, 1, 42)
		check("nothing has changed", fetch(version, 2, 42, 1, nil), 0, 1)
		check("one more", fetch(version, 3, 42, 2, []int32{2}), 0, 1, 2)
		check("one less", fetch(version, 4, 42, 3, nil, 1), 0, 2)
		check("none left", fetch(version, 5, 42, 4, nil, 0, 2))
		check("one again", fetch(version, 6, 42, 5, []int32{1}), 1)
		check("another session", fetch(version, 7, 43, 1, nil))
		check("the end", fetch(version, 8, 42, -1, nil))
		check("after the end", fetch(version, 9, 42, 6, nil))
		check("full without session", fetch(version, 10, 0, 0, []int32{3}), 3)
		answer(version, 10, 0)
		answer(version, 99, 42) // of something else
		if len(s.partitions) != 0 || len(s.beginning) != 0 {
			t.Errorf("version %d: remembers too much: %+v", version, s)
		}
	}
}

// Requests that end too early are errors, whatever they are.
func TestRequestsThatEndTooEarly(t *testing.T) {
	for body := range versionsOf {
		if body.GetVersion() != body.MaxVersion() {
			continue
		}
		frame := frameOf(filled(body), "me")[4:]
		for n := range len(frame) {
			if _, err := requestKey(frame[:n]); (err != nil) != (n < 2) {
				t.Fatalf("%s, %d bytes: key: %v", kmsg.Key(body.Key()).Name(), n, err)
			}
			if _, err := parseRequest(frame[:n], 0, nameOrders); err == nil {
				t.Fatalf("%s, %d bytes of %d: no error", kmsg.Key(body.Key()).Name(), n, len(frame))
			}
		}
	}
}

// Four billion tagged fields that the header says there are, and that nobody has
// sent, take no time.
func TestTagsEndWithTheFrame(t *testing.T) {
	r := kbin.Reader{Src: []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1}}
	skipTags(&r)
	if r.Ok() || len(r.Src) != 0 {
		t.Errorf("read without error, %d bytes left", len(r.Src))
	}
}
