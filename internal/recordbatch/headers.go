package recordbatch

import (
	"encoding/binary"
	"errors"
)

// ErrHeaders is the error of bytes that are not headers as a record has them.
var ErrHeaders = errors.New("recordbatch: malformed headers")

// AppendHeaders appends headers as a record has them, their number first, which
// is what [Record.RawHeaders] takes. Without headers that is one byte, 0.
func AppendHeaders(dst []byte, hs []Header) []byte {
	dst = binary.AppendVarint(dst, int64(len(hs)))
	for _, h := range hs {
		dst = binary.AppendVarint(dst, int64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendBytes(dst, h.Value)
	}
	return dst
}

// ReadHeaders reads what [AppendHeaders] has appended; no bytes at all are no
// headers. The values share b's memory. It fails with [ErrHeaders] if b is
// anything but headers from its beginning to its end.
func ReadHeaders(b []byte) ([]Header, error) {
	if len(b) == 0 {
		return nil, nil
	}
	n, b, ok := readLength(b)
	// A header has at least its two lengths.
	if !ok || n < 0 || n > len(b)/2 {
		return nil, ErrHeaders
	}
	if n == 0 {
		if len(b) > 0 {
			return nil, ErrHeaders
		}
		return nil, nil
	}
	hs := make([]Header, n)
	for i := range hs {
		var key []byte
		if key, b, ok = readBytes(b); !ok || key == nil {
			return nil, ErrHeaders
		}
		hs[i].Key = string(key)
		if hs[i].Value, b, ok = readBytes(b); !ok {
			return nil, ErrHeaders
		}
	}
	if len(b) > 0 {
		return nil, ErrHeaders
	}
	return hs, nil
}

// readLength reads a number that does not exceed an int32, in at most the five
// bytes that Kafka reads of one.
func readLength(b []byte) (n int, rest []byte, ok bool) {
	v, size := binary.Varint(b)
	if size <= 0 || size > binary.MaxVarintLen32 || int64(int32(v)) != v {
		return 0, nil, false
	}
	return int(v), b[size:], true
}

// readBytes reads a length and that many bytes: nil for a length of -1.
func readBytes(b []byte) (value, rest []byte, ok bool) {
	n, b, ok := readLength(b)
	switch {
	case !ok || n < -1 || n > len(b):
		return nil, nil, false
	case n == -1:
		return nil, b, true
	}
	return b[:n:n], b[n:], true
}
