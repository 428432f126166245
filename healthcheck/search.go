package healthcheck

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
)

// maxSearch is how much of what an origin sends is searched, in octets.
const maxSearch = 64 << 10

// seek looks in a body for a text, unless it is empty, and for what a pattern matches, unless it is nil. It reads no more
// than it has to. The error is a reason, or that of r.
func seek(r io.Reader, want string, pattern *regexp.Regexp) error {
	if pattern != nil {
		var seen bytes.Buffer
		found, err := match(io.TeeReader(r, &seen), pattern)
		switch {
		case err != nil:
			return err
		case !found:
			return newReason(nil, "body does not match %q", clip(pattern.String(), 64))
		}
		r = io.MultiReader(&seen, r)
	}
	if want == "" {
		return nil
	}
	octets, found, err := search(r, want)
	switch {
	case found:
		return nil
	case err != nil:
		return err
	default:
		return lacks("body", want, octets)
	}
}

// search reads from r until it has seen want, maxSearch octets, or the end. It returns how many octets it has read,
// and an error other than io.EOF when reading failed first.
func search(r io.Reader, want string) (octets int, found bool, err error) {
	buffer := make([]byte, 0, 512)
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

// match reports whether the first maxSearch octets of r, whose end $ stands for as well, match a pattern. It looks at one
// character after those that do.
func match(r io.Reader, pattern *regexp.Regexp) (bool, error) {
	text := &faulty{r: io.LimitReader(r, maxSearch)}
	return pattern.MatchReader(bufio.NewReader(text)), text.err
}

// faulty keeps the error that [regexp.Regexp.MatchReader] takes for the end.
type faulty struct {
	r   io.Reader
	err error // Other than io.EOF.
}

func (f *faulty) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// lacks returns the reason for a text that was not found in what an origin sent.
func lacks(where, want string, octets int) error {
	quoted := clip(want, 64)
	if octets >= maxSearch {
		return newReason(nil, "%s lacks %q in its first %d octets", where, quoted, octets)
	}
	return newReason(nil, "%s lacks %q in its %d octets", where, quoted, octets)
}
