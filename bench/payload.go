package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// order is the payload of all events.
type order struct {
	ID       int64     `json:"id"`
	Customer string    `json:"customer"`
	Status   string    `json:"status"`
	Currency string    `json:"currency"`
	Cents    int64     `json:"cents"`
	PlacedAt time.Time `json:"placed_at"`
	Note     string    `json:"note"`
}

// words make notes that can be compressed like text, and not like one letter
// that is repeated.
var words = []string{
	"deliver", "to", "the", "back", "door", "of", "number", "twelve", "between", "nine", "and", "eleven", "in", "morning",
	"leave", "with", "neighbour", "if", "nobody", "opens", "please", "ring", "twice", "fragile", "glass", "inside", "keep",
	"upright", "customer", "pays", "invoice", "thirty", "days", "after", "receipt", "gift", "wrap", "blue", "paper", "card",
}

// newOrder returns an order whose JSON has size bytes.
func newOrder(id int64, size int) order {
	random := rand.New(rand.NewPCG(uint64(id), 1))
	o := order{
		ID:       id,
		Customer: fmt.Sprintf("customer-%06d", random.IntN(1e6)),
		Status:   "placed",
		Currency: "EUR",
		Cents:    random.Int64N(1e6),
		PlacedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	missing := size - len(o.json())
	note := make([]byte, 0, missing+16)
	for len(note) < missing {
		note = append(append(note, words[random.IntN(len(words))]...), ' ')
	}
	o.Note = string(note[:missing])
	return o
}

func (o order) json() []byte {
	encoded, err := json.Marshal(o)
	if err != nil {
		panic(err) // there is nothing in an order that could not be encoded
	}
	return encoded
}

// variety is how many different payloads and keys there are; events have them in
// turn.
const variety = 1 << 12

// newOrders returns variety orders with JSON of size bytes.
func newOrders(size int) []order {
	orders := make([]order, variety)
	for i := range orders {
		orders[i] = newOrder(int64(i), size)
	}
	return orders
}

// newPayloads returns variety orders as JSON.
func newPayloads(size int) [][]byte {
	payloads := make([][]byte, variety)
	for i, o := range newOrders(size) {
		payloads[i] = o.json()
	}
	return payloads
}

// newKeys returns variety keys.
func newKeys() []string {
	keys := make([]string, variety)
	for i := range keys {
		keys[i] = "order-" + strconv.Itoa(i)
	}
	return keys
}

// contentTypeRaw is that of payloads that a handler gets as they are.
const contentTypeRaw = "application/octet-stream"

func init() { eventmodels.RegisterCodec(contentTypeRaw, rawCodec{}) }

// rawCodec hands []byte on.
type rawCodec struct{}

func (rawCodec) Encode(payload any) ([]byte, error) {
	raw, ok := payload.([]byte)
	if !ok {
		return nil, fmt.Errorf("%T is not []byte", payload)
	}
	return raw, nil
}

func (rawCodec) Decode(data []byte, payload any) error {
	into, ok := payload.(*[]byte)
	if !ok {
		return fmt.Errorf("%T is not *[]byte", payload)
	}
	*into = data
	return nil
}

// encodedEvent is an event that is encoded already.
type encodedEvent struct {
	topic, key, contentType string
	payload                 []byte
}

var _ eventmodels.SelfMarshalingEvent = encodedEvent{}

func (e encodedEvent) GetKey() string                   { return e.key }
func (e encodedEvent) GetTimestamp() time.Time          { return time.Time{} }
func (e encodedEvent) GetTopic() string                 { return e.topic }
func (e encodedEvent) GetHeaders() map[string][]string  { return nil }
func (e encodedEvent) Marshal() ([]byte, string, error) { return e.payload, e.contentType, nil }
