//go:build e2e

package e2e

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// authority is a small authoritative server for everything outside gtmd: the zone of the business domain and that of the
// CDN. It plays the root and all below.
type authority struct {
	mu      sync.Mutex // guards all below
	records []dns.RR
	fails   bool // answers SERVFAIL
}

// startAuthority serves the records of a zone text, with full names, over UDP and TCP until the test ends.
func startAuthority(t *testing.T, address, zone string) *authority {
	t.Helper()
	a := &authority{}
	a.serve(t, zone)
	udp, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, &dns.Server{PacketConn: udp, Handler: a}, &dns.Server{Listener: tcp, Handler: a})
	return a
}

// serve serves another zone text from now on.
func (a *authority) serve(t *testing.T, zone string) {
	t.Helper()
	var records []dns.RR
	p := dns.NewZoneParser(strings.NewReader(zone), ".", "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		records = append(records, rr)
	}
	if err := p.Err(); err != nil {
		t.Fatalf("read the zone of the authority: %v", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records, a.fails = records, false
}

// fail answers every query with SERVFAIL until serve.
func (a *authority) fail() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fails = true
}

// serve runs servers until the test ends.
func serve(t *testing.T, servers ...*dns.Server) {
	t.Helper()
	for _, s := range servers {
		ready := make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		done := make(chan struct{})
		go serveOne(s, done)
		<-ready
		t.Cleanup(func() {
			s.Shutdown()
			<-done
		})
	}
}

// serveOne serves until Shutdown, which the cleanup of serve calls.
func serveOne(s *dns.Server, done chan<- struct{}) {
	defer close(done)
	s.ActivateAndServe()
}

// ServeDNS implements dns.Handler.
func (a *authority) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = true
	if a.fails {
		m.Rcode = dns.RcodeServerFailure
		w.WriteMsg(m)
		return
	}
	name, exists := q.Question[0].Name, false
	for _, rr := range a.records {
		h := rr.Header()
		exists = exists || dns.IsSubDomain(name, h.Name)
		if strings.EqualFold(h.Name, name) && (h.Rrtype == q.Question[0].Qtype || h.Rrtype == dns.TypeCNAME) {
			m.Answer = append(m.Answer, rr)
		}
	}
	if len(m.Answer) == 0 {
		if !exists {
			m.Rcode = dns.RcodeNameError
		}
		soa, err := dns.NewRR(". 1 IN SOA ns. hostmaster. 1 1 1 1 1")
		if err != nil {
			m.Rcode = dns.RcodeServerFailure
		}
		m.Ns = append(m.Ns, soa)
	}
	w.WriteMsg(m)
}
