package healthcheck

import "time"

// Protocol is the kind of probe.
type Protocol string

// The kinds of probe.
const (
	HTTP  Protocol = "http"
	HTTPS Protocol = "https"
	TCP   Protocol = "tcp"
	Ping  Protocol = "ping"
	// TLS is a handshake and a look at the certificate.
	TLS Protocol = "tls"
	// DNS is a query for a name.
	DNS Protocol = "dns"
	// GRPC is the health checking protocol of gRPC (grpc.health.v1).
	GRPC Protocol = "grpc"
	// Script is a command of the operator's.
	Script Protocol = "script"
	// Push is the other way round: the origin reports, and silence is bad.
	Push Protocol = "push"
)

// Values lists what a configuration may say.
func (Protocol) Values() []string {
	return []string{"http", "https", "tcp", "ping", "tls", "dns", "grpc", "script", "push"}
}

// Options is one [[health_check]]: a template, used by any number of pools.
type Options struct {
	// Name of the health check, by which pools refer to it.
	Name string `toml:"name" required:"true"`
	// The kind of probe.
	Protocol Protocol `toml:"protocol" required:"true"`
	// Port to connect to. Default: 80 for http, 443 for https, tls and grpc with tls, 53 for dns; tcp and grpc without tls need one, ping, script and push have none.
	Port int `toml:"port" range:"1..65535"`
	// Time from one probe of an address to the next.
	Interval time.Duration `toml:"interval" default:"15s" range:"100ms..24h"`
	// Time after which a probe without a result is a bad one; at most the interval.
	Timeout time.Duration `toml:"timeout" default:"5s" range:"10ms..1h"`
	// Bad probes in a row that turn an address down (Alibaba: EvaluationCount). 1: it is probed once more before it turns.
	Fall int `toml:"fall" default:"3" range:"1..100"`
	// Good probes in a row that turn an address up.
	Rise int `toml:"rise" default:"1" range:"1..100"`
	// Also turn an address down when this many of the last probes were bad, "3/5" for 3 of 5: that catches what never fails twice in a row. Empty: only fall counts.
	Window Window `toml:"window"`
	// Time from one probe to the next while a streak that may turn the verdict is open, to know sooner. 0s: the interval.
	FastInterval time.Duration `toml:"fast_interval" default:"0s" range:"0s..24h"`
	// A verdict that turns more often than this, "6/10m" for 6 turns in 10 minutes, is flapping: what held before counts until it has been quiet for as long. Empty: off.
	Flap Flap `toml:"flap"`
	// A good probe that takes longer makes the address degraded: a warning, it is served on. 0s: off.
	MaxLatency time.Duration `toml:"max_latency" default:"0s" range:"0s..1h"`
	// Good is bad and bad is good: for what must not answer.
	Invert bool `toml:"invert" default:"false"`

	// http, https, tls, grpc: the Host header (:authority), and with TLS the name sent (SNI) and verified. dns: not used. Default: the first business domain of the instance that uses the pool; in a domain pool the name itself.
	Host string `toml:"host"`
	// http, https: the path to ask for, with its query if any.
	Path string `toml:"path" default:"/"`
	// http, https: the request method.
	Method string `toml:"method" default:"GET"`
	// http, https: further request headers.
	Headers map[string]string `toml:"headers"`
	// http, https: the good status codes: codes and ranges, separated by commas.
	ExpectStatus StatusSet `toml:"expect_status" default:"200-499"`
	// http, https: text that must occur within the first 64 KiB of the body.
	ExpectBody string `toml:"expect_body"`
	// http, https: regular expression (RE2 syntax) that must match within the first 64 KiB of the body.
	ExpectBodyRegex string `toml:"expect_body_regex"`
	// http, https: follow 301, 302, 303, 307 and 308 (at most 10), always at the address under test.
	FollowRedirects bool `toml:"follow_redirects" default:"false"`

	// https, tls, grpc: send the host in the TLS handshake (SNI).
	SNI bool `toml:"sni" default:"true"`
	// https, tls, grpc: verify the certificate's chain, name and dates.
	Verify bool `toml:"verify" default:"true"`
	// https, tls, grpc: file with the CA certificates (PEM) to verify against. Default: those of the system.
	CAFile string `toml:"ca_file"`
	// https, tls, grpc: lowest TLS version accepted.
	MinTLS TLSVersion `toml:"min_tls" default:"1.2"`
	// https, tls, grpc: file with the client certificate (PEM), together with key_file.
	CertFile string `toml:"cert_file"`
	// https, tls, grpc: file with the client certificate's key (PEM).
	KeyFile string `toml:"key_file"`
	// https, tls, grpc: warn, without failing, when the certificate expires within this time.
	CertExpiryWarning time.Duration `toml:"cert_expiry_warning" default:"336h" range:"0s..87600h"`

	// tcp: text to send once connected.
	Send string `toml:"send"`
	// tcp: text that must occur in the first 64 KiB that the address sends.
	Expect string `toml:"expect"`

	// ping: echo requests in one probe (Alibaba: 20, 50 or 100).
	Packets int `toml:"packets" default:"20" range:"1..100"`
	// ping: share of lost packets, in per cent, from which the probe is bad.
	LossRate int `toml:"loss_rate" default:"10" range:"1..100"`
	// ping: octets of data in each packet.
	Size int `toml:"size" default:"56" range:"0..1400"`

	// dns: the name to ask for. Default: the host, that is the first business domain or, in a domain pool, the name itself.
	Query string `toml:"query"`
	// dns: the record type to ask for, such as A, AAAA, SOA or TXT.
	QueryType string `toml:"query_type" default:"A"`
	// dns: the good response codes, such as NOERROR and NXDOMAIN.
	ExpectRCode []string `toml:"expect_rcode" default:"NOERROR" single:"true"`
	// dns: text that the data of some record of the answer must be, such as 192.0.2.1; empty: any answer.
	ExpectAnswer string `toml:"expect_answer"`

	// grpc: the service to ask for; empty asks for the server as a whole.
	Service string `toml:"service"`
	// grpc: speak TLS; else HTTP/2 in the clear.
	TLS bool `toml:"tls" default:"false"`

	// script: the command and its arguments, run without a shell; exit code 0 is good, and the first line that it prints is the reason. {address}, {host} and {check} in an argument stand for those; they are also in the environment, as GTMD_ADDRESS, GTMD_HOST and GTMD_CHECK.
	Command []string `toml:"command"`
	// script: how many processes of this check run at the same time.
	MaxProcesses int `toml:"max_processes" default:"10" range:"1..1000"`

	// push: file with the token that the origin sends with its reports.
	TokenFile string `toml:"token_file"`
}

// TLSVersion is a version of TLS as people write it.
type TLSVersion string

// Values lists what a configuration may say.
func (TLSVersion) Values() []string { return []string{"1.0", "1.1", "1.2", "1.3"} }
