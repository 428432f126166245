package admin

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Times of streams.
const (
	// streamWrite is how long a client may take to accept one event.
	streamWrite = 10 * time.Second
	// StreamBeat is how often something is sent when nothing happens, so that a dead connection is found.
	StreamBeat = 15 * time.Second
	// streamRetry is when a browser asks again after its stream has ended.
	streamRetry = 2 * time.Second
)

// Stream sends server-sent events (WHATWG HTML, section 9.2) as the reply to one request. It is used by one goroutine.
type Stream struct {
	w      http.ResponseWriter
	limits *http.ResponseController
	done   chan struct{}
	end    func()
}

// OpenStream begins a stream. When there are too many, or the connection cannot carry one, it replies so and returns false. The
// caller closes the stream before its handler returns.
func OpenStream(w http.ResponseWriter, r *http.Request) (*Stream, bool) {
	s := &Stream{w: w, limits: http.NewResponseController(w), done: make(chan struct{}), end: func() {}}
	var ending, replaced <-chan struct{}
	if g := visitOf(r.Context()).gate; g != nil {
		release, ok := g.server.streams.take(cmp.Or(CallerOf(r.Context()).Name, clientKey(r)))
		if !ok {
			w.Header().Set("Retry-After", "10")
			replyError(w, http.StatusServiceUnavailable, errors.New("too many event streams are open: close one"))
			return nil, false
		}
		s.end, ending = release, g.ending
		if !g.socket {
			replaced = g.server.rules.Load().replaced
		}
	}
	// Without this the time to read the request would end the context of a stream, and that to reply the stream itself.
	if err := errors.Join(s.limits.SetReadDeadline(time.Time{}), s.limits.SetWriteDeadline(time.Now().Add(streamWrite))); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.end()
		replyError(w, http.StatusInternalServerError, errors.New("this connection carries no event stream"))
		return nil, false
	}
	stopped := make(chan struct{})
	release := s.end
	watched := make(chan struct{})
	s.end = func() { close(stopped); <-watched; release() }
	go func() {
		defer close(watched)
		defer close(s.done)
		select {
		case <-r.Context().Done():
		case <-ending:
		case <-replaced:
		case <-stopped:
		}
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx passes events on at once
	w.WriteHeader(http.StatusOK)
	if s.write(fmt.Appendf(nil, "retry: %d\n\n", streamRetry.Milliseconds())) != nil {
		s.Close()
		return nil, false
	}
	return s, true
}

// Done is closed when the client is gone or the server ends: the handler returns then.
func (s *Stream) Done() <-chan struct{} { return s.done }

// Close ends the stream. It is called once.
func (s *Stream) Close() { s.end() }

// Send sends one event. An empty id or name is left out; data may have several lines.
func (s *Stream) Send(id, name string, data []byte) error {
	var b bytes.Buffer
	for _, field := range [][2]string{{"id", id}, {"event", name}} {
		if field[1] != "" {
			b.WriteString(field[0] + ": " + strings.Map(noBreak, field[1]) + "\n")
		}
	}
	for line := range bytes.Lines(data) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return s.write(b.Bytes())
}

// Mark sends an ID without an event: a browser keeps it for the header Last-Event-ID, and tells nobody.
func (s *Stream) Mark(id string) error {
	return s.write([]byte("id: " + strings.Map(noBreak, id) + "\n\n"))
}

// Beat sends a comment, which a browser ignores.
func (s *Stream) Beat() error {
	return s.write([]byte(": " + strconv.FormatInt(time.Now().Unix(), 10) + "\n\n"))
}

func (s *Stream) write(text []byte) error {
	if err := s.limits.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write(text); err != nil {
		return err
	}
	return s.limits.Flush()
}

func noBreak(c rune) rune {
	if c == '\r' || c == '\n' || c == 0 {
		return -1
	}
	return c
}
