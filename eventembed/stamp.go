package eventembed

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Faults that answer with an error are the cluster's work, and the cluster
// shows them a request without the client it came from. So the connection
// stamps the client's id on the request, as a tagged field that Kafka's
// protocol lets everybody ignore who does not know it.

// originTag is the number of the tagged field; far above any that Kafka uses.
const originTag = 1 << 20

// origin is who sent a request.
type origin struct {
	internal bool // the Broker itself, for one of its methods
	clientID string
}

// stamp writes the frame of req again, with its origin on it. Versions of
// requests from before tagged fields stay as they are; nil is returned.
func stamp(req *request, o origin) []byte {
	tags := tagsOf(req.body)
	if tags == nil || !req.body.IsFlexible() {
		return nil
	}
	value := "c" + o.clientID
	if o.internal {
		value = "i"
	}
	tags.Set(originTag, []byte(value))
	return reframe(req)
}

// originOf reads what stamp has written; ok is false if it has not.
func originOf(body kmsg.Request) (o origin, ok bool) {
	tags := tagsOf(body)
	if tags == nil {
		return origin{}, false
	}
	tags.Each(func(tag uint32, value []byte) {
		if tag == originTag && len(value) > 0 {
			o, ok = origin{internal: value[0] == 'i', clientID: string(value[1:])}, true
		}
	})
	return o, ok
}

func tagsOf(body kmsg.Request) *kmsg.Tags {
	f := reflect.ValueOf(body).Elem().FieldByName("UnknownTags")
	if !f.IsValid() {
		return nil
	}
	tags, _ := f.Addr().Interface().(*kmsg.Tags)
	return tags
}
