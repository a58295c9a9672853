package eventmodels

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// Codec turns payloads into bytes and back for one media type.
// Its methods may be called by many goroutines at once.
type Codec interface {
	// Encode returns the bytes of a payload.
	Encode(payload any) ([]byte, error)
	// Decode reads data into payload, a pointer to the topic's type. An error
	// means that the event is wrong: it is not decoded again, and takes what
	// its handler's OnFailure says. A codec that asks somebody else, for a
	// schema for example, returns an error with [SetErrorHandling] and
	// RetryUntilTimeout if it has got no answer.
	Decode(data []byte, payload any) error
}

// ContentTypeJSON is the media type of payloads that say nothing else.
const ContentTypeJSON = "application/json"

var codecs sync.Map // media type -> Codec

// RegisterCodec makes codec the one for events whose content type is
// mediaType, such as "application/protobuf"; parameters (";charset=…") are
// ignored when it is looked up. Media types that end in +json, and events
// without a content type, are JSON unless registered otherwise. Call it from
// init(). It panics if mediaType is empty or codec is nil.
func RegisterCodec(mediaType string, codec Codec) {
	if mediaType == "" || codec == nil {
		panic("eventmodels.RegisterCodec: a media type and a codec are needed")
	}
	codecs.Store(mediaTypeOf(mediaType), codec)
}

type jsonCodec struct{}

func (jsonCodec) Encode(payload any) ([]byte, error)    { return json.Marshal(payload) }
func (jsonCodec) Decode(data []byte, payload any) error { return json.Unmarshal(data, payload) }

func mediaTypeOf(contentType string) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(mediaType))
}

// codecFor returns nil for a media type that nobody has registered.
func codecFor(contentType string) Codec {
	mediaType := ContentTypeJSON
	if contentType != "" && contentType != ContentTypeJSON {
		if c, ok := codecs.Load(contentType); ok { // as it was registered
			return c.(Codec)
		}
		mediaType = mediaTypeOf(contentType)
	}
	if c, ok := codecs.Load(mediaType); ok {
		return c.(Codec)
	}
	if mediaType == ContentTypeJSON || mediaType == "text/json" || strings.HasSuffix(mediaType, "+json") {
		return jsonCodec{}
	}
	return nil
}

// decodePayload leaves the payload at its zero value for a tombstone (a
// record without value), and for a CloudEvent in JSON whose value is empty:
// no JSON is, and some SDKs write events without data so.
func decodePayload[E any](m *Message, payload *E) error {
	if m.Data == nil {
		return nil
	}
	codec := codecFor(m.ContentType)
	if codec == nil {
		return &DecodeError{Topic: m.Topic, ID: m.ID, ContentType: m.ContentType, Reason: "no codec is registered for this content type (eventmodels.RegisterCodec)"}
	}
	if _, isJSON := codec.(jsonCodec); isJSON && len(m.Data) == 0 && m.SpecVersion != "" {
		return nil
	}
	if err := codec.Decode(m.Data, payload); err != nil {
		return &DecodeError{Topic: m.Topic, ID: m.ID, ContentType: m.ContentType, Reason: decodeReason(err, reflect.TypeFor[E]()), err: err}
	}
	return nil
}

// decodeReason says what kind of error it was and where. It does not quote
// err's text, which may hold a part of the body.
func decodeReason(err error, into reflect.Type) string {
	switch e := err.(type) {
	case *json.SyntaxError:
		return fmt.Sprintf("invalid JSON at byte %d", e.Offset)
	case *json.UnmarshalTypeError:
		return fmt.Sprintf("JSON %s does not fit field %q of type %s (byte %d)", jsonKind(e.Value), e.Field, e.Type, e.Offset)
	}
	return fmt.Sprintf("%T while decoding into %s", err, into)
}

// jsonKind is the first word of "number 12.5": the rest is the value.
func jsonKind(value string) string {
	kind, _, _ := strings.Cut(value, " ")
	return kind
}
