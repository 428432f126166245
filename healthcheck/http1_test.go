package healthcheck

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// responseOf reads a response as the probe does. The body ends after maxSearch octets.
func responseOf(from io.Reader, method string) (got response, body []byte, err, bodyErr error) {
	got, err = readResponse(new(Check).inbox(from), method)
	if err != nil {
		return got, nil, err, nil
	}
	body, bodyErr = io.ReadAll(io.LimitReader(got.body, maxSearch))
	return got, body, nil, bodyErr
}

func TestReadResponse(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct {
		name, text, method string
		status             int
		body, want         string // Want is the error of the header, or "body: " and that of the body.
	}{
		{"content length", ok + "content-length:  2 \r\n\r\nokay", "GET", 200, "ok", ""},
		{"the same length twice", ok + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", "GET", 200, "ok", ""},
		{"until the end", ok + "\r\nok", "GET", 200, "ok", ""},
		{"LF alone", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "GET", 200, "ok", ""},
		{"no phrase", "HTTP/1.1 200\r\n\r\n", "GET", 200, "", ""},
		{"code out of range", "HTTP/1.1 999 \r\n\r\n", "GET", 999, "", ""},
		{"no code", "HTTP/1.1 099 \r\n\r\n", "GET", 0, "", `"HTTP/1.1 099 " has no status code`},
		{"line that goes on", ok + "X: a\r\n b\r\nContent-Length:\r\n\t2\r\n\r\nokay", "GET", 200, "ok", ""},
		{"HEAD", ok + "Content-Length: 2\r\n\r\n", "HEAD", 200, "", ""},
		{"204", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", "GET", 204, "", ""},
		{"304", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", 304, "", ""},
		{"101", "HTTP/1.1 101 Switching Protocols\r\n\r\n\x00", "GET", 101, "", ""},
		{"interim", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n", "GET", 404, "", ""},
		{"chunked", ok + "Transfer-Encoding: Chunked\r\nContent-Length: 9\r\n\r\n1;a=b\r\no\r\n1\r\nk\r\n0\r\nX: y\r\n\r\n", "GET", 200, "ok", ""},
		{"chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1", "GET", 200, "1", ""},
		{"other encoding", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", "GET", 0, "",
			`Transfer-Encoding "gzip, chunked", which nobody asked for: only chunked can be read`},
		{"two encodings", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", 0, "",
			`Transfer-Encoding "chunked, chunked", which nobody asked for: only chunked can be read`},
		{"two lengths", ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n", "GET", 0, "", `Content-Length is both "2" and "3"`},
		{"length with a sign", ok + "Content-Length: +2\r\n\r\n", "GET", 0, "", `Content-Length "+2" is no number`},
		{"empty length", ok + "Content-Length: \r\n\r\n", "GET", 0, "", `Content-Length "" is no number`},
		{"huge length", ok + "Content-Length: 9223372036854775808\r\n\r\n", "GET", 0, "", `Content-Length "9223372036854775808" is too large`},
		{"bad length without body", "HTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n", "GET", 0, "", `Content-Length "x" is no number`},
		{"short body", ok + "Content-Length: 3\r\n\r\nok", "GET", 200, "ok", "body: unexpected EOF"},
		{"no colon", ok + "abc\r\n\r\n", "GET", 0, "", `a header without a colon: "abc"`},
		{"space before colon", ok + "Host : x\r\n\r\n", "GET", 0, "", `a header with the name "Host "`},
		{"no name", ok + ": x\r\n\r\n", "GET", 0, "", `a header with the name ""`},
		{"starts with a space", ok + " X: y\r\n\r\n", "GET", 0, "", `a header that starts with a space: " X: y"`},
		{"control character", ok + "X: a\x00b\r\n\r\n", "GET", 0, "", "the header \"X\" has a control character in its value"},
		{"CR inside", ok + "X: a\rb\r\n\r\n", "GET", 0, "", "the header \"X\" has a control character in its value"},
		{"two digits", "HTTP/1.1 20 OK\r\n\r\n", "GET", 0, "", `"HTTP/1.1 20 OK" has no status code`},
		{"a sign for a digit", "HTTP/1.1 +20 OK\r\n\r\n", "GET", 0, "", `"HTTP/1.1 +20 OK" has no status code`},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", "GET", 0, "", `it starts with "HTTP/2.0 200 OK", wanted HTTP/1.1`},
		{"small letters", "http/1.1 200 OK\r\n\r\n", "GET", 0, "", `it starts with "http/1.1 200 OK", wanted HTTP/1.1`},
		{"empty line first", "\r\n" + ok + "\r\n", "GET", 0, "", `it starts with "", wanted HTTP/1.1`},
		{"long garbage", strings.Repeat("x", 100) + "\n", "GET", 0, "", `it starts with "` + strings.Repeat("x", 60) + `", wanted HTTP/1.1`},
		{"nothing", "", "GET", 0, "", "EOF"},
		{"half a line", "HTTP/1.1 2", "GET", 0, "", "EOF"},
		{"65536 octets", ok + "X: " + strings.Repeat("y", 65536-24) + "\r\n\r\n", "GET", 200, "", ""},
		{"65537 octets", ok + "X: " + strings.Repeat("y", 65536-23) + "\r\n\r\n", "GET", 0, "", "the header does not end within 65536 octets"},
	} {
		for _, from := range []io.Reader{strings.NewReader(tt.text), iotest.OneByteReader(strings.NewReader(tt.text)), iotest.DataErrReader(strings.NewReader(tt.text))} {
			got, body, err, bodyErr := responseOf(from, tt.method)
			result := ""
			switch {
			case err != nil:
				result = err.Error()
			case bodyErr != nil:
				result = "body: " + bodyErr.Error()
			}
			if result != tt.want || err == nil && got.status != tt.status || string(body) != tt.body {
				t.Errorf("%s:\n got %d %q %s\nwant %d %q %s", tt.name, got.status, body, result, tt.status, tt.body, tt.want)
			}
		}
	}
}

// FuzzHTTPResponse holds the reader of HTTP/1.1 against net/http's: what ours takes for a response theirs does too, with the
// same status, redirect and body.
func FuzzHTTPResponse(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.0 200\nX: y\n z\n\nok",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation:\r\nLocation: /b\r\n\r\n",
		"HTTP/1.1 200 OK\r\n \r\nX: y\r\n\r\n", "HTTP/1.1 200 OK\r\nX: y\r\n \t \r\n\r\n",
		"HTTP/1.1 200 \nTransfer-Encoding: Chunked \n \n\r\n0", "HTTP/1.1 200 OK\r\nLocation: /a \t\r\n \r\n \t\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nT: u\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\nffffffffffffffff\r\n",
		"HTTP/1.1 204 No Content\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x00\x01",
		"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx", "HTTP/1.1 200 OK\r\n: x\r\n\r\n", "SSH-2.0-x\r\n", "\x15\x03\x01\x00\x02\x02\x16",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		got, body, err, bodyErr := responseOf(bytes.NewReader(text), method)
		if err != nil {
			return
		}
		reader := bufio.NewReader(bytes.NewReader(text))
		var theirs *http.Response
		for {
			theirs, err = http.ReadResponse(reader, &http.Request{Method: method})
			if err != nil {
				if strings.Contains(err.Error(), "bad trailer key") {
					return // Trailers are none of ours.
				}
				t.Fatalf("ours is %d, net/http says: %v", got.status, err)
			}
			if theirs.StatusCode >= 200 || theirs.StatusCode < 100 || theirs.StatusCode == 101 {
				break
			}
		}
		if theirs.StatusCode != got.status || theirs.Header.Get("Location") != got.location {
			t.Fatalf("ours is %d %q, net/http's %d %q", got.status, got.location, theirs.StatusCode, theirs.Header.Get("Location"))
		}
		if bodyErr != nil {
			return
		}
		want, err := io.ReadAll(io.LimitReader(theirs.Body, maxSearch))
		if !bytes.Equal(body, want) {
			t.Fatalf("ours is %q, net/http's %q, %v", body, want, err)
		}
	})
}
