package letterdesk

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/seed46dd6f11/events/internal/kafka"
	"github.com/seed46dd6f11/events/internal/letters"
)

// Cursor is the key of a place in the list. New letters do not move it.
type Cursor struct {
	Time time.Time
	kafka.TopicPartition
	Offset int64
}

// IsZero says that it is no place.
func (c Cursor) IsZero() bool { return c == Cursor{} }

// CursorOf is where a letter stands in the list.
func CursorOf(i Item) Cursor {
	offset := i.Failure
	if offset == letters.NoRecord {
		offset = i.Record
	}
	return Cursor{i.Order, i.Place, offset}
}

// String is what ParseCursor reads: time/topic/partition/offset.
func (c Cursor) String() string {
	return fmt.Sprintf("%d/%s/%d/%d", c.Time.UnixNano(), c.Topic, c.Partition, c.Offset)
}

// ParseCursor reads what String has written.
func ParseCursor(text string) (Cursor, error) {
	parts := strings.Split(text, "/")
	if len(parts) != 4 || parts[1] == "" {
		return Cursor{}, errors.New("not time/topic/partition/offset")
	}
	nanos, err := strconv.ParseInt(parts[0], 10, 64)
	partition, err2 := strconv.ParseInt(parts[2], 10, 32)
	offset, err3 := strconv.ParseInt(parts[3], 10, 64)
	if err := errors.Join(err, err2, err3); err != nil {
		return Cursor{}, err
	}
	if partition < 0 || offset < 0 {
		return Cursor{}, errors.New("a partition or an offset is negative")
	}
	return Cursor{time.Unix(0, nanos), kafka.TopicPartition{Topic: kafka.WireTopic(parts[1]), Partition: int32(partition)}, offset}, nil
}
