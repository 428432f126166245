package healthcheck

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// withDefaults returns o with every zero number, text and set replaced by the default that its tag states. Switches
// stay as they are, and so do Size and CertExpiryWarning, of which zero means something.
func (o Options) withDefaults() Options {
	if o.Port == 0 && o.Protocol == HTTP {
		o.Port = 80
	}
	if o.Port == 0 && (o.Protocol == HTTPS || o.Protocol == TLS || o.Protocol == GRPC && o.TLS) {
		o.Port = 443
	}
	if o.Port == 0 && o.Protocol == DNS {
		o.Port = 53
	}
	setDefault(&o.QueryType, "A")
	if len(o.ExpectRCode) == 0 {
		o.ExpectRCode = []string{"NOERROR"}
	}
	setDefault(&o.MaxProcesses, 10)
	setDefault(&o.Interval, 15*time.Second)
	setDefault(&o.Timeout, 5*time.Second)
	setDefault(&o.Fall, 3)
	setDefault(&o.Rise, 1)
	setDefault(&o.Path, "/")
	setDefault(&o.Method, "GET")
	setDefault(&o.MinTLS, "1.2")
	setDefault(&o.Packets, 20)
	setDefault(&o.LossRate, 10)
	if o.ExpectStatus == (StatusSet{}) {
		// The text is right, so there is no error.
		_ = o.ExpectStatus.UnmarshalText([]byte("200-499"))
	}
	return o
}

func setDefault[T comparable](value *T, to T) {
	var zero T
	if *value == zero {
		*value = to
	}
}

// Validate calls problem for everything in o that the ranges of its tags do not catch: the TOML key that is at
// fault, and what is wrong and what would be right. Zero numbers, texts and sets stand for their defaults.
// Files are not read; [Prober.Compile] does that. A switch (sni, verify) that has no effect is no problem, since
// its zero value cannot be told from what an operator wrote.
func (o *Options) Validate(problem func(key, message string)) {
	v := o.withDefaults()
	v.validateTimes(problem)
	v.validateMisplaced(problem)
	v.validateFiles(problem)
	v.validateRequest(problem)
	v.validateHeaders(problem)
	v.validateBody(problem)
	v.validateKind(problem)
}

func (o *Options) validateTimes(problem func(key, message string)) {
	if o.Timeout > o.Interval {
		problem("timeout", fmt.Sprintf("%v is longer than the interval of %v: make it at most that", o.Timeout, o.Interval))
	}
	if o.Port == 0 && (o.Protocol == TCP || o.Protocol == GRPC) {
		problem("port", fmt.Sprintf("%s has no port of its own: set the one to connect to, such as 443", o.Protocol))
	}
	if o.FastInterval > o.Interval {
		problem("fast_interval", fmt.Sprintf("%v is longer than the interval of %v: make it shorter", o.FastInterval, o.Interval))
	}
	if o.Timeout > o.FastInterval && o.FastInterval > 0 {
		problem("fast_interval", fmt.Sprintf("%v is shorter than the timeout of %v: make it at least that", o.FastInterval, o.Timeout))
	}
	if o.MaxLatency > o.Timeout {
		problem("max_latency", fmt.Sprintf("%v is longer than the timeout of %v: no good probe takes as long", o.MaxLatency, o.Timeout))
	}
}

// validateMisplaced finds the keys of other protocols.
func (o *Options) validateMisplaced(problem func(key, message string)) {
	var (
		web      = []Protocol{HTTP, HTTPS}
		named    = []Protocol{HTTP, HTTPS, TLS, GRPC}
		secure   = []Protocol{HTTPS, TLS}
		defaults = Options{Protocol: o.Protocol}.withDefaults()
		active   = []Protocol{HTTP, HTTPS, TCP, Ping, TLS, DNS, GRPC, Script} // All that go and ask.
	)
	if o.FollowRedirects {
		secure = append(secure, HTTP) // A redirect may lead to https.
	}
	if o.TLS {
		secure = append(secure, GRPC)
	}
	for _, k := range []struct {
		key       string
		set       bool
		protocols []Protocol
	}{
		{"port", o.Port != 0, []Protocol{HTTP, HTTPS, TCP, TLS, DNS, GRPC}},
		{"fast_interval", o.FastInterval != 0, active},
		{"max_latency", o.MaxLatency != 0, active},
		{"host", o.Host != "", named},
		{"path", o.Path != defaults.Path, web},
		{"method", o.Method != defaults.Method, web},
		{"headers", len(o.Headers) > 0, web},
		{"expect_status", o.ExpectStatus != defaults.ExpectStatus, web},
		{"expect_body", o.ExpectBody != "", web},
		{"expect_body_regex", o.ExpectBodyRegex != "", web},
		{"follow_redirects", o.FollowRedirects, web},
		{"ca_file", o.CAFile != "", secure},
		{"min_tls", o.MinTLS != defaults.MinTLS, secure},
		{"cert_file", o.CertFile != "", secure},
		{"key_file", o.KeyFile != "", secure},
		{"send", o.Send != "", []Protocol{TCP}},
		{"expect", o.Expect != "", []Protocol{TCP}},
		{"packets", o.Packets != defaults.Packets, []Protocol{Ping}},
		{"loss_rate", o.LossRate != defaults.LossRate, []Protocol{Ping}},
		{"size", o.Size != 0 && o.Size != 56, []Protocol{Ping}},
		{"query", o.Query != "", []Protocol{DNS}},
		{"query_type", o.QueryType != defaults.QueryType, []Protocol{DNS}},
		{"expect_rcode", !slices.Equal(o.ExpectRCode, defaults.ExpectRCode), []Protocol{DNS}},
		{"expect_answer", o.ExpectAnswer != "", []Protocol{DNS}},
		{"service", o.Service != "", []Protocol{GRPC}},
		{"tls", o.TLS, []Protocol{GRPC}},
		{"command", len(o.Command) > 0, []Protocol{Script}},
		{"max_processes", o.MaxProcesses != defaults.MaxProcesses, []Protocol{Script}},
		{"token_file", o.TokenFile != "", []Protocol{Push}},
	} {
		if k.set && !slices.Contains(k.protocols, o.Protocol) {
			if o.Protocol == GRPC && slices.Contains(k.protocols, HTTPS) && slices.Contains(k.protocols, TLS) {
				problem(k.key, `has no meaning for protocol "grpc" without TLS: set tls = true, or remove it`)
				continue
			}
			list := make([]string, len(k.protocols))
			for i, p := range k.protocols {
				list[i] = string(p)
			}
			problem(k.key, fmt.Sprintf("has no meaning for protocol %q, only for %s: remove it", o.Protocol, strings.Join(list, ", ")))
		}
	}
}

func (o *Options) validateFiles(problem func(key, message string)) {
	if o.CertFile != "" && o.KeyFile == "" {
		problem("key_file", "is missing: cert_file needs the key of its certificate")
	}
	if o.KeyFile != "" && o.CertFile == "" {
		problem("cert_file", "is missing: key_file needs the certificate of its key")
	}
}

func (o *Options) validateRequest(problem func(key, message string)) {
	if o.Host != "" && !legalHost(o.Host) {
		problem("host", fmt.Sprintf("%q is not a host: want a domain name or an address, with its port if need be, such as www.example.com", o.Host))
	}
	switch _, err := url.Parse("http://host" + o.Path); {
	case !strings.HasPrefix(o.Path, "/"):
		problem("path", fmt.Sprintf("%q does not start with \"/\": write %q", o.Path, "/"+o.Path))
	case strings.Contains(o.Path, "#"):
		problem("path", fmt.Sprintf("%q has a fragment, which is never sent: remove what starts with \"#\", or write it as %%23", o.Path))
	case err != nil || strings.ContainsFunc(o.Path, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		problem("path", fmt.Sprintf("%q is not the path of a URL: write spaces, controls and what is not ASCII as %%XX", o.Path))
	}
	if !isToken(o.Method) {
		problem("method", fmt.Sprintf("%q is not a method: want a word such as GET or HEAD", o.Method))
	}
	if o.Method == "CONNECT" {
		problem("method", "CONNECT asks for a tunnel, which a probe has no use for: use GET")
	}
	if o.FollowRedirects && !o.ExpectStatus.goesBeyond(isRedirect) {
		problem("expect_status", fmt.Sprintf("%s is met by no response to what redirects lead to: remove follow_redirects, or want a status such as 200", o.ExpectStatus))
	}
}

func (o *Options) validateBody(problem func(key, message string)) {
	const head = "a response to HEAD has no body: use method GET"
	if o.ExpectBody != "" && o.Method == "HEAD" {
		problem("expect_body", head)
	}
	if o.ExpectBodyRegex != "" && o.Method == "HEAD" {
		problem("expect_body_regex", head)
	}
	if _, err := regexp.Compile(o.ExpectBodyRegex); err != nil {
		problem("expect_body_regex", fmt.Sprintf("%q is no regular expression: %s: want the syntax of RE2, such as ^(OK|READY)", o.ExpectBodyRegex, bareSyntax(err)))
	}
	for _, k := range []struct{ key, text string }{{"expect_body", o.ExpectBody}, {"expect", o.Expect}} {
		if len(k.text) > maxSearch {
			problem(k.key, fmt.Sprintf("is %d octets long, of which only %d are looked at: shorten it", len(k.text), maxSearch))
		}
	}
}

// bareSyntax returns what is wrong with a regular expression without the words for programmers.
func bareSyntax(err error) string { return strings.TrimPrefix(err.Error(), "error parsing regexp: ") }

func (o *Options) validateHeaders(problem func(key, message string)) {
	names := make([]string, 0, len(o.Headers))
	for name := range o.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	seen := map[string]string{}
	for _, name := range names {
		lower := strings.ToLower(name)
		if other, ok := seen[lower]; ok {
			problem("headers", fmt.Sprintf("%q and %q are the same header: remove one", other, name))
		}
		seen[lower] = name
		switch lower {
		case "accept-encoding":
			if (o.ExpectBody != "" || o.ExpectBodyRegex != "") && !strings.EqualFold(o.Headers[name], "identity") {
				problem("headers", fmt.Sprintf("%q asks for a body that is compressed, in which nothing is found: remove it", name))
			}
		case "host":
			problem("headers", fmt.Sprintf("%q has a key of its own: use host", name))
		case "connection", "content-length", "keep-alive", "proxy-connection", "te", "transfer-encoding", "trailer", "upgrade":
			problem("headers", fmt.Sprintf("%q belongs to the connection, which is the probe's own: remove it", name))
		}
		if !isToken(name) {
			problem("headers", fmt.Sprintf("%q is not the name of a header: want letters, digits and dashes", name))
		}
		if strings.ContainsFunc(o.Headers[name], func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			problem("headers", fmt.Sprintf("the value of %q has a line break or another control character: remove it", name))
		}
	}
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// legalHost reports whether s can stand in a Host header: a domain name or an address, perhaps with a port.
func legalHost(s string) bool {
	name, port := splitHost(s)
	if strings.HasSuffix(s, ":") || port != "" && !legalPort(port) {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
		for _, c := range label {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

func legalPort(s string) bool {
	_, err := netip.ParseAddrPort("0.0.0.0:" + s)
	return err == nil && s != "0"
}

// splitHost returns the name or address of a Host header, without brackets, and its port, which may be empty.
func splitHost(s string) (name, port string) {
	if _, err := netip.ParseAddr(s); err == nil {
		return s, ""
	}
	u := url.URL{Host: s}
	return u.Hostname(), u.Port()
}
