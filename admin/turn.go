package admin

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// maxDrafts bounds the octets of all replies that are made and not sent yet.
const maxDrafts = 256 << 20

// Bounds of the time that a request waits for its turn, and of the rest after a reply.
const (
	maxTurnWait = 10 * time.Second
	maxRest     = time.Second
)

// turns bound how many replies are made at once over TCP: half of the processors, one at least, each followed by a rest as long as it took.
// So whoever asks for large ones in a loop, /metrics for example, takes no more than that from DNS. What was made is sent at the pace of
// the client, and holds nobody up.
type turns struct {
	free chan struct{} // has one for each that may begin
	held atomic.Int64  // octets
}

func newTurns() *turns {
	t := &turns{free: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
	for range cap(t.free) {
		t.free <- struct{}{}
	}
	return t
}

// take waits for a turn; end gives it back, and may be called again. The error says that the client did not wait, or not long enough.
func (t *turns) take(ctx context.Context) (end func(), err error) {
	patience := time.NewTimer(maxTurnWait)
	defer patience.Stop()
	select {
	case <-t.free:
		begin := time.Now()
		return sync.OnceFunc(func() { time.AfterFunc(min(time.Since(begin), maxRest), func() { t.free <- struct{}{} }) }), nil
	case <-ctx.Done():
	case <-patience.C: // a client that sends further requests meanwhile keeps its context for ever
	}
	return nil, errBusy
}

var errBusy = errors.New("too many replies are being made or sent: try again in 5 s")

// serve has a handler make its reply in a turn, and sends it after that. What flushes, as an event stream does, ends its turn there.
func (t *turns) serve(w http.ResponseWriter, r *http.Request, handler http.HandlerFunc) error {
	end, err := t.take(r.Context())
	if err != nil {
		return err
	}
	defer end()
	d := &draft{ResponseWriter: w, end: end}
	handler(d, r)
	end()
	if d.isSent {
		return nil
	}
	size := int64(d.body.Len())
	defer t.held.Add(-size)
	if held := t.held.Add(size); held > maxDrafts && held > size {
		clear(w.Header())
		secure(w.Header())
		return errBusy
	}
	if size > 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
	d.send()
	return nil
}

// draft keeps a reply until it is sent.
type draft struct {
	http.ResponseWriter
	end    func()
	code   int
	body   bytes.Buffer
	isSent bool
}

func (d *draft) WriteHeader(code int) {
	switch {
	case d.isSent || code < 200:
		d.ResponseWriter.WriteHeader(code)
	case d.code == 0:
		d.code = code
	}
}

func (d *draft) Write(b []byte) (int, error) {
	if d.isSent {
		return d.ResponseWriter.Write(b)
	}
	return d.body.Write(b)
}

// send writes what is there; what comes after it is written as it comes.
func (d *draft) send() error {
	d.isSent = true
	if d.code != 0 {
		d.ResponseWriter.WriteHeader(d.code)
	}
	if d.body.Len() == 0 {
		return nil
	}
	_, err := d.ResponseWriter.Write(d.body.Bytes())
	d.body = bytes.Buffer{}
	return err
}

// FlushError is for [http.ResponseController].
func (d *draft) FlushError() error {
	if !d.isSent {
		d.end()
		if err := d.send(); err != nil {
			return err
		}
	}
	return http.NewResponseController(d.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the writer behind.
func (d *draft) Unwrap() http.ResponseWriter { return d.ResponseWriter }
