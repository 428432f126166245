package healthcheck

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOptionsValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		want []string
	}{
		{"http", Options{Protocol: HTTP}, nil},
		{"https", Options{Protocol: HTTPS, Port: 8443, Host: "www.example.com:8443", CAFile: "ca.pem", CertFile: "c.pem", KeyFile: "k.pem", MinTLS: "1.3"}, nil},
		{"tcp", Options{Protocol: TCP, Port: 25, Expect: "220", Send: "QUIT\r\n"}, nil},
		{"ping", Options{Protocol: Ping, Packets: 100, LossRate: 50, Size: 1}, nil},
		{"defaults", Options{Protocol: Ping}.withDefaults(), nil},
		{"headers", Options{Protocol: HTTP, Method: "HEAD", Headers: map[string]string{"X-Probe": "a\tb é", "User-Agent": "x"}}, nil},
		{"redirects to https", Options{Protocol: HTTP, FollowRedirects: true, CAFile: "ca.pem", MinTLS: "1.0"}, nil},
		{"timeout", Options{Protocol: HTTP, Interval: time.Second, Timeout: 1001 * time.Millisecond},
			[]string{"timeout: 1.001s is longer than the interval of 1s: make it at most that"}},
		{"default timeout", Options{Protocol: HTTP, Interval: time.Second},
			[]string{"timeout: 5s is longer than the interval of 1s: make it at most that"}},
		{"tcp without port", Options{Protocol: TCP},
			[]string{"port: tcp has no port of its own: set the one to connect to, such as 443"}},
		{"ping with port", Options{Protocol: Ping, Port: 80},
			[]string{`port: has no meaning for protocol "ping", only for http, https, tcp, tls, dns, grpc: remove it`}},
		{"keys of https on http", Options{Protocol: HTTP, CAFile: "ca.pem", CertFile: "c.pem", KeyFile: "k.pem", MinTLS: "1.3"}, []string{
			`ca_file: has no meaning for protocol "http", only for https, tls: remove it`,
			`min_tls: has no meaning for protocol "http", only for https, tls: remove it`,
			`cert_file: has no meaning for protocol "http", only for https, tls: remove it`,
			`key_file: has no meaning for protocol "http", only for https, tls: remove it`,
		}},
		{"keys of http on tcp", Options{Protocol: TCP, Port: 1, Host: "a", Path: "/a", Method: "HEAD", Headers: map[string]string{"a": "b"},
			ExpectStatus: statusSet(t, "204"), FollowRedirects: true}, []string{
			`host: has no meaning for protocol "tcp", only for http, https, tls, grpc: remove it`,
			`path: has no meaning for protocol "tcp", only for http, https: remove it`,
			`method: has no meaning for protocol "tcp", only for http, https: remove it`,
			`headers: has no meaning for protocol "tcp", only for http, https: remove it`,
			`expect_status: has no meaning for protocol "tcp", only for http, https: remove it`,
			`follow_redirects: has no meaning for protocol "tcp", only for http, https: remove it`,
		}},
		{"keys of tcp and ping on http", Options{Protocol: HTTP, Send: "a", Expect: "b", Packets: 1, LossRate: 1, Size: 1}, []string{
			`send: has no meaning for protocol "http", only for tcp: remove it`,
			`expect: has no meaning for protocol "http", only for tcp: remove it`,
			`packets: has no meaning for protocol "http", only for ping: remove it`,
			`loss_rate: has no meaning for protocol "http", only for ping: remove it`,
			`size: has no meaning for protocol "http", only for ping: remove it`,
		}},
		{"cert without key", Options{Protocol: HTTPS, CertFile: "c.pem"}, []string{"key_file: is missing: cert_file needs the key of its certificate"}},
		{"key without cert", Options{Protocol: HTTPS, KeyFile: "k.pem"}, []string{"cert_file: is missing: key_file needs the certificate of its key"}},
		{"path without slash", Options{Protocol: HTTP, Path: "status"}, []string{`path: "status" does not start with "/": write "/status"`}},
		{"path with fragment", Options{Protocol: HTTP, Path: "/a#b"},
			[]string{`path: "/a#b" has a fragment, which is never sent: remove what starts with "#", or write it as %23`}},
		{"path with space", Options{Protocol: HTTP, Path: "/a b"},
			[]string{`path: "/a b" is not the path of a URL: write spaces, controls and what is not ASCII as %XX`}},
		{"path with bad escape", Options{Protocol: HTTP, Path: "/%zz"},
			[]string{`path: "/%zz" is not the path of a URL: write spaces, controls and what is not ASCII as %XX`}},
		{"method", Options{Protocol: HTTP, Method: "GET /"}, []string{`method: "GET /" is not a method: want a word such as GET or HEAD`}},
		{"HEAD with body", Options{Protocol: HTTP, Method: "HEAD", ExpectBody: "ok"}, []string{"expect_body: a response to HEAD has no body: use method GET"}},
		{"bad headers", Options{Protocol: HTTP, Headers: map[string]string{"Host": "a", "connection": "close", "a b": "c", "": "d", "X": "a\r\nb"}}, []string{
			`headers: "" is not the name of a header: want letters, digits and dashes`,
			`headers: "Host" has a key of its own: use host`,
			`headers: the value of "X" has a line break or another control character: remove it`,
			`headers: "a b" is not the name of a header: want letters, digits and dashes`,
			`headers: "connection" belongs to the connection, which is the probe's own: remove it`,
		}},
		{"body in two ways", Options{Protocol: HTTP, ExpectBody: "ok", ExpectBodyRegex: `^ok\s*$`}, nil},
		{"HEAD with a pattern", Options{Protocol: HTTP, Method: "HEAD", ExpectBodyRegex: "ok"}, []string{"expect_body_regex: a response to HEAD has no body: use method GET"}},
		{"pattern", Options{Protocol: HTTP, ExpectBodyRegex: "a(b"},
			[]string{`expect_body_regex: "a(b" is no regular expression: missing closing ): ` + "`a(b`" + `: want the syntax of RE2, such as ^(OK|READY)`}},
		{"look-ahead", Options{Protocol: HTTP, ExpectBodyRegex: "(?=a)"},
			[]string{`expect_body_regex: "(?=a)" is no regular expression: invalid or unsupported Perl syntax: ` + "`(?=`" + `: want the syntax of RE2, such as ^(OK|READY)`}},
		{"body too long", Options{Protocol: HTTP, ExpectBody: strings.Repeat("x", 65537)}, []string{"expect_body: is 65537 octets long, of which only 65536 are looked at: shorten it"}},
		{"answer too long", Options{Protocol: TCP, Port: 1, Expect: strings.Repeat("x", 65537)}, []string{"expect: is 65537 octets long, of which only 65536 are looked at: shorten it"}},
		{"compressed body", Options{Protocol: HTTP, ExpectBody: "ok", Headers: map[string]string{"accept-encoding": "gzip"}},
			[]string{`headers: "accept-encoding" asks for a body that is compressed, in which nothing is found: remove it`}},
		{"body as it is", Options{Protocol: HTTP, ExpectBody: "ok", Headers: map[string]string{"accept-encoding": "identity"}}, nil},
		{"header twice", Options{Protocol: HTTP, Headers: map[string]string{"X-A": "1", "x-a": "2"}}, []string{`headers: "X-A" and "x-a" are the same header: remove one`}},
		{"tunnel", Options{Protocol: HTTP, Method: "CONNECT"}, []string{"method: CONNECT asks for a tunnel, which a probe has no use for: use GET"}},
		{"redirects wanted and followed", Options{Protocol: HTTP, FollowRedirects: true, ExpectStatus: statusSet(t, "301,302")},
			[]string{"expect_status: 301-302 is met by no response to what redirects lead to: remove follow_redirects, or want a status such as 200"}},
		{"tls", Options{Protocol: TLS, Host: "www.example.com", MinTLS: "1.3", CertFile: "c.pem", KeyFile: "k.pem"}, nil},
		{"keys of http on tls", Options{Protocol: TLS, Path: "/a", ExpectBodyRegex: "a", TLS: true}, []string{
			`path: has no meaning for protocol "tls", only for http, https: remove it`,
			`expect_body_regex: has no meaning for protocol "tls", only for http, https: remove it`,
			`tls: has no meaning for protocol "tls", only for grpc: remove it`,
		}},
		{"grpc", Options{Protocol: GRPC, Port: 50051, Service: "shop.Cart"}, nil},
		{"grpc with TLS", Options{Protocol: GRPC, TLS: true, CAFile: "ca.pem"}, nil},
		{"grpc without port", Options{Protocol: GRPC, Service: "a b"}, []string{
			"port: grpc has no port of its own: set the one to connect to, such as 443",
			`service: "a b" is not the name of a service: want its package and name, such as grpc.health.v1.Health`,
		}},
		{"grpc without TLS", Options{Protocol: GRPC, Port: 1, CAFile: "ca.pem"},
			[]string{`ca_file: has no meaning for protocol "grpc" without TLS: set tls = true, or remove it`}},
		{"dns", Options{Protocol: DNS, Query: "www.example.com.", QueryType: "SOA", ExpectRCode: []string{"NOERROR", "NXDOMAIN"}}, nil},
		{"bad dns", Options{Protocol: DNS, Query: "a..b", QueryType: "soa", ExpectRCode: []string{"nxdomain", "OK", "REFUSED", "REFUSED"}, ExpectAnswer: "192.0.2.1"}, []string{
			`query: "a..b" is not a domain name: want one such as www.example.com`,
			`query_type: "soa" is not a record type: write "SOA"`,
			`expect_rcode: "nxdomain" is not a response code: write "NXDOMAIN"`,
			`expect_rcode: "OK" is not a response code: want one such as NOERROR, NXDOMAIN or REFUSED`,
			`expect_rcode: "REFUSED" stands there twice: remove one`,
			"expect_answer: only a response with NOERROR has an answer: add NOERROR to expect_rcode, or remove this",
		}},
		{"no record type", Options{Protocol: DNS, QueryType: "X"}, []string{`query_type: "X" is not a record type: want one such as A, AAAA, SOA or TXT`}},
		{"transfer", Options{Protocol: DNS, QueryType: "AXFR"}, []string{`query_type: "AXFR" is nothing that a query asks for: want a record type such as A or SOA`}},
		{"script", Options{Protocol: Script, Command: []string{"/bin/check", "{address}", ""}}, nil},
		{"script without command", Options{Protocol: Script},
			[]string{`command: is missing: want the path of a program and its arguments, such as ["/usr/lib/check", "{address}"]`}},
		{"script by name", Options{Protocol: Script, Command: []string{"check", "a\x00b"}}, []string{
			`command: "check" is not an absolute path: write where the program is, such as "/usr/bin/check"`,
			`command: "a\x00b" has a zero octet, which no argument can have: remove it`,
		}},
		{"script by address", Options{Protocol: Script, Command: []string{"/bin/{host}"}},
			[]string{`command: the program "/bin/{host}" depends on what is probed: only arguments may have {address}, {host} and {check}`}},
		{"push", Options{Protocol: Push, TokenFile: "token"}, nil},
		{"bad push", Options{Protocol: Push, FastInterval: 5 * time.Second, MaxLatency: time.Second}, []string{
			`fast_interval: has no meaning for protocol "push", only for http, https, tcp, ping, tls, dns, grpc, script: remove it`,
			`max_latency: has no meaning for protocol "push", only for http, https, tcp, ping, tls, dns, grpc, script: remove it`,
			"token_file: is missing: want the path of a file with the token that the origin sends",
		}},
		{"host", Options{Protocol: HTTP, Host: "http://www.example.com/"},
			[]string{`host: "http://www.example.com/" is not a host: want a domain name or an address, with its port if need be, such as www.example.com`}},
	} {
		var got []string
		tt.o.Validate(func(key, message string) { got = append(got, key+": "+message) })
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestLegalHost(t *testing.T) {
	label := strings.Repeat("a", 63)
	for host, want := range map[string]bool{
		"www.example.com": true, "a_b.example": true, "localhost:8080": true, "192.0.2.1": true, "192.0.2.1:80": true,
		"2001:db8::1": true, "[2001:db8::1]": true, "[2001:db8::1]:443": true, label + ".example": true,
		"": false, ".": false, "a..b": false, "-a.example": false, "a-.example": false, label + "a.example": false,
		"a b": false, "a/b": false, "a:": false, "a:0": false, "a:65536": false, "a:b": false, "bücher.example": false,
		"a@b": false, strings.Repeat("aaaa.", 51): false, strings.Repeat("aaa.", 63) + "aa": false, "[2001:db8::1": false,
	} {
		if got := legalHost(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

// TestDefaults holds withDefaults against the tags, which are what the documentation and the configuration use.
func TestDefaults(t *testing.T) {
	for _, protocol := range Protocol("").Values() {
		got := reflect.ValueOf(Options{Protocol: Protocol(protocol)}.withDefaults())
		for i := range got.NumField() {
			field := got.Type().Field(i)
			tag, ok := field.Tag.Lookup("default")
			if !ok || field.Name == "Size" || field.Name == "CertExpiryWarning" || field.Type.Kind() == reflect.Bool {
				continue
			}
			value := got.Field(i).Interface()
			if d, ok := value.(time.Duration); ok {
				want, err := time.ParseDuration(tag)
				if err != nil || d != want {
					t.Errorf("%s: %v, the tag says %s", field.Name, d, tag)
				}
			} else if text := strings.Trim(fmt.Sprint(value), "[]"); text != tag { // A list of one is written as one.
				t.Errorf("%s: %v, the tag says %s", field.Name, text, tag)
			}
		}
	}
	full := Options{Protocol: HTTPS, Port: 1, Interval: 2, Timeout: 3, Fall: 4, Rise: 5, Path: "/p", Method: "PUT", MinTLS: "1.3",
		Packets: 6, LossRate: 7, QueryType: "SOA", ExpectRCode: []string{"REFUSED"}, MaxProcesses: 8, ExpectStatus: statusSet(t, "204")}
	if diff := cmp.Diff(full, full.withDefaults(), cmp.Comparer(func(a, b StatusSet) bool { return a == b })); diff != "" {
		t.Errorf("what was set was changed (-want +got):\n%s", diff)
	}
}
