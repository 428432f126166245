package server

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// streamStats count what becomes of connections.
type streamStats struct {
	accepted   atomic.Uint64
	closed     [len(closedNames)]atomic.Uint64
	handshakes atomic.Uint64 // that failed
	// loads counts contents of certificate files that could not be used; expiry is when the certificate ends, in seconds
	// since 1970, 0 while there is none.
	loads  atomic.Uint64
	expiry atomic.Int64
	secure atomic.Bool // queries over TLS are counted
}

// closed is why a connection ended.
type closed int

const (
	closedNot closed = iota
	closedByClient
	closedIdle
	closedMessage
	closedWrite
	closedReplaced
	closedClient
	closedRefused
	closedStarved
	closedNoQuery
	closedHandshake
	closedStopped
	closedError
)

// closedNames are the reasons as metrics name them.
var closedNames = [...]string{
	closedNot: "", closedByClient: "client", closedIdle: "idle", closedMessage: "message_timeout", closedWrite: "write_timeout",
	closedReplaced: "replaced", closedClient: "client_limit", closedRefused: "refused", closedStarved: "descriptors",
	closedNoQuery: "no_query", closedHandshake: "handshake", closedStopped: "stopped", closedError: "error",
}

var (
	acceptedDesc   = prometheus.NewDesc("gtmd_dns_tcp_accepted_total", "TCP connections accepted and served, those of TLS too.", nil, nil)
	closedDesc     = prometheus.NewDesc("gtmd_dns_tcp_closed_total", "TCP connections that ended, by reason: replaced, client_limit and refused made room or found none; descriptors: the process had none left.", []string{"reason"}, nil)
	handshakesDesc = prometheus.NewDesc("gtmd_dns_tls_handshake_failures_total", "TLS handshakes that failed.", nil, nil)
	loadsDesc      = prometheus.NewDesc("gtmd_dns_tls_certificate_load_failures_total", "Contents of the certificate files that could not be used; the certificate before them serves on.", nil, nil)
	expiryDesc     = prometheus.NewDesc("gtmd_dns_tls_certificate_expiry_timestamp_seconds", "When the certificate of DNS over TLS ends.", nil, nil)
)

// describe is Describe of what is counted here.
func (s *streamStats) describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{acceptedDesc, closedDesc, handshakesDesc, loadsDesc, expiryDesc} {
		ch <- d
	}
}

// collect is Collect of what is counted here.
func (s *streamStats) collect(ch chan<- prometheus.Metric) {
	send := func(desc *prometheus.Desc, value uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	send(acceptedDesc, s.accepted.Load())
	for why := closedNot + 1; int(why) < len(closedNames); why++ {
		send(closedDesc, s.closed[why].Load(), closedNames[why])
	}
	send(handshakesDesc, s.handshakes.Load())
	send(loadsDesc, s.loads.Load())
	if expiry := s.expiry.Load(); expiry != 0 {
		ch <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(expiry))
	}
}

// joinStream returns counters for a new listener of TCP, or of TLS.
func (s *Stats) joinStream(secure bool) *counters {
	if secure {
		s.streams.secure.Store(true)
	}
	return s.joinAs(false, secure)
}

// protos are the transports that queries are counted by: that of TLS from when it is first listened on.
func (s *streamStats) protos() []string {
	if s.secure.Load() {
		return []string{"udp", "tcp", "tls"}
	}
	return []string{"udp", "tcp"}
}

// proto is the transport that the counters are of.
func (c *counters) proto() string {
	switch {
	case c.udp:
		return "udp"
	case c.tls:
		return "tls"
	default:
		return "tcp"
	}
}
