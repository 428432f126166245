package healthcheck

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// ownStream is the stream of the one request of a connection.
	ownStream = 1
	// frameSize is the longest payload of a frame that either side may send (RFC 9113, section 4.2).
	frameSize = 16 << 10
	// maxHTTP2 bounds what is read over a connection, in octets: header and body with all that is between them.
	maxHTTP2 = 1 << 20
	// window is what a server may send of the body before it is told to go on, which it never is.
	window = 2 * maxSearch
)

// errNotHTTP2 is that a server speaks another version of HTTP.
var errNotHTTP2 = errors.New("HTTP/1.1, although the server chose HTTP/2")

// goAway is that a server leaves, and its code for why.
type goAway http2.ErrCode

// Error implements error.
func (g goAway) Error() string { return "server goes away: " + http2.ErrCode(g).String() }

// openingFrames renders what a client sends at the start of a connection, and a request of http or https.
func openingFrames(r *request, target string) []byte {
	fields := []hpack.HeaderField{
		{Name: ":method", Value: r.method}, {Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: r.authority}, {Name: ":path", Value: target},
	}
	for _, h := range r.headers {
		fields = append(fields, hpack.HeaderField{Name: strings.ToLower(h.name), Value: h.value})
	}
	if r.announcesBody() {
		fields = append(fields, hpack.HeaderField{Name: "content-length", Value: "0"})
	}
	return opening(fields, nil)
}

// opening renders what a client sends at the start of a connection, and its request. The body is not longer than what a
// server takes before it says so, 65,535 octets (RFC 9113, section 6.9.2); an empty one is none.
func opening(fields []hpack.HeaderField, body []byte) []byte {
	var (
		out, block bytes.Buffer
		encoder    = hpack.NewEncoder(&block)
		framer     = http2.NewFramer(&out, nil)
	)
	// Nothing that is written to a buffer can fail.
	for _, f := range fields {
		_ = encoder.WriteField(f)
	}
	out.WriteString(http2.ClientPreface)
	_ = framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: window},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeader})
	_ = framer.WriteWindowUpdate(0, window)
	first := block.Next(frameSize)
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: ownStream, BlockFragment: first, EndStream: len(body) == 0, EndHeaders: block.Len() == 0})
	for block.Len() > 0 {
		next := block.Next(frameSize)
		_ = framer.WriteContinuation(ownStream, block.Len() == 0, next)
	}
	for len(body) > 0 {
		next := body[:min(len(body), frameSize)]
		body = body[len(next):]
		_ = framer.WriteData(ownStream, len(body) == 0, next)
	}
	return out.Bytes()
}

// http2 sends a request in HTTP/2 and reads the response up to its body.
func (x *exchange) http2(conn net.Conn, in *inbox, r *request) (response, error) {
	_, err := conn.Write(r.frames)
	x.watch.lap()
	if err != nil {
		return response{}, err
	}
	got, err := newStream(conn, in).response(r.method)
	x.report.Phases.FirstByte += x.watch.lap()
	return got, err
}

// stream is the client's side of a connection with one request. It needs no goroutine, since it sends nothing
// but what the server's frames ask for.
type stream struct {
	framer  *http2.Framer
	started bool   // The server has sent its settings.
	leaving error  // A reason why the server leaves, if it says so and may yet answer.
	data    []byte // Of the body, not read yet; valid until the next frame is read.
	ended   bool
	trailer []hpack.HeaderField // What came after the body, once that has ended.
}

// newStream returns the stream of a connection over which the request has been sent. It writes to one side and reads up
// to maxHTTP2 octets from the other.
func newStream(to io.Writer, from io.Reader) *stream {
	framer := http2.NewFramer(to, &bounded{from, maxHTTP2})
	framer.SetReuseFrames()
	framer.SetMaxReadFrameSize(frameSize)
	framer.MaxHeaderListSize = maxHeader
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return &stream{framer: framer}
}

// response reads frames up to the end of the final response's header, and returns it to a request with this method.
func (s *stream) response(method string) (response, error) {
	status, fields, err := s.final()
	if err != nil {
		return response{}, err
	}
	got := response{status: status, location: valueOf(fields, "location"), body: s}
	if method == http.MethodHead {
		got.body = http.NoBody
	}
	return got, nil
}

// final reads frames up to the end of the final response's header, after which Read reads the body.
func (s *stream) final() (status int, fields []hpack.HeaderField, err error) {
	for range maxInterim {
		header, err := s.header()
		if err != nil {
			return 0, nil, err
		}
		status, ok := parseCode(header.PseudoValue("status"))
		if !ok {
			return 0, nil, fmt.Errorf("HTTP/2 header with status %q", clip(header.PseudoValue("status"), 30))
		}
		if status >= 100 && status < 200 && !header.StreamEnded() {
			continue
		}
		s.ended = header.StreamEnded()
		return status, header.RegularFields(), nil
	}
	return 0, nil, fmt.Errorf("more than %d interim responses", maxInterim)
}

// valueOf returns the first value of a header, whose name is in small letters, or nothing.
func valueOf(fields []hpack.HeaderField, name string) string {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// header reads frames until one with a header comes.
func (s *stream) header() (*http2.MetaHeadersFrame, error) {
	for {
		switch f, err := s.next(); f := f.(type) {
		case *http2.MetaHeadersFrame:
			return f, err
		case *http2.DataFrame:
			return nil, errors.New("HTTP/2 data before a header")
		default:
			if err != nil {
				return nil, err
			}
		}
	}
}

// Read implements [io.Reader] for the body.
func (s *stream) Read(p []byte) (int, error) {
	for len(s.data) == 0 {
		if s.ended {
			return 0, io.EOF
		}
		f, err := s.next()
		if err != nil {
			return 0, err
		}
		switch f := f.(type) {
		case *http2.DataFrame:
			s.data, s.ended = f.Data(), f.StreamEnded()
		case *http2.MetaHeadersFrame:
			s.ended, s.trailer = true, f.RegularFields() // A trailer ends the body.
		}
	}
	n := copy(p, s.data)
	s.data = s.data[n:]
	return n, nil
}

// next reads a frame and answers it, when that is its due.
func (s *stream) next() (http2.Frame, error) {
	f, err := s.framer.ReadFrame()
	if header, ok := f.(*http2.MetaHeadersFrame); ok && header.Truncated {
		return nil, errLongHeader
	}
	if err != nil {
		return nil, s.explain(err)
	}
	if _, ok := f.(*http2.SettingsFrame); !ok && !s.started {
		return nil, fmt.Errorf("HTTP/2 that starts with a frame of type %v, wanted SETTINGS", f.Header().Type)
	}
	s.started = true
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			err = s.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			err = s.framer.WritePing(true, f.Data)
		}
	case *http2.RSTStreamFrame:
		err = newReason(http2.StreamError{StreamID: ownStream, Code: f.ErrCode}, "HTTP/2: server refuses the request: %v", f.ErrCode)
	case *http2.GoAwayFrame:
		why := fmt.Sprintf("HTTP/2: server goes away: %v", f.ErrCode)
		if text := f.DebugData(); len(text) > 0 {
			why += fmt.Sprintf(" (%s)", clip(string(text), 60))
		}
		s.leaving = newReason(goAway(f.ErrCode), "%s", why)
		if f.LastStreamID < ownStream {
			err = s.leaving
		}
	case *http2.PushPromiseFrame:
		err = errors.New("HTTP/2 push, which is not allowed")
	case *http2.DataFrame, *http2.MetaHeadersFrame:
		if f.Header().StreamID != ownStream {
			err = fmt.Errorf("HTTP/2 frame for stream %d, which does not exist", f.Header().StreamID)
		}
	}
	return f, err
}

// explain turns an error of reading a frame into one that people understand.
func (s *stream) explain(err error) error {
	var (
		stream     http2.StreamError
		connection http2.ConnectionError
	)
	switch {
	case errors.Is(err, http2.ErrFrameTooLarge) && strings.Contains(err.Error(), "HTTP/1.1"):
		return errNotHTTP2
	case errors.Is(err, http2.ErrFrameTooLarge):
		return fmt.Errorf("HTTP/2 frame of more than %d octets", frameSize)
	case errors.As(err, &stream):
		return fmt.Errorf("HTTP/2 %v: %v", stream.Code, stream.Cause)
	case errors.As(err, &connection) && http2.ErrCode(connection) == http2.ErrCodeCompression:
		return fmt.Errorf("HTTP/2 header that is broken, or has a line of more than %d octets", maxHeader)
	case errors.As(err, &connection) && s.framer.ErrorDetail() != nil:
		return fmt.Errorf("HTTP/2 %v: %v", http2.ErrCode(connection), s.framer.ErrorDetail())
	case errors.As(err, &connection):
		return fmt.Errorf("HTTP/2 %v", http2.ErrCode(connection))
	case s.leaving != nil && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
		return s.leaving
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF // In a body, its end is another frame.
	default:
		return err
	}
}

// bounded is a reader that fails after so many octets.
type bounded struct {
	io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, fmt.Errorf("more than %d octets without what is looked for", maxHTTP2)
	}
	n, err := b.Reader.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
