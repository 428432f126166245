package healthcheck

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// TestHTTP2 probes the server of net/http, which speaks HTTP/2 when it is offered.
func TestHTTP2(t *testing.T) {
	ca := newAuthority(t, "Test CA", time.Now().Add(365*day))
	certificate := ca.issue(t, time.Now().Add(-day), time.Now().Add(30*day), "www.example.com")
	var at netip.AddrPort
	requests := make(chan string, 20)
	at = serveTLS(t, certificate, func(w http.ResponseWriter, r *http.Request) {
		host := strings.ReplaceAll(r.Host, fmt.Sprint(at.Port()), "PORT")
		requests <- fmt.Sprintf("%s %s %s%s %s %s", r.Proto, r.Method, host, r.URL, r.Header.Get("X-Probe"), r.Header.Get("User-Agent"))
		switch r.URL.Path {
		case "/early":
			w.WriteHeader(103)
			io.WriteString(w, "ok")
		case "/long":
			io.WriteString(w, strings.Repeat("x", maxSearch-2)+"ok")
		case "/away":
			http.Redirect(w, r, "/early?b", http.StatusSeeOther)
		case "/503":
			w.WriteHeader(503)
		}
	})
	file := ca.write(t, t.TempDir(), "ca.pem")
	for _, tt := range []struct {
		o    Options
		want string
		sent string
	}{
		{Options{Path: "/"}, "good", "HTTP/2.0 GET www.example.com/  gtmd-healthcheck"},
		{Options{Path: "/503"}, "HTTP 503, wanted 200-499", "HTTP/2.0 GET www.example.com/503  gtmd-healthcheck"},
		{Options{Path: "/", Method: "HEAD", Headers: map[string]string{"x-probe": " 1 ", "user-agent": "me"}}, "good", "HTTP/2.0 HEAD www.example.com/ 1 me"},
		{Options{Path: "/early?a=b", ExpectBody: "ok"}, "good", "HTTP/2.0 GET www.example.com/early?a=b  gtmd-healthcheck"},
		{Options{Path: "/early", ExpectBody: "ko"}, `body lacks "ko" in its 2 octets`, "HTTP/2.0 GET www.example.com/early  gtmd-healthcheck"},
		{Options{Path: "/long", ExpectBodyRegex: "ok$"}, "good", "HTTP/2.0 GET www.example.com/long  gtmd-healthcheck"},
		{Options{Path: "/away", Method: "POST", FollowRedirects: true, ExpectBody: "ok"}, "good",
			"HTTP/2.0 POST www.example.com/away  gtmd-healthcheck|HTTP/2.0 GET www.example.com/early?b  gtmd-healthcheck"},
		{Options{Path: "/", Headers: map[string]string{"X-Probe": strings.Repeat("y", 40_000)}}, "good",
			"HTTP/2.0 GET www.example.com/ " + strings.Repeat("y", 40_000) + " gtmd-healthcheck"},
	} {
		tt.o.Protocol, tt.o.CAFile, tt.o.SNI, tt.o.Verify = HTTPS, file, true, true
		report, err := probe(t, t.Context(), tt.o, at, "www.example.com")
		if text(err) != tt.want {
			t.Errorf("%s: %s, want %s", tt.o.Path, text(err), tt.want)
		}
		var sent []string
		for len(requests) > 0 {
			sent = append(sent, <-requests)
		}
		if got := strings.Join(sent, "|"); got != tt.sent {
			t.Errorf("%s:\n got %s\nwant %s", tt.o.Path, clip(got, 200), clip(tt.sent, 200))
		}
		if p := report.Phases; p.Connect == 0 || p.TLS == 0 || p.FirstByte == 0 || (p.Body > 0) != (tt.o.ExpectBody+tt.o.ExpectBodyRegex != "") {
			t.Errorf("%s: phases %+v", tt.o.Path, p)
		}
	}
}

// serveTLS starts a real HTTPS server at 127.0.0.1.
func serveTLS(t testing.TB, certificate tls.Certificate, handle http.HandlerFunc) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handle, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.ServeTLS(listener, "", "")
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// block returns a header.
func block(pairs ...string) []byte {
	var b bytes.Buffer
	encoder := hpack.NewEncoder(&b)
	for i := 0; i < len(pairs); i += 2 {
		encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return b.Bytes()
}
