package letters

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// Headers of the protocol: prefix, and those that begin with it and a hyphen.
const (
	prefix = "events-letter"

	headerKind      = prefix
	headerID        = prefix + "-id"
	headerGroup     = prefix + "-group"
	headerHandler   = prefix + "-handler"
	headerTopic     = prefix + "-topic"
	headerFollows   = prefix + "-follows"
	headerMode      = prefix + "-mode"
	headerError     = prefix + "-error"
	headerCause     = prefix + "-cause"
	headerAttempts  = prefix + "-attempts"
	headerFirst     = prefix + "-first"
	headerLast      = prefix + "-last"
	headerNotBefore = prefix + "-not-before"
	headerOrigin    = prefix + "-origin" // topic/partition/offset
	headerTime      = prefix + "-time"
	headerInstance  = prefix + "-instance"
	headerReplay    = prefix + "-replay"
	headerBy        = prefix + "-by"
	headerReason    = prefix + "-reason"
	headerTook      = prefix + "-took"
)

// maxText bounds free texts: errors, reasons and names.
const maxText = 4000

// Origin is where an event was first written.
type Origin struct {
	Topic     string // wire topic
	Partition int32
	Offset    int64
}

// Header is what the headers of a record of the protocol say. Which fields
// matter depends on Kind.
type Header struct {
	Kind    Kind
	ID      eventmodels.Mark
	Group   string // without prefix
	Handler string
	Topic   string // base topic, without prefix
	Follows int64  // NoRecord: none

	// Letter, Copy:

	Mode      Mode
	Error     string
	Cause     string
	Last      time.Time
	NotBefore time.Time // zero: at once
	Instance  string

	// Letter, Copy, and a Replay, which carries them on:

	Attempts int
	First    time.Time
	Origin   Origin
	// Time is the timestamp of the record that the event was first fetched in.
	// The letter's own records have the time when they were appended.
	Time time.Time

	// Replay, Done, and a Letter that a replay has led to:

	Replay string

	// Replay, Discard, Reopen:

	By, Reason string

	// Done:

	Took time.Duration
}

// Append adds the header's fields to a record's headers.
func (h Header) Append(headers []kafka.Header) []kafka.Header {
	add := func(name, value string) {
		if value != "" {
			headers = append(headers, kafka.Header{Key: name, Value: []byte(value)})
		}
	}
	at := func(name string, t time.Time) {
		if !t.IsZero() {
			add(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	add(headerKind, h.Kind.String())
	add(headerID, hex.EncodeToString(h.ID[:]))
	add(headerGroup, h.Group)
	add(headerHandler, h.Handler)
	add(headerTopic, h.Topic)
	if h.Follows != NoRecord {
		add(headerFollows, strconv.FormatInt(h.Follows, 10))
	}
	if h.Kind == Letter || h.Kind == Copy {
		add(headerMode, h.Mode.String())
		add(headerError, Shorten(h.Error, maxText))
		add(headerCause, h.Cause)
		at(headerLast, h.Last)
		at(headerNotBefore, h.NotBefore)
		add(headerInstance, h.Instance)
	}
	at(headerFirst, h.First)
	if h.Origin.Topic != "" {
		add(headerOrigin, fmt.Sprintf("%s/%d/%d", h.Origin.Topic, h.Origin.Partition, h.Origin.Offset))
	}
	at(headerTime, h.Time)
	if h.Attempts > 0 {
		add(headerAttempts, strconv.Itoa(h.Attempts))
	}
	add(headerReplay, h.Replay)
	add(headerBy, Shorten(h.By, maxText))
	add(headerReason, Shorten(h.Reason, maxText))
	if h.Took > 0 {
		add(headerTook, h.Took.String())
	}
	return headers
}

// ErrForeign says that a record of a dead-letter topic is not of the protocol.
var ErrForeign = errors.New("letters: the record is not one of the dead-letter protocol")

// Parse reads a record's headers, and returns those that are not of the
// protocol: the event's own. The error is ErrForeign for a record without them,
// and another one if they cannot be read: such a record is not run either.
func Parse(headers []kafka.Header) (h Header, own []kafka.Header, err error) {
	h.Follows = NoRecord
	protocol := false
	for _, header := range headers {
		if !ofProtocol(header) {
			own = append(own, header)
			continue
		}
		if header.Key == headerKind {
			protocol = true
		}
		if bad := h.set(header.Key, string(header.Value)); bad != nil && err == nil {
			err = fmt.Errorf("letters: header %s: %w", header.Key, bad)
		}
	}
	switch {
	case !protocol:
		return Header{Follows: NoRecord}, headers, ErrForeign
	case err == nil && h.ID == eventmodels.Mark{}:
		err = fmt.Errorf("letters: header %s is missing", headerID)
	}
	return h, own, err
}

// IDOf returns the id of the letter that a record belongs to, without reading
// the rest; false for a foreign record.
func IDOf(headers []kafka.Header) (id eventmodels.Mark, ok bool) {
	for _, h := range headers {
		if h.Key == headerID && len(h.Value) == hex.EncodedLen(len(id)) {
			_, err := hex.Decode(id[:], h.Value)
			return id, err == nil
		}
	}
	return id, false
}

// set reads one header. Names that are not known are ignored.
func (h *Header) set(name, value string) (err error) {
	switch name {
	case headerKind:
		h.Kind = parseKind(value)
	case headerID:
		raw, bad := hex.DecodeString(value)
		if bad != nil || len(raw) != len(h.ID) {
			return errors.New("not 32 hexadecimal digits")
		}
		copy(h.ID[:], raw)
	case headerGroup:
		h.Group = value
	case headerHandler:
		h.Handler = value
	case headerTopic:
		h.Topic = value
	case headerFollows:
		if h.Follows, err = strconv.ParseInt(value, 10, 64); err == nil && h.Follows < 0 {
			err = errors.New("negative")
		}
	case headerMode:
		switch value {
		case Retry.String():
			h.Mode = Retry
		case Save.String():
			h.Mode = Save
		default:
			err = errors.New("unknown mode")
		}
	case headerError:
		h.Error = value
	case headerCause:
		h.Cause = value
	case headerAttempts:
		h.Attempts, err = strconv.Atoi(value)
	case headerFirst:
		h.First, err = time.Parse(time.RFC3339Nano, value)
	case headerLast:
		h.Last, err = time.Parse(time.RFC3339Nano, value)
	case headerNotBefore:
		h.NotBefore, err = time.Parse(time.RFC3339Nano, value)
	case headerOrigin:
		h.Origin, err = parseOrigin(value)
	case headerTime:
		h.Time, err = time.Parse(time.RFC3339Nano, value)
	case headerInstance:
		h.Instance = value
	case headerReplay:
		h.Replay = value
	case headerBy:
		h.By = value
	case headerReason:
		h.Reason = value
	case headerTook:
		h.Took, err = time.ParseDuration(value)
	}
	return err
}

func parseOrigin(value string) (Origin, error) {
	parts := strings.Split(value, "/")
	if len(parts) != 3 {
		return Origin{}, errors.New("not topic/partition/offset")
	}
	partition, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil {
		return Origin{}, err
	}
	offset, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return Origin{}, err
	}
	return Origin{Topic: parts[0], Partition: int32(partition), Offset: offset}, nil
}

// Entry returns what the fold needs of a record at an offset.
func (h Header) Entry(offset int64) Entry {
	return Entry{Offset: offset, Kind: h.Kind, Mode: h.Mode, Follows: h.Follows}
}

// Own returns headers without those of the protocol.
func Own(headers []kafka.Header) []kafka.Header {
	return slices.DeleteFunc(slices.Clone(headers), ofProtocol)
}

func ofProtocol(h kafka.Header) bool {
	rest, ok := strings.CutPrefix(h.Key, prefix)
	return ok && (rest == "" || rest[0] == '-')
}

// Shorten returns at most limit bytes of a text, whole characters.
func Shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
