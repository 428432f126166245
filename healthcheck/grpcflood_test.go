package healthcheck

import (
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
)

// TestGRPCFlood has servers send what says nothing, for as long as somebody reads it.
func TestGRPCFlood(t *testing.T) {
	const octets = "more than 1048576 octets without what is looked for"
	answer := func(f *http2.Framer) {
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status", "200", "content-type", "application/grpc"), EndHeaders: true})
	}
	for _, tt := range []struct {
		name string
		send func(f *http2.Framer) // What comes first; nil: nothing.
		more func(f *http2.Framer) error
		want string
	}{
		{"windows", nil, func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1) }, "malformed response: " + octets},
		{"answers to pings", nil, func(f *http2.Framer) error { return f.WritePing(true, [8]byte{1}) }, "malformed response: " + octets},
		{"pings", nil, func(f *http2.Framer) error { return f.WritePing(false, [8]byte{1}) }, "malformed response: " + octets},
		{"settings", nil, func(f *http2.Framer) error { return f.WriteSettings() }, "malformed response: " + octets},
		{"interim responses", nil, func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status", "103"), EndHeaders: true})
		}, "malformed response: more than 10 interim responses"},
		{"windows in the body", answer, func(f *http2.Framer) error { return f.WriteWindowUpdate(1, 1) }, octets + " reading the body"},
		{"empty data", answer, func(f *http2.Framer) error { return f.WriteData(1, false, nil) }, octets + " reading the body"},
		{"data", answer, func(f *http2.Framer) error { return f.WriteData(1, false, make([]byte, 1000)) }, "gRPC: answer is longer than 4096 octets"},
	} {
		var frames atomic.Int64
		at := origin(t, func(conn net.Conn) {
			go io.Copy(io.Discard, conn) // The preface, the request, and what answers the flood.
			f := http2.NewFramer(conn, nil)
			f.WriteSettings()
			if tt.send != nil {
				tt.send(f)
			}
			for tt.more(f) == nil {
				frames.Add(1)
			}
		})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := probe(t, t.Context(), Options{Protocol: GRPC}, at, "")
		runtime.ReadMemStats(&after)
		if text(err) != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.name, err, tt.want)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
			t.Errorf("%s: allocated %d octets for %d frames", tt.name, grown, frames.Load())
		}
	}
}
