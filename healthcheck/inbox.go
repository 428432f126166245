package healthcheck

import (
	"bytes"
	"errors"
	"io"
)

// errLongHeader is that a header does not end within maxHeader octets.
var errLongHeader = errors.New("the header does not end within 65536 octets")

// inbox is what has come over a connection: all of the header of a response and what came together with it. Its
// Read returns what has not been taken yet, and then what else comes.
type inbox struct {
	arrival arrival
	buffer  []byte // At most maxHeader octets.
	taken   int
}

// inbox returns an empty one for a connection.
func (c *Check) inbox(from io.Reader) *inbox {
	in, ok := c.inboxes.Get().(*inbox)
	if !ok {
		in = &inbox{buffer: make([]byte, 0, 4096)}
	}
	in.arrival = arrival{Reader: from}
	in.buffer, in.taken = in.buffer[:0], 0
	return in
}

// release hands an inbox back, of which nothing is in use any more. One that had to grow is not kept.
func (c *Check) release(in *inbox) {
	in.arrival.Reader = nil
	if cap(in.buffer) <= 4096 {
		c.inboxes.Put(in)
	}
}

// line takes the next line and returns it without its end, which is CR LF or, to be lenient, LF alone (RFC 9112, section
// 2.2). It is valid as long as the inbox.
func (in *inbox) line() ([]byte, error) {
	line, err := in.peek()
	if err != nil {
		return nil, err
	}
	in.taken += len(line)
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// field takes the next line of a header together with those that continue it (RFC 9112, section 5.2: obs-fold), each without
// white space at its end. The empty line ends the header. One that continues with nothing ends with a space, as net/http has it.
func (in *inbox) field() ([]byte, error) {
	line, err := in.line()
	if err != nil || len(line) == 0 {
		return line, err
	}
	if trimmed := bytes.TrimRight(line, " \t"); len(trimmed) > 0 { // else it is no header, and no end of one
		line = trimmed
	}
	for whole := false; ; whole = true {
		next, err := in.peek()
		if err != nil {
			return nil, err
		}
		if next[0] != ' ' && next[0] != '\t' {
			return line, nil
		}
		if !whole {
			line = bytes.Clone(line) // What follows it in the buffer is in use.
		}
		in.taken += len(next)
		next = bytes.TrimSuffix(next[:len(next)-1], []byte("\r"))
		line = append(append(line, ' '), bytes.Trim(next, " \t")...)
	}
}

// peek returns the next line, with its end, without taking it.
func (in *inbox) peek() ([]byte, error) {
	for searched := in.taken; ; {
		if end := bytes.IndexByte(in.buffer[searched:], '\n'); end >= 0 {
			return in.buffer[in.taken : searched+end+1], nil
		}
		searched = len(in.buffer)
		if err := in.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads once.
func (in *inbox) fill() error {
	size := len(in.buffer)
	if size == maxHeader {
		return errLongHeader
	}
	if size == cap(in.buffer) {
		grown := make([]byte, size, min(2*size, maxHeader))
		copy(grown, in.buffer)
		in.buffer = grown
	}
	n, err := in.arrival.Read(in.buffer[size:cap(in.buffer)])
	in.buffer = in.buffer[:size+n]
	if n > 0 {
		return nil // An error comes again.
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// Read implements [io.Reader].
func (in *inbox) Read(p []byte) (int, error) {
	if in.taken < len(in.buffer) {
		n := copy(p, in.buffer[in.taken:])
		in.taken += n
		return n, nil
	}
	return in.arrival.Read(p)
}
