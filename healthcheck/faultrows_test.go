//go:build linux

package healthcheck

import (
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// write returns an origin that answers with a text.
func write(text string) func(net.Conn, func()) {
	return func(conn net.Conn, _ func()) { io.WriteString(conn, text) }
}

// faultRows are the rows of the matrix.
func faultRows() []fault {
	const ok = "HTTP/1.1 200 OK\r\n"
	body := Options{ExpectBody: "ok"}
	return []fault{
		{name: "refuse", want: reasons{"connect: connection refused", "connect: connection refused", ""}},
		{name: "reset", want: reasons{"connection reset before a response", "TLS: connection reset in the handshake", ""},
			raw: func(conn net.Conn, _ func()) {
				readSome(conn)
				conn.(*net.TCPConn).SetLinger(0)
			}},
		{name: "accept and silence", want: reasons{"timeout after 1s waiting for headers", "timeout after 1s in the TLS handshake", ""},
			raw: func(conn net.Conn, expire func()) {
				readSome(conn)
				expire()
				linger(conn)
			}},
		{name: "request and silence", want: everywhere("timeout after 1s waiting for headers"),
			http: func(conn net.Conn, expire func()) {
				expire()
				linger(conn)
			},
			h2: func(conn net.Conn, s h2Server, expire func()) {
				s.WriteSettings()
				expire()
				linger(conn)
			}},
		{name: "header by octets", want: everywhere("timeout after 1s waiting for headers"),
			http: func(conn net.Conn, expire func()) { drip(conn, ok+"X: y", expire) },
			h2: func(conn net.Conn, _ h2Server, expire func()) {
				drip(conn, "\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x3f\xff\x01\x04\x00\x00\x00\x01x", expire)
			}},
		{name: "body by octets", o: body, real: time.Second, want: everywhere("timeout after 1s reading the body"),
			http: func(conn net.Conn, _ func()) {
				io.WriteString(conn, ok+"\r\n")
				drip(conn, "x", func() {})
			},
			h2: func(conn net.Conn, s h2Server, _ func()) {
				s.header(false, ":status", "200")
				drip(conn, "\x00\x3f\xff\x00\x00\x00\x00\x00\x01x", func() {})
			}},
		{name: "half a header", want: everywhere("connection closed before a response"),
			http: write(ok + "Content-Le"),
			h2: func(conn net.Conn, s h2Server, _ func()) {
				s.WriteSettings()
				io.WriteString(conn, "\x00\x00\xff\x01\x04\x00\x00\x00\x01\x88")
			}},
		{name: "header without end", want: reasons{"malformed response: the header does not end within 65536 octets", "malformed response: the header does not end within 65536 octets",
			"malformed response: HTTP/2 header that is broken, or has a line of more than 65536 octets"},
			http: func(conn net.Conn, _ func()) {
				io.WriteString(conn, ok+"X: ")
				flood(conn, "x")
			},
			h2: func(conn net.Conn, s h2Server, _ func()) {
				s.WriteSettings()
				long := block(":status", "200", "x", strings.Repeat("~", 100_000))
				s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: long[:16384]})
				for long = long[16384:]; len(long) > 16384 && s.WriteContinuation(1, false, long[:16384]) == nil; {
					long = long[16384:]
				}
				linger(conn)
			}},
		{name: "endless headers", want: everywhere("malformed response: the header does not end within 65536 octets"),
			http: func(conn net.Conn, _ func()) {
				io.WriteString(conn, ok)
				flood(conn, "X-Header: y\r\n")
			},
			h2: func(conn net.Conn, s h2Server, _ func()) {
				s.WriteSettings()
				s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status", "200")})
				lines := block(strings.Split(strings.Repeat("a,b,", 100)+"a,b", ",")...)
				for s.WriteContinuation(1, false, lines) == nil {
				}
			}},
		{name: "10 GB body", o: body, want: everywhere(`body lacks "ok" in its first 65536 octets`),
			http: func(conn net.Conn, _ func()) {
				io.WriteString(conn, ok+"Content-Length: 10737418240\r\n\r\n")
				flood(conn, "x")
			},
			h2: func(_ net.Conn, s h2Server, _ func()) {
				s.header(false, ":status", "200", "content-length", "10737418240")
				for data := make([]byte, 16384); s.WriteData(1, false, data) == nil; {
				}
			}},
		{name: "10 GB body that nobody reads", want: everywhere("good"),
			http: func(conn net.Conn, _ func()) {
				io.WriteString(conn, ok+"Content-Length: 10737418240\r\n\r\n")
				flood(conn, "x")
			},
			h2: func(_ net.Conn, s h2Server, _ func()) {
				s.header(false, ":status", "200")
				for data := make([]byte, 16384); s.WriteData(1, false, data) == nil; {
				}
			}},
		{name: "10 GB body and a pattern", o: Options{ExpectBodyRegex: "ok"}, want: everywhere(`body does not match "ok"`),
			http: func(conn net.Conn, _ func()) {
				io.WriteString(conn, ok+"\r\n")
				flood(conn, "x")
			},
			h2: func(_ net.Conn, s h2Server, _ func()) {
				s.header(false, ":status", "200")
				for data := make([]byte, 16384); s.WriteData(1, false, data) == nil; {
				}
			}},
		{name: "100 redirects", o: Options{FollowRedirects: true},
			want: reasons{"more than 10 redirects (after a redirect to http://www.example.com:PORT/next)", "more than 10 redirects (after a redirect to https://www.example.com:PORT/next)",
				"more than 10 redirects (after a redirect to https://www.example.com:PORT/next)"},
			http: write("HTTP/1.1 302 Found\r\nLocation: /next\r\n\r\n"),
			h2: func(_ net.Conn, s h2Server, _ func()) {
				s.header(true, ":status", "302", "location", "/next")
			}},
		{name: "503", want: everywhere("HTTP 503, wanted 200-499"),
			http: write("HTTP/1.1 503 Service Unavailable\r\n\r\n"),
			h2:   func(_ net.Conn, s h2Server, _ func()) { s.header(true, ":status", "503") }},
		{name: "200 with another body", o: body, want: everywhere(`body lacks "ok" in its 5 octets`),
			http: write(ok + "Content-Length: 5\r\n\r\nsorry"),
			h2: func(_ net.Conn, s h2Server, _ func()) {
				s.header(false, ":status", "200")
				s.WriteData(1, true, []byte("sorry"))
			}},
		{name: "body cut short", o: body, want: everywhere("connection closed in the body"),
			http: write(ok + "Content-Length: 5\r\n\r\nsor"),
			h2: func(_ net.Conn, s h2Server, _ func()) {
				s.header(false, ":status", "200")
				s.WriteData(1, false, []byte("sor"))
			}},
		{name: "garbage", want: reasons{`malformed response: it starts with "\xff\xfe\x00\x80", wanted HTTP/1.1`, `malformed response: it starts with "\xff\xfe\x00\x80", wanted HTTP/1.1`,
			"malformed response: HTTP/2 frame of more than 16384 octets"},
			http: write("\xff\xfe\x00\x80\r\n"),
			h2: func(conn net.Conn, _ h2Server, _ func()) {
				io.WriteString(conn, strings.Repeat("\xff\xfe\x00\x80\r\n", 5))
			}},
		{name: "server speaks first", want: reasons{`malformed response: it starts with "SSH-2.0-x", wanted HTTP/1.1`, "TLS: server does not speak TLS", ""},
			raw: func(conn net.Conn, _ func()) {
				io.WriteString(conn, "SSH-2.0-x\r\n")
				linger(conn)
			}},
		{name: "HTTP/1.1 in place of HTTP/2", want: reasons{"", "", "malformed response: HTTP/1.1, although the server chose HTTP/2"},
			h2: func(conn net.Conn, _ h2Server, _ func()) { io.WriteString(conn, ok+"\r\n") }},
		{name: "GOAWAY", want: reasons{"", "", "HTTP/2: server goes away: ENHANCE_YOUR_CALM (too many pings)"},
			h2: func(_ net.Conn, s h2Server, _ func()) {
				s.WriteSettings()
				s.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("too many pings"))
			}},
		{name: "GOAWAY, then the end", want: reasons{"", "", "HTTP/2: server goes away: NO_ERROR"},
			h2: func(_ net.Conn, s h2Server, _ func()) {
				s.WriteSettings()
				s.WriteGoAway(1, http2.ErrCodeNo, nil)
			}},
		{name: "GOAWAY, then an answer", want: reasons{"", "", "good"},
			h2: func(_ net.Conn, s h2Server, _ func()) {
				s.WriteSettings()
				s.WriteGoAway(1, http2.ErrCodeNo, nil)
				s.header(true, ":status", "200") // Settings may come at any time.
			}},
		{name: "RST_STREAM", want: reasons{"", "", "HTTP/2: server refuses the request: REFUSED_STREAM"},
			h2: func(_ net.Conn, s h2Server, _ func()) {
				s.WriteSettings()
				s.WriteRSTStream(1, http2.ErrCodeRefusedStream)
			}},
		{name: "no settings", want: reasons{"", "", "malformed response: HTTP/2 that starts with a frame of type PING, wanted SETTINGS"},
			h2: func(_ net.Conn, s h2Server, _ func()) { s.WritePing(false, [8]byte{}) }},
		{name: "push", want: reasons{"", "", "malformed response: HTTP/2 push, which is not allowed"},
			h2: func(_ net.Conn, s h2Server, _ func()) {
				s.WriteSettings()
				s.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: block(":method", "GET"), EndHeaders: true})
			}},
		{name: "endless pings", allocates: 16 << 20, want: reasons{"", "", "malformed response: more than 1048576 octets without what is looked for"},
			h2: func(conn net.Conn, s h2Server, _ func()) {
				s.WriteSettings()
				go linger(conn) // What answers the pings.
				for s.WritePing(false, [8]byte{}) == nil {
				}
			}},
		{name: "endless empty frames", allocates: 16 << 20, o: body, want: reasons{"", "", "more than 1048576 octets without what is looked for reading the body"},
			h2: func(_ net.Conn, s h2Server, _ func()) {
				s.header(false, ":status", "200")
				for s.WriteData(1, false, nil) == nil {
				}
			}},
		{name: "no status", want: reasons{"", "", `malformed response: HTTP/2 header with status ""`},
			h2: func(_ net.Conn, s h2Server, _ func()) { s.header(true, "server", "x") }},
		{name: "chunk of 8 EB", o: body, want: reasons{`body lacks "ok" in its first 65536 octets`, `body lacks "ok" in its first 65536 octets`, ""},
			http: func(conn net.Conn, _ func()) {
				io.WriteString(conn, ok+"Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n")
				flood(conn, "x")
			}},
		{name: "chunk beyond numbers", o: body, want: reasons{"http chunk length too large reading the body", "http chunk length too large reading the body", ""},
			http: write(ok + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("f", 17) + "\r\n")},
		{name: "chunks of one octet with much around", o: body,
			want: reasons{"chunked encoding contains too much non-data reading the body", "chunked encoding contains too much non-data reading the body", ""},
			http: func(conn net.Conn, _ func()) {
				io.WriteString(conn, ok+"Transfer-Encoding: chunked\r\n\r\n")
				flood(conn, "1;"+strings.Repeat("a", 1000)+"\r\nx\r\n")
			}},
		{name: "endless interim responses", allocates: 16 << 20, want: everywhere("malformed response: more than 10 interim responses"),
			http: func(conn net.Conn, _ func()) { flood(conn, "HTTP/1.1 100 Continue\r\n\r\n") },
			h2: func(_ net.Conn, s h2Server, _ func()) {
				s.WriteSettings()
				early := block(":status", "103") // Once, since what it allocates counts.
				for s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: early, EndHeaders: true}) == nil {
				}
			}},
	}
}
