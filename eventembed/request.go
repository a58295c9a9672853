package eventembed

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// request is one request of a client, as it came from the network.
type request struct {
	key           kmsg.Key
	correlationID int32
	clientID      string
	node          int32
	named         entities                    // what the request is about
	forgotten     map[topicPartition]struct{} // what a fetch takes out of its session

	body   kmsg.Request
	header []byte // of the frame, without the size
}

// entities is what a request names: what the selectors of a Match are
// compared with.
type entities struct {
	groups []string
	topics map[topicPartition]struct{}
}

// topicPartition is a partition, or with partition noPartition a topic.
type topicPartition struct {
	topic     string
	partition int32
}

const noPartition = -1

var (
	errUnknownRequest = errors.New("a request that Kafka does not know; is this a Kafka client?")
	errShortRequest   = errors.New("a request that ends in its header")
)

// requestKey reads which request a frame (without its size) holds.
func requestKey(frame []byte) (kmsg.Key, error) {
	r := kbin.Reader{Src: frame}
	key := r.Int16()
	if !r.Ok() {
		return 0, errShortRequest
	}
	if kmsg.RequestForKey(key) == nil {
		return 0, fmt.Errorf("%w (key %d)", errUnknownRequest, key)
	}
	return kmsg.Key(key), nil
}

// parseRequest reads a frame (without its size). Names of topics that the
// request gives by id are asked from name, which returns "" for an unknown id.
func parseRequest(frame []byte, node int32, name func(id [16]byte) string) (*request, error) {
	r := kbin.Reader{Src: frame}
	key, version := r.Int16(), r.Int16()
	req := &request{key: kmsg.Key(key), node: node, correlationID: r.Int32()}
	if id := r.NullableString(); id != nil {
		req.clientID = *id
	}
	if !r.Ok() {
		return nil, errShortRequest
	}
	req.body = kmsg.RequestForKey(key)
	if req.body == nil {
		return nil, fmt.Errorf("%w (key %d)", errUnknownRequest, key)
	}
	req.body.SetVersion(version)
	if req.body.IsFlexible() {
		skipTags(&r)
	}
	req.header = frame[:len(frame)-len(r.Src)]
	if err := req.body.ReadFrom(r.Src); err != nil {
		return nil, fmt.Errorf("%s request: %w", req.key.Name(), err)
	}
	req.named.topics = make(map[topicPartition]struct{})
	w := walker{found: &req.named, name: name}
	w.walk(reflect.ValueOf(req.body).Elem(), "")
	w.coordinator(req.body)
	if fetch, ok := req.body.(*kmsg.FetchRequest); ok {
		var gone entities
		gone.topics = make(map[topicPartition]struct{})
		w := walker{found: &gone, name: name}
		w.slice("ForgottenTopics", reflect.ValueOf(fetch.ForgottenTopics), "")
		req.forgotten = gone.topics
	}
	return req, nil
}

// skipTags passes the tagged fields of a header. Unlike kmsg's it ends with the
// frame: a number of fields that nobody has sent would keep it busy for long.
func skipTags(r *kbin.Reader) {
	for n := r.Uvarint(); n > 0 && r.Ok(); n-- {
		r.Uvarint() // the field's key
		r.Span(int(r.Uvarint()))
	}
}

// walker collects what a request names from its fields. Kafka's requests spell
// the same thing with the same field names throughout.
type walker struct {
	found *entities
	name  func(id [16]byte) string
}

// walk looks at a struct of a request that is about topic, "" for none yet.
func (w *walker) walk(v reflect.Value, topic string) {
	if t := w.topicOf(v); t != "" {
		topic = t
		w.found.topics[topicPartition{topic, noPartition}] = struct{}{}
	}
	for i := range v.NumField() {
		field, f := v.Type().Field(i), v.Field(i)
		switch field.Name {
		case "ForgottenTopics", "Cursor":
			// What a fetch is not about any more, and a position.
		case "Group", "GroupID":
			if f.Kind() == reflect.String && f.String() != "" {
				w.found.groups = append(w.found.groups, f.String())
			}
		case "TopicNames":
			for _, t := range stringsOf(f) {
				w.found.topics[topicPartition{t, noPartition}] = struct{}{}
			}
		case "Partition":
			if f.Kind() == reflect.Int32 && topic != "" {
				w.found.topics[topicPartition{topic, int32(f.Int())}] = struct{}{}
			}
		default:
			w.slice(field.Name, f, topic)
		}
	}
}

func (w *walker) slice(name string, f reflect.Value, topic string) {
	if f.Kind() != reflect.Slice {
		return
	}
	switch f.Type().Elem().Kind() {
	case reflect.Struct:
		for i := range f.Len() {
			w.walk(f.Index(i), topic)
		}
	case reflect.Int32:
		if name == "Partitions" && topic != "" {
			for i := range f.Len() {
				w.found.topics[topicPartition{topic, int32(f.Index(i).Int())}] = struct{}{}
			}
		}
	case reflect.String:
		if name == "Groups" {
			w.found.groups = append(w.found.groups, stringsOf(f)...)
		}
	}
}

// topicOf is the topic that a struct names itself.
func (w *walker) topicOf(v reflect.Value) string {
	if f := v.FieldByName("Topic"); f.IsValid() {
		switch {
		case f.Kind() == reflect.String && f.String() != "":
			return f.String()
		case f.Kind() == reflect.Pointer && !f.IsNil() && f.Elem().Kind() == reflect.String:
			return f.Elem().String()
		}
	}
	if f := v.FieldByName("TopicID"); f.IsValid() {
		if id, ok := f.Interface().([16]byte); ok && id != [16]byte{} {
			return w.name(id)
		}
	}
	return ""
}

// coordinator adds the group whose coordinator is asked for.
func (w *walker) coordinator(body kmsg.Request) {
	const group = 0
	find, ok := body.(*kmsg.FindCoordinatorRequest)
	if !ok || find.CoordinatorType != group {
		return
	}
	if find.CoordinatorKey != "" {
		w.found.groups = append(w.found.groups, find.CoordinatorKey)
	}
	w.found.groups = append(w.found.groups, find.CoordinatorKeys...)
}

func stringsOf(v reflect.Value) []string {
	s, _ := v.Interface().([]string)
	return s
}
