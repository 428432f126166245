package server

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// secondary takes NOTIFYs and replies as it is told.
type secondary struct {
	address netip.AddrPort
	got     chan *dns.Msg
	mu      sync.Mutex // guards all below
	silent  int        // requests that get no reply
	rcode   int
	unlike  bool // replies are not signed
}

// newSecondary listens on an address until the test ends; signed requests are checked with secrets.
func newSecondary(t *testing.T) *secondary {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &secondary{address: conn.LocalAddr().(*net.UDPAddr).AddrPort(), got: make(chan *dns.Msg, 1000)}
	server := &dns.Server{PacketConn: conn, Handler: s, TsigSecret: secrets, MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }}
	done := make(chan struct{})
	go func() { defer close(done); server.ActivateAndServe() }()
	t.Cleanup(func() { conn.Close(); <-done })
	return s
}

func (s *secondary) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.IsTsig() != nil && w.TsigStatus() != nil {
		m.Rcode = dns.RcodeBadSig
	}
	s.got <- m
	if s.silent != 0 {
		s.silent--
		return
	}
	reply := new(dns.Msg).SetRcode(m, s.rcode)
	if m.IsTsig() != nil && !s.unlike {
		reply.SetTsig(m.IsTsig().Hdr.Name, dns.HmacSHA256, 300, time.Now().Unix())
	}
	w.WriteMsg(reply)
}

// told waits for a NOTIFY and returns it with the serial number that it tells.
func (s *secondary) told(t *testing.T) (*dns.Msg, uint32) {
	t.Helper()
	select {
	case m := <-s.got:
		if len(m.Answer) != 1 {
			t.Fatalf("NOTIFY without the SOA record: %v", m)
		}
		return m, m.Answer[0].(*dns.SOA).Serial
	case <-time.After(patience):
		t.Fatal("no NOTIFY")
		return nil, 0
	}
}

// notifying runs the notifier of a primary until the test ends.
func notifying(t *testing.T, p *primary, wait time.Duration) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	n := &notifier{transfers: p.transfers, firstWait: wait, recipients: map[netip.AddrPort]*recipient{}}
	go func() { defer close(done); n.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

// move publishes the zone with another serial number.
func (p *primary) move(t *testing.T, serial uint32) {
	t.Helper()
	v := *p.View()
	v.Generation++
	if err := p.Swap(v.WithSerials(map[string]uint32{"gtm.test.": serial})); err != nil {
		t.Fatal(err)
	}
}

func (p *primary) notified(result string) func() bool {
	return func() bool { return p.stats.notifies.get("gtm.test.", result) > 0 }
}

// TestNotify: RFC 1996 section 3: at start, and after each change of the serial number, whatever else is published.
func TestNotify(t *testing.T) {
	for _, key := range []string{"", goodKey} {
		s := newSecondary(t)
		p := newPrimary(t, ZoneOptions{Notify: []Peer{Peer(s.address)}, NotifyKey: key})
		notifying(t, p, patience)
		m, serial := s.told(t)
		if serial != 1 || m.Opcode != dns.OpcodeNotify || m.Response || !m.Authoritative || m.Rcode != 0 ||
			m.Question[0] != (dns.Question{Name: "gtm.test.", Qtype: dns.TypeSOA, Qclass: dns.ClassINET}) || (m.IsTsig() != nil) != (key != "") {
			t.Errorf("key %q: at start %v", key, m)
		}
		await(t, "the first is acknowledged", p.notified("acknowledged"))
		p.move(t, 1) // a new view of the same zone
		p.move(t, 5)
		if _, serial := s.told(t); serial != 5 {
			t.Errorf("told of %d, want 5", serial)
		}
	}
}

// TestNotifyRetries: without a reply the same is sent again, and what has changed meanwhile is told at once in its last form.
func TestNotifyRetries(t *testing.T) {
	s := newSecondary(t)
	s.silent = 2
	p := newPrimary(t, ZoneOptions{Notify: []Peer{Peer(s.address)}})
	notifying(t, p, time.Millisecond)
	for range 3 {
		if _, serial := s.told(t); serial != 1 {
			t.Errorf("told of %d", serial)
		}
	}
	await(t, "acknowledged", p.notified("acknowledged"))
	s.mu.Lock()
	for serial := uint32(2); serial < 100; serial++ {
		p.move(t, serial)
	}
	s.mu.Unlock()
	told := 0
	for serial := uint32(0); serial < 99; told++ {
		_, serial = s.told(t)
	}
	if told > 20 {
		t.Errorf("98 changes during one NOTIFY made %d", told)
	}
}

// TestNotifyGivesUp: a secondary that is not there is left alone until there is another change, and the log says so once; others are
// told all the same.
func TestNotifyGivesUp(t *testing.T) {
	gone, s := newSecondary(t), newSecondary(t)
	gone.silent = -1
	p := newPrimary(t, ZoneOptions{Notify: []Peer{Peer(gone.address), Peer(s.address)}})
	notifying(t, p, time.Millisecond)
	s.told(t)
	await(t, "given up", p.notified("unanswered"))
	p.move(t, 2)
	for serial := uint32(0); serial != 2; { // told of the first more than once where its reply took long
		_, serial = s.told(t)
	}
	await(t, "given up again", func() bool { return p.stats.notifies.get("gtm.test.", "unanswered") == 2 })
	if got := len(gone.got); got > 2*tries || got < 2 { // fewer where the wait was over before one was sent
		t.Errorf("%d NOTIFYs of two changes, want at most %d", got, 2*tries)
	}
	if n := strings.Count(p.log.String(), "secondary cannot be told of changes"); n != 1 {
		t.Errorf("the log says it %d times: %s", n, p.log.String())
	}
}

// TestNotifyRefused: any reply ends the matter (RFC 1996 section 3.12); one that lacks its signature is none.
func TestNotifyRefused(t *testing.T) {
	s, forger := newSecondary(t), newSecondary(t)
	s.rcode, forger.unlike = dns.RcodeRefused, true
	p := newPrimary(t, ZoneOptions{Notify: []Peer{Peer(s.address)}})
	notifying(t, p, time.Millisecond)
	s.told(t)
	await(t, "refused", p.notified("refused"))
	p.give(t, ZoneOptions{Notify: []Peer{Peer(forger.address)}, NotifyKey: goodKey})
	forger.told(t)
	await(t, "not acknowledged", p.notified("unanswered"))
	if n := p.stats.notifies.get("gtm.test.", "acknowledged"); n != 0 {
		t.Errorf("%d are acknowledged", n)
	}
}
