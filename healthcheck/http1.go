package healthcheck

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
)

// maxInterim is how many interim responses (100 to 199) may come before the final one.
const maxInterim = 10

// http1 sends a request in HTTP/1.1 and reads the response up to its body.
func (x *exchange) http1(conn net.Conn, in *inbox, r *request) (response, error) {
	_, err := conn.Write(r.text)
	x.watch.lap()
	if err != nil {
		return response{}, err
	}
	got, err := readResponse(in, r.method)
	x.report.Phases.FirstByte += x.watch.lapAt(in.arrival.at)
	return got, err
}

// framing is how the body of a response ends (RFC 9112, section 6).
type framing struct {
	chunked bool
	lengths []string // The values of Content-Length.
}

// readResponse reads a response in HTTP/1 to a request with this method, up to its body. It follows RFC 9112 as strictly as
// net/http or more so.
func readResponse(in *inbox, method string) (response, error) {
	for range maxInterim {
		line, err := in.line()
		if err != nil {
			return response{}, err
		}
		status, minor, err := parseStatusLine(line)
		if err != nil {
			return response{}, err
		}
		location, frame, err := readHeader(in, minor)
		if err != nil {
			return response{}, err
		}
		length, err := frame.length()
		if err != nil {
			return response{}, err
		}
		if status >= 200 || status == http.StatusSwitchingProtocols {
			return response{status, location, bodyOf(in, method, status, frame.chunked, length)}, nil
		}
	}
	return response{}, fmt.Errorf("more than %d interim responses", maxInterim)
}

// parseStatusLine reads the first line of a response (RFC 9112, section 4). Minor is the last digit of the version.
func parseStatusLine(line []byte) (status int, minor byte, err error) {
	version, rest, _ := bytes.Cut(line, []byte(" "))
	if len(version) != len("HTTP/1.1") || !bytes.HasPrefix(version, []byte("HTTP/1.")) || !isDigit(version[7]) {
		return 0, 0, fmt.Errorf("it starts with %s, wanted HTTP/1.1", excerpt(line))
	}
	code, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte(" "))
	status, ok := parseCode(code)
	if !ok {
		return 0, 0, fmt.Errorf("%s has no status code", excerpt(line))
	}
	return status, version[7], nil
}

// parseCode reads a status code, which is three digits, the first of them not 0 (RFC 9110, section 15).
func parseCode[T string | []byte](text T) (code int, ok bool) {
	if len(text) != 3 || text[0] == '0' {
		return 0, false
	}
	for i := range 3 {
		if !isDigit(text[i]) {
			return 0, false
		}
		code = code*10 + int(text[i]-'0')
	}
	return code, true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// readHeader reads the lines up to the empty one, and keeps what a probe needs.
func readHeader(in *inbox, minor byte) (location string, frame framing, err error) {
	var encodings []string
	isLocated := false
	for first := true; ; first = false {
		line, err := in.field()
		if err != nil {
			return "", framing{}, err
		}
		if len(line) == 0 {
			break
		}
		name, value, err := parseField(line, first)
		if err != nil {
			return "", framing{}, err
		}
		switch {
		case bytes.EqualFold(name, []byte("Location")):
			if !isLocated { // The first one counts, even an empty one.
				location, isLocated = string(value), true
			}
		case bytes.EqualFold(name, []byte("Content-Length")):
			frame.lengths = append(frame.lengths, string(value))
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			encodings = append(encodings, string(value))
		}
	}
	if minor == '0' || len(encodings) == 0 {
		return location, frame, nil // HTTP/1.0 has no transfer encodings.
	}
	if len(encodings) > 1 || !strings.EqualFold(encodings[0], "chunked") {
		return "", framing{}, fmt.Errorf("Transfer-Encoding %q, which nobody asked for: only chunked can be read", clip(strings.Join(encodings, ", "), 60))
	}
	return location, framing{chunked: true}, nil // Content-Length has no meaning beside it (RFC 9112, section 6.3).
}

// parseField reads a line of the header (RFC 9112, section 5).
func parseField(line []byte, first bool) (name, value []byte, err error) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	switch {
	case first && (line[0] == ' ' || line[0] == '\t'):
		return nil, nil, fmt.Errorf("a header that starts with a space: %s", excerpt(line))
	case !ok:
		return nil, nil, fmt.Errorf("a header without a colon: %s", excerpt(line))
	case !isToken(string(name)):
		return nil, nil, fmt.Errorf("a header with the name %s", excerpt(name))
	}
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, nil, fmt.Errorf("the header %s has a control character in its value", excerpt(name))
		}
	}
	return name, bytes.TrimLeft(value, " \t"), nil
}

// excerpt quotes the start of what an origin has sent.
func excerpt(text []byte) string { return strconv.Quote(string(text[:min(len(text), 60)])) }

// length returns what Content-Length says, or -1 when there is none.
func (f framing) length() (int64, error) {
	if len(f.lengths) == 0 {
		return -1, nil
	}
	text := f.lengths[0]
	for _, other := range f.lengths[1:] {
		if other != text {
			return 0, fmt.Errorf("Content-Length is both %q and %q", clip(text, 30), clip(other, 30))
		}
	}
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, fmt.Errorf("Content-Length %q is no number", clip(text, 30))
	}
	length, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("Content-Length %q is too large", clip(text, 30))
	}
	return length, nil
}

// bodyOf returns the body of a response (RFC 9112, section 6.3). Length is -1 when it goes on until the connection ends.
func bodyOf(in *inbox, method string, status int, chunked bool, length int64) io.Reader {
	switch {
	case method == http.MethodHead || status < 200 || status == http.StatusNoContent || status == http.StatusNotModified:
		return http.NoBody
	case chunked:
		return httputil.NewChunkedReader(in)
	case length >= 0:
		return &measured{in, length}
	default:
		return in
	}
}

// measured is a body of known length.
type measured struct {
	from io.Reader
	left int64
}

func (m *measured) Read(p []byte) (int, error) {
	if m.left == 0 {
		return 0, io.EOF
	}
	n, err := m.from.Read(p[:min(int64(len(p)), m.left)])
	m.left -= int64(n)
	if errors.Is(err, io.EOF) && m.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
