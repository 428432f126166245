package healthcheck

import (
	"bytes"
	"errors"
	"io"
)

// maxSearch is how much of what an origin sends is searched, in octets.
const maxSearch = 64 << 10

// search reads from r until it has seen want, maxSearch octets, or the end. It returns how many octets it has read,
// and an error other than io.EOF when reading failed first.
func search(r io.Reader, want string) (octets int, found bool, err error) {
	buffer := make([]byte, 0, 4096)
	limited := io.LimitReader(r, maxSearch)
	for {
		if len(buffer) == cap(buffer) {
			buffer = append(buffer, 0)[:len(buffer)]
		}
		n, err := limited.Read(buffer[len(buffer):cap(buffer)])
		// What was searched before needs no second look, but for what could be the start of want.
		from := max(0, len(buffer)-len(want)+1)
		buffer = buffer[:len(buffer)+n]
		switch {
		case bytes.Contains(buffer[from:], []byte(want)):
			return len(buffer), true, nil
		case errors.Is(err, io.EOF):
			return len(buffer), false, nil
		case err != nil:
			return len(buffer), false, err
		}
	}
}

// lacks returns the reason for a text that was not found in what an origin sent.
func lacks(where, want string, octets int) error {
	quoted := clip(want, 64)
	if octets >= maxSearch {
		return newReason(nil, "%s lacks %q in its first %d octets", where, quoted, octets)
	}
	return newReason(nil, "%s lacks %q in its %d octets", where, quoted, octets)
}
