package querylog

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Frame Streams (github.com/farsightsec/fstrm): a data frame is its length and its octets; a control frame stands behind a
// length of 0 and has a length of its own, a type, and fields. All numbers are of 32 bits, big-endian.

// contentType is what dnstap calls its frames.
const contentType = "protobuf:dnstap.Dnstap"

// The types of control frames.
const (
	controlAccept uint32 = 1
	controlStart  uint32 = 2
	controlStop   uint32 = 3
	controlReady  uint32 = 4
	controlFinish uint32 = 5
)

const (
	// fieldContentType is the only type of field there is.
	fieldContentType uint32 = 1
	// maxControl is the largest control frame, in octets behind its length.
	maxControl = 512
)

// appendControl appends a control frame; content may be empty.
func appendControl(dst []byte, kind uint32, content string) []byte {
	length := 4
	if content != "" {
		length += 8 + len(content)
	}
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(length))
	dst = binary.BigEndian.AppendUint32(dst, kind)
	if content == "" {
		return dst
	}
	dst = binary.BigEndian.AppendUint32(dst, fieldContentType)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(content)))
	return append(dst, content...)
}

// readControl reads a control frame of a type, and no octet more, and returns the content types in it.
func readControl(from io.Reader, kind uint32) ([][]byte, error) {
	var head [12]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return nil, fmt.Errorf("read a control frame: %w", err)
	}
	escape, length, got := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint32(head[8:])
	switch {
	case escape != 0:
		return nil, fmt.Errorf("read a control frame: it begins with %#x, want 0", escape)
	case length < 4 || length > maxControl:
		return nil, fmt.Errorf("read a control frame: it has %d octets, want 4 to %d", length, maxControl)
	case got != kind:
		return nil, fmt.Errorf("read a control frame: it has type %d, want %d", got, kind)
	}
	fields := make([]byte, length-4)
	if _, err := io.ReadFull(from, fields); err != nil {
		return nil, fmt.Errorf("read a control frame: %w", err)
	}
	var types [][]byte
	for len(fields) > 0 {
		if len(fields) < 8 {
			return nil, fmt.Errorf("read a control frame: %d octets behind its fields", len(fields))
		}
		field, n := binary.BigEndian.Uint32(fields), binary.BigEndian.Uint32(fields[4:])
		fields = fields[8:]
		if field != fieldContentType || uint64(n) > uint64(len(fields)) {
			return nil, fmt.Errorf("read a control frame: field of type %d with %d octets of %d", field, n, len(fields))
		}
		types = append(types, fields[:n])
		fields = fields[n:]
	}
	return types, nil
}
