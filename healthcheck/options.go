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
)

// Values lists what a configuration may say.
func (Protocol) Values() []string { return []string{"http", "https", "tcp", "ping"} }

// Options is one [[health_check]]: a template, used by any number of pools.
type Options struct {
	// Name of the health check, by which pools refer to it.
	Name string `toml:"name" required:"true"`
	// The kind of probe.
	Protocol Protocol `toml:"protocol" required:"true"`
	// Port to connect to. Default: 80 for http, 443 for https; tcp needs one, ping has none.
	Port int `toml:"port" range:"1..65535"`
	// Time from one probe of an address to the next.
	Interval time.Duration `toml:"interval" default:"15s" range:"100ms..24h"`
	// Time after which a probe without a result is a bad one; at most the interval.
	Timeout time.Duration `toml:"timeout" default:"5s" range:"10ms..1h"`
	// Bad probes in a row that turn an address down (Alibaba: EvaluationCount).
	Fall int `toml:"fall" default:"3" range:"1..100"`
	// Good probes in a row that turn an address up.
	Rise int `toml:"rise" default:"1" range:"1..100"`

	// http, https: the Host header, and for https the name sent (SNI) and verified. Default: the first business domain of the instance that uses the pool.
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
	// http, https: follow 301, 302, 303, 307 and 308 (at most 10), always at the address under test.
	FollowRedirects bool `toml:"follow_redirects" default:"false"`

	// https: send the host in the TLS handshake (SNI).
	SNI bool `toml:"sni" default:"true"`
	// https: verify the certificate's chain, name and dates.
	Verify bool `toml:"verify" default:"true"`
	// https: file with the CA certificates (PEM) to verify against. Default: those of the system.
	CAFile string `toml:"ca_file"`
	// https: lowest TLS version accepted.
	MinTLS TLSVersion `toml:"min_tls" default:"1.2"`
	// https: file with the client certificate (PEM), together with key_file.
	CertFile string `toml:"cert_file"`
	// https: file with the client certificate's key (PEM).
	KeyFile string `toml:"key_file"`
	// https: warn, without failing, when the certificate expires within this time.
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
}

// TLSVersion is a version of TLS as people write it.
type TLSVersion string

// Values lists what a configuration may say.
func (TLSVersion) Values() []string { return []string{"1.0", "1.1", "1.2", "1.3"} }
