package cloudevents

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// hexBytes are nil for null.
type hexBytes []byte

func (b *hexBytes) UnmarshalJSON(text []byte) error {
	var s *string
	if err := json.Unmarshal(text, &s); err != nil || s == nil {
		return err
	}
	decoded, err := hex.DecodeString(*s)
	if decoded == nil {
		decoded = []byte{}
	}
	*b = decoded
	return err
}

// fixture is a record that an SDK has written; see testdata/README.md.
type fixture struct {
	Name    string   `json:"name"`
	Key     hexBytes `json:"key"`
	Headers []struct {
		Name  string   `json:"name"`
		Value hexBytes `json:"value"`
	} `json:"headers"`
	Value hexBytes `json:"value"`
}

func (f *fixture) record() *kafka.Record {
	r := &kafka.Record{Topic: "orders", Key: f.Key, Value: f.Value, Timestamp: recordTime, Partition: 3, Offset: 4}
	for _, h := range f.Headers {
		r.Headers = append(r.Headers, kafka.Header{Key: h.Name, Value: h.Value})
	}
	return r
}

func readFixtures(t testing.TB, sdk string) []fixture {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "fixtures", sdk+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []fixture
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

var recordTime = time.UnixMilli(5).UTC()

// sdks are the SDKs of the fixtures and what they make of the events' time.
var sdks = map[string]struct {
	time  time.Time
	names string
}{
	"go": {time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC),
		"full nocontenttype charset base64 bytes text string nodata notime batch"},
	"java":       {time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC), "full nocontenttype charset bytes text string nodata notime"},
	"javascript": {time.Date(2026, 1, 2, 3, 4, 5, 678000000, time.UTC), "full nocontenttype charset bytes text nodata"},
	"python":     {time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC), "full nocontenttype charset bytes text nodata"},
	"python-v1":  {time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC), "full nocontenttype charset bytes text nodata"},
}

// wantFixture is what a fixture has to be read as. Data in JSON is compared
// by its value.
func wantFixture(sdk, mode, name string) eventmodels.Message {
	want := eventmodels.Message{
		ID: "e-1", Source: "https://shop.example/orders", Type: "com.example.order.placed", SpecVersion: "1.0",
		ContentType: "application/json", Data: []byte(`{"n":7,"name":"Zoë"}`), Timestamp: sdks[sdk].time, Partition: 3, Offset: 4,
	}
	switch name {
	case "full":
		want.Key = "k-17"
		want.Subject = "order-17"
		want.DataSchema = "https://shop.example/schemas/order.json"
		want.Headers = map[string][]string{"ce_tenant": {"blue"}, "ce_attempt": {"3"}, "ce_partitionkey": {"k-17"}}
		if sdk == "go" || sdk == "java" { // the others' extensions are strings
			want.Headers["ce_urgent"] = []string{"true"}
		}
		if sdk == "python-v1" && mode == "binary" {
			delete(want.Headers, "ce_partitionkey") // it is the key alone
		}
	case "nocontenttype":
		want.ContentType = ""
	case "charset":
		want.ContentType = "application/json;charset=utf-8"
	case "bytes":
		want.ContentType, want.Data = "application/octet-stream", []byte{0, 1, 255}
	case "text":
		want.ContentType, want.Data = "text/plain", []byte("a\nb ü")
	case "string":
		want.Data = []byte(`"a"`)
	case "nodata":
		want.ContentType, want.Subject, want.Data = "", "order-17", nil
		if sdk == "python" && mode == "binary" {
			want.Data = []byte{} // it never writes a tombstone
		}
	case "notime":
		want.Timestamp = recordTime
	}
	return want
}

// What the SDKs write is read, every attribute of it.
func TestFixtures(t *testing.T) {
	for sdk, is := range sdks {
		missing := map[string]bool{}
		for name := range strings.FieldsSeq(is.names) {
			missing[name] = true
		}
		for _, f := range readFixtures(t, sdk) {
			mode, name, _ := strings.Cut(f.Name, "/")
			if mode == "batch" {
				delete(missing, "batch")
				checkBatch(t, f)
				continue
			}
			delete(missing, name)
			t.Run(sdk+"/"+f.Name, func(t *testing.T) {
				got, err := Decode(f.record())
				if err != nil {
					t.Fatal(err)
				}
				checkMessage(t, got, wantFixture(sdk, mode, name))
			})
		}
		if len(missing) > 0 {
			t.Errorf("%s: no fixtures %v", sdk, missing)
		}
	}
}

// The binding has no batches. One is refused with words, and its body is not
// in them.
func checkBatch(t *testing.T, f fixture) {
	_, err := Decode(f.record())
	var decode *eventmodels.DecodeError
	if !errors.As(err, &decode) || !errors.Is(err, eventmodels.ErrDecode) || !strings.Contains(err.Error(), "batch") || strings.Contains(err.Error(), "order-17") {
		t.Errorf("a batch: %v", err)
	}
}

func checkMessage(t *testing.T, got, want eventmodels.Message) {
	t.Helper()
	if (got.Data == nil) != (want.Data == nil) || !bytes.Equal(normal(got), normal(want)) {
		t.Errorf("data %q, want %q", got.Data, want.Data)
	}
	if !got.Timestamp.Equal(want.Timestamp) {
		t.Errorf("time %v, want %v", got.Timestamp, want.Timestamp)
	}
	if !maps.EqualFunc(got.Headers, want.Headers, func(a, b []string) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		t.Errorf("headers %v, want %v", got.Headers, want.Headers)
	}
	for _, m := range []*eventmodels.Message{&got, &want} {
		m.Data, m.Headers, m.Timestamp = nil, nil, time.Time{}
	}
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

// normal is an event's data, JSON without what does not matter in it.
func normal(m eventmodels.Message) []byte {
	var v any
	if !isJSON(m.ContentType) || json.Unmarshal(m.Data, &v) != nil {
		return m.Data
	}
	text, _ := json.Marshal(v)
	return text
}

// What a handler gets of the fixtures with JSON in them, or nothing.
func TestFixturesReachHandlers(t *testing.T) {
	type order struct {
		N    int    `json:"n"`
		Name string `json:"name"`
	}
	var got eventmodels.Event[order]
	handler := eventmodels.BindTopic[order]("orders").Handler(func(_ context.Context, e eventmodels.Event[order]) error {
		got = e
		return nil
	})
	for sdk := range sdks {
		for _, f := range readFixtures(t, sdk) {
			_, name, _ := strings.Cut(f.Name, "/")
			want := order{7, "Zoë"}
			switch name {
			case "bytes", "text", "string", "two":
				continue
			case "nodata":
				want = order{}
			}
			m, err := Decode(f.record())
			if err != nil {
				t.Fatal(err)
			}
			if err := handler.Handle(t.Context(), &m); err != nil || got.Payload != want {
				t.Errorf("%s/%s: %+v, %v", sdk, f.Name, got.Payload, err)
			}
		}
	}
}
