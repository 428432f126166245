package healthcheck

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHTTP(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: "
	for _, tt := range []struct {
		name   string
		o      Options
		handle func(net.Conn)
		want   string
	}{
		{"200", Options{}, says(head + "0\r\n\r\n"), "good"},
		{"404 is within Alibaba's bounds", Options{}, says("HTTP/1.1 404 Not Found\r\n\r\n"), "good"},
		{"302 is not followed", Options{}, says("HTTP/1.1 302 Found\r\nLocation: /loop\r\n\r\n"), "good"},
		{"503", Options{}, says("HTTP/1.1 503 Service Unavailable\r\n\r\n"), "HTTP 503, wanted 200-499"},
		{"204", Options{ExpectStatus: statusSet(t, "200,300-399")}, says("HTTP/1.1 204 No Content\r\n\r\n"), "HTTP 204, wanted 200,300-399"},
		{"HTTP/1.0", Options{}, says("HTTP/1.0 200 OK\r\n\r\n"), "good"},
		{"100 first", Options{}, says("HTTP/1.1 100 Continue\r\n\r\n" + head + "0\r\n\r\n"), "good"},
		{"body", Options{ExpectBody: "ok"}, says(head + "4\r\n\r\n.ok."), "good"},
		{"chunked body", Options{ExpectBody: "ok"}, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"), "good"},
		{"body until close", Options{ExpectBody: "ok"}, says("HTTP/1.1 200 OK\r\n\r\nok"), "good"},
		{"another body", Options{ExpectBody: "ok"}, says(head + "4\r\n\r\nnope"), `body lacks "ok" in its 4 octets`},
		{"long body", Options{ExpectBody: "ok"}, says(head + "100000\r\n\r\n" + strings.Repeat("x", 65535) + "ok" + strings.Repeat("x", 34463)),
			`body lacks "ok" in its first 65536 octets`},
		{"short body", Options{ExpectBody: "ok"}, says(head + "10\r\n\r\nabc"), "connection closed in the body"},
		{"broken chunk", Options{ExpectBody: "ok"}, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "invalid byte in chunk length reading the body"},
		{"closed", Options{}, says(""), "connection closed before a response"},
		{"closed in the header", Options{}, says("HTTP/1.1 200 OK\r\nA: b\r\n"), "connection closed before a response"},
		{"closed at once", Options{}, func(conn net.Conn) { http.ReadRequest(bufio.NewReader(conn)) }, "connection closed before a response"},
		{"reset", Options{}, func(conn net.Conn) {
			http.ReadRequest(bufio.NewReader(conn))
			conn.(*net.TCPConn).SetLinger(0)
		}, "connection reset before a response"},
		{"garbage", Options{}, says("\x15\x03\x01\x00\x02\x02\x16\r\n\r\n"), `malformed response: it starts with "\x15\x03\x01\x00\x02\x02\x16", wanted HTTP/1.1`},
		{"bad status", Options{}, says("HTTP/1.1 abc OK\r\n\r\n"), `malformed response: "HTTP/1.1 abc OK" has no status code`},
		{"endless header", Options{}, says("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 200_000) + "\r\n\r\n"),
			"malformed response: the header does not end within 65536 octets"},
	} {
		tt.o.Protocol = HTTP
		report, err := probe(t, t.Context(), tt.o, origin(t, tt.handle), "")
		if report.Phases = (Phases{}); text(err) != tt.want || report != (Report{}) {
			t.Errorf("%s:\n got %s %+v\nwant %s", tt.name, text(err), report, tt.want)
		}
	}
}

// TestHTTPSpeaksFirst probes a server that talks before it is asked, which net/http would log.
func TestHTTPSpeaksFirst(t *testing.T) {
	var logged bytes.Buffer
	before := log.Writer()
	log.SetOutput(&logged)
	defer log.SetOutput(before)
	at := origin(t, func(conn net.Conn) {
		io.WriteString(conn, "SSH-2.0-x\r\n")
		io.Copy(io.Discard, conn)
	})
	_, err := probe(t, t.Context(), Options{Protocol: HTTP}, at, "")
	if want := `malformed response: it starts with "SSH-2.0-x", wanted HTTP/1.1`; text(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
	if logged.Len() > 0 {
		t.Errorf("the default logger got %q", logged.String())
	}
}

func TestHTTPConnect(t *testing.T) {
	if _, err := probe(t, t.Context(), Options{Protocol: HTTP}, closedPort(t), ""); text(err) != "connect: connection refused" {
		t.Errorf("%v", err)
	}
	ctx, expire := newExpiring()
	expire()
	if _, err := probe(t, ctx, Options{Protocol: HTTP}, closedPort(t), ""); text(err) != "timeout after 5s connecting" {
		t.Errorf("%v", err)
	}
}

func TestHTTPTimeoutWaitingForHeaders(t *testing.T) {
	ctx, expire := newExpiring()
	at := origin(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		http.ReadRequest(reader)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Drip: ")
		expire()
		io.Copy(io.Discard, reader)
	})
	_, err := probe(t, ctx, Options{Protocol: HTTP}, at, "")
	if text(err) != "timeout after 5s waiting for headers" || !isTimeout(err) {
		t.Errorf("%v", err)
	}
}

// TestHTTPTimeoutReadingBody lets the deadline pass once the probe has taken the first octet of a body.
func TestHTTPTimeoutReadingBody(t *testing.T) {
	ctx, expire := newExpiring()
	client, server := net.Pipe()
	link := newLink(ctx, pipeSocket{client})
	defer link.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		says("HTTP/1.1 200 OK\r\n\r\n")(server)
		io.WriteString(server, "x") // Which is read before this returns.
		expire()
	}()
	check := compile(t, Options{Protocol: HTTP, ExpectBody: "ok"})
	var report Report
	x := &exchange{check: check, ctx: ctx, report: &report, during: awaitingHeader, watch: startWatch()}
	request, err := check.newRequest("www.example.com")
	if err != nil {
		t.Fatal(err)
	}
	in := check.inbox(link)
	got, err := x.http1(link, in, request)
	if err != nil {
		t.Fatal(err)
	}
	if err := explain(ctx, x.judge(got), x.during, 5*time.Second); text(err) != "timeout after 5s reading the body" {
		t.Errorf("%v", err)
	}
	<-served
	if p := report.Phases; p.FirstByte == 0 || p.Body == 0 {
		t.Errorf("phases %+v", p)
	}
}

// pipeSocket is a connection in memory.
type pipeSocket struct{ net.Conn }

func (pipeSocket) SetLinger(int) error { return nil }

func TestHTTPRequest(t *testing.T) {
	for _, tt := range []struct {
		name, listen, host string
		o                  Options
		want               string // With PORT for the port that is probed.
	}{
		{"address", "127.0.0.1:0", "", Options{}, "GET / HTTP/1.1|Host: 127.0.0.1|User-Agent: gtmd-healthcheck|Connection: close"},
		{"IPv6 address", "[::1]:0", "", Options{}, "GET / HTTP/1.1|Host: [::1]|User-Agent: gtmd-healthcheck|Connection: close"},
		{"host", "127.0.0.1:0", "www.example.com", Options{}, "GET / HTTP/1.1|Host: www.example.com|User-Agent: gtmd-healthcheck|Connection: close"},
		{"host with port", "127.0.0.1:0", "www.example.com:81", Options{}, "GET / HTTP/1.1|Host: www.example.com:81|User-Agent: gtmd-healthcheck|Connection: close"},
		{"host of the check", "127.0.0.1:0", "www.example.com", Options{Host: "2001:db8::1"}, "GET / HTTP/1.1|Host: [2001:db8::1]|User-Agent: gtmd-healthcheck|Connection: close"},
		{"everything", "127.0.0.1:0", "", Options{Method: "HEAD", Path: "//a%2Fb?c=d&e", Headers: map[string]string{"x-probe": "1", "User-Agent": "me"}},
			"HEAD //a%2Fb?c=d&e HTTP/1.1|Host: 127.0.0.1|User-Agent: me|X-Probe: 1|Connection: close"},
	} {
		got, closed := make(chan string, 1), make(chan struct{})
		at := originAt(t, tt.listen, func(conn net.Conn) {
			defer close(closed)
			reader := bufio.NewReader(conn)
			var lines []string
			for {
				line, err := reader.ReadString('\n')
				if line = strings.TrimRight(line, "\r\n"); err != nil || line == "" {
					break
				}
				lines = append(lines, line)
			}
			got <- strings.Join(lines, "|")
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc")
			io.Copy(io.Discard, reader)
		})
		tt.o.Protocol = HTTP
		if _, err := probe(t, t.Context(), tt.o, at, tt.host); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if request := <-got; request != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, request, tt.want)
		}
		<-closed // The probe leaves no connection behind, although the origin would keep it.
	}
}

func TestHTTPRedirects(t *testing.T) {
	// Nobody but the address under test can answer for www.example.com and other.example here.
	var (
		mu    sync.Mutex
		hosts []string
	)
	mux := http.NewServeMux()
	second := originAt(t, "127.0.0.1:0", says("HTTP/1.1 204 No Content\r\n\r\n"))
	for _, code := range []int{301, 302, 303, 307, 308} {
		mux.HandleFunc(fmt.Sprintf("/%d", code), func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Location", "ok"); w.WriteHeader(code) })
	}
	mux.HandleFunc("/300", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Location", "ok"); w.WriteHeader(300) })
	mux.HandleFunc("/port", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, fmt.Sprintf("http://other.example:%d/", second.Port()), 302)
	})
	mux.HandleFunc("/same", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, fmt.Sprintf("http://www.example.com:%d/ok", r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr).Port), 302)
	})
	mux.HandleFunc("/other", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, fmt.Sprintf("http://other.example:%d/relative", r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr).Port), 302)
	})
	mux.HandleFunc("/relative", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "ok", 302) })
	mux.HandleFunc("/ftp", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "ftp://www.example.com/", 302) })
	mux.HandleFunc("/refused", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://www.example.com:"+fmt.Sprint(closedPort(t).Port())+"/", 302)
	})
	mux.HandleFunc("/zero", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://www.example.com:0/", 302) })
	mux.HandleFunc("/nowhere", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(302) })
	mux.HandleFunc("/hop/", func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscanf(r.URL.Path, "/hop/%d", &n)
		if n == 0 {
			http.Redirect(w, r, "/ok", 302)
			return
		}
		http.Redirect(w, r, fmt.Sprintf("/hop/%d", n-1), 302)
	})
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })
	at := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		hosts = append(hosts, strings.ReplaceAll(r.Host, fmt.Sprint(r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr).Port), "PORT"))
		mux.ServeHTTP(w, r)
	}))
	for _, tt := range []struct {
		path, want string
		hosts      string
	}{
		{"/301", "good", "www.example.com www.example.com"},
		{"/302", "good", "www.example.com www.example.com"},
		{"/303", "good", "www.example.com www.example.com"},
		{"/307", "good", "www.example.com www.example.com"},
		{"/308", "good", "www.example.com www.example.com"},
		{"/300", "HTTP 300, wanted 204", "www.example.com"},
		{"/port", "good", "www.example.com"},
		{"/same", "good", "www.example.com www.example.com"},
		{"/other", "good", "www.example.com other.example:PORT other.example:PORT"},
		{"/hop/8", "good", strings.TrimSpace(strings.Repeat("www.example.com ", 10))},
		{"/hop/9", "good", strings.TrimSpace(strings.Repeat("www.example.com ", 11))},
		{"/hop/10", fmt.Sprintf("more than 10 redirects (after a redirect to http://www.example.com:%d/hop/0)", at.Port()),
			strings.TrimSpace(strings.Repeat("www.example.com ", 11))},
		{"/ftp", `redirect to "ftp://www.example.com/", which is no http or https URL`, "www.example.com"},
		{"/zero", "connect: no port \"0\" (after a redirect to http://www.example.com:0/)", "www.example.com"},
		{"/nowhere", "HTTP 302, wanted 204", "www.example.com"},
	} {
		mu.Lock()
		hosts = nil
		mu.Unlock()
		o := Options{Protocol: HTTP, Path: tt.path, FollowRedirects: true, ExpectStatus: statusSet(t, "204")}
		_, err := probe(t, t.Context(), o, at, "www.example.com")
		if text(err) != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.path, text(err), tt.want)
		}
		mu.Lock()
		got := strings.Join(hosts, " ")
		mu.Unlock()
		if diff := cmp.Diff(tt.hosts, got); diff != "" {
			t.Errorf("%s, hosts (-want +got):\n%s", tt.path, diff)
		}
	}
	_, err := probe(t, t.Context(), Options{Protocol: HTTP, Path: "/refused", FollowRedirects: true}, at, "www.example.com")
	if !strings.HasPrefix(text(err), "connect: connection refused (after a redirect to http://www.example.com:") {
		t.Errorf("refused: %v", err)
	}
}

// TestHTTPHostZone: a zone means nothing to the server.
func TestHTTPHostZone(t *testing.T) {
	check := compile(t, Options{Protocol: HTTP})
	request, err := check.request(netip.MustParseAddr("fe80::1%eth0"), "")
	if err != nil || request.authority != "[fe80::1]" || request.url.Host != "[fe80::1]:80" {
		t.Errorf("%+v, %v", request, err)
	}
	for _, host := range []string{"a b", "a/b", "a@b", "a\r\nb", "a?b", "a#b", "ä"} {
		if _, err := check.request(netip.Addr{}, host); text(err) == "good" {
			t.Errorf("%q, which is no host, makes a request", host)
		}
	}
}

// serveHTTP starts a real HTTP server at 127.0.0.1.
func serveHTTP(t testing.TB, handler http.Handler) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Shutdown(context.Background())
		<-done
	})
	return listener.Addr().(*net.TCPAddr).AddrPort()
}
