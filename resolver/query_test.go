package resolver

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestExchange holds one query against a real server that answers in every way that is seen in the wild. In what is
// wanted, AT stands for the address of the server.
func TestExchange(t *testing.T) {
	const (
		a     = "www.example.net. 60 A 192.0.2.1"
		wrong = "www.example.net. 60 A 203.0.113.1"
	)
	var firstOfMany []netip.Addr
	for i := range 64 {
		firstOfMany = append(firstOfMany, netip.AddrFrom4([4]byte{198, 51, 0, byte(i)}))
	}
	write := func(w dns.ResponseWriter, m *dns.Msg) {
		if err := w.WriteMsg(m); err != nil {
			t.Error(err)
		}
	}
	raw := func(w dns.ResponseWriter, p []byte) {
		if _, err := w.Write(p); err != nil {
			t.Error(err)
		}
	}
	refusing := func(code int) handler {
		return func(w dns.ResponseWriter, _ string, m *dns.Msg) { write(w, new(dns.Msg).SetRcode(m, code)) }
	}
	for _, tt := range []struct {
		name    string
		timeout time.Duration // Zero: long enough.
		handle  handler
		want    string
		asked   []string // Empty: once over UDP.
	}{
		{"answer", 0, func(w dns.ResponseWriter, _ string, m *dns.Msg) {
			if opt := m.IsEdns0(); opt == nil || opt.UDPSize() != 1232 || opt.Do() || !m.RecursionDesired {
				t.Errorf("asked with %v", m)
			}
			write(w, answer(t, m, a))
		}, "[192.0.2.1] for 1m0s (found)", nil},
		{"question in another case", 0, func(w dns.ResponseWriter, _ string, m *dns.Msg) {
			m.Question[0].Name = "wWw.eXample.NET."
			write(w, answer(t, m, a))
		}, "[192.0.2.1] for 1m0s (found)", nil},
		{"wrong ids before the right one", 0, func(w dns.ResponseWriter, _ string, m *dns.Msg) {
			for i := range 100 {
				forged := answer(t, m, wrong)
				forged.Id += uint16(i) + 1
				write(w, forged)
			}
			write(w, answer(t, m, a))
		}, "[192.0.2.1] for 1m0s (found)", nil},
		{"wrong questions before the right one", 0, func(w dns.ResponseWriter, _ string, m *dns.Msg) {
			forged := answer(t, m, wrong)
			forged.Question[0].Name = "ftp.example.net."
			write(w, forged)
			forged.Question[0] = dns.Question{Name: www, Qtype: dns.TypeAAAA, Qclass: dns.ClassINET}
			write(w, forged)
			forged.Question[0] = dns.Question{Name: www, Qtype: dns.TypeA, Qclass: dns.ClassCHAOS}
			write(w, forged)
			query := answer(t, m, wrong)
			query.Question[0].Name, query.Response = www, false
			write(w, query)
			raw(w, nil)
			raw(w, []byte("short"))
			m.Question[0] = dns.Question{Name: www, Qtype: dns.TypeA, Qclass: dns.ClassINET}
			write(w, answer(t, m, a))
		}, "[192.0.2.1] for 1m0s (found)", nil},
		{"wrong ids only", 100 * time.Millisecond, func(w dns.ResponseWriter, _ string, m *dns.Msg) {
			m.Id++
			write(w, answer(t, m, wrong))
		}, "failed: answer to another question from AT (malformed)", nil},
		{"silence", 100 * time.Millisecond, func(dns.ResponseWriter, string, *dns.Msg) {}, "failed: no answer from AT within 100ms (timeout)", nil},
		{"garbage", 0, func(w dns.ResponseWriter, _ string, m *dns.Msg) {
			p, _ := answer(t, m, a).Pack()
			raw(w, p[:len(p)-6])
		}, "failed: malformed answer from AT (malformed)", nil},
		{"two questions", 0, func(w dns.ResponseWriter, _ string, m *dns.Msg) {
			reply := answer(t, m, a)
			reply.Question = append(reply.Question, reply.Question[0])
			write(w, reply)
		}, "failed: malformed answer from AT (malformed)", nil},
		{"no question", 0, func(w dns.ResponseWriter, _ string, m *dns.Msg) {
			reply := answer(t, m, a)
			reply.Question = nil
			write(w, reply)
		}, "failed: malformed answer from AT (malformed)", nil},
		{"REFUSED", 0, refusing(dns.RcodeRefused), "failed: REFUSED from AT (refused)", nil},
		{"REFUSED, the header alone", 0, func(w dns.ResponseWriter, _ string, m *dns.Msg) {
			p, _ := new(dns.Msg).SetRcode(m, dns.RcodeRefused).Pack()
			raw(w, append(p[:4:4], make([]byte, 8)...))
		}, "failed: REFUSED from AT (refused)", nil},
		{"NXDOMAIN", 0, refusing(dns.RcodeNameError), "none: NXDOMAIN from AT (nxdomain)", nil},
		{"no EDNS", 0, func(w dns.ResponseWriter, _ string, m *dns.Msg) {
			if m.IsEdns0() != nil {
				write(w, new(dns.Msg).SetRcode(m, dns.RcodeFormatError))
				return
			}
			write(w, answer(t, m, a))
		}, "[192.0.2.1] for 1m0s (found)", []string{"udp A", "udp A plain"}},
		{"FORMERR for ever", 0, refusing(dns.RcodeFormatError), "failed: FORMERR from AT (failed)", []string{"udp A", "udp A plain"}},
		{"truncated", 0, func(w dns.ResponseWriter, network string, m *dns.Msg) {
			reply := answer(t, m, a, "www.example.net. 60 A 192.0.2.2")
			if network == "udp" {
				reply.Answer, reply.Truncated = reply.Answer[:1], true
			}
			write(w, reply)
		}, "[192.0.2.1 192.0.2.2] for 1m0s (found)", []string{"udp A", "tcp A"}},
		{"cut off and truncated", 0, func(w dns.ResponseWriter, network string, m *dns.Msg) {
			reply := answer(t, m, a)
			if network == "udp" {
				reply.Truncated = true
				p, _ := reply.Pack()
				raw(w, p[:len(p)-6])
				return
			}
			write(w, reply)
		}, "[192.0.2.1] for 1m0s (found)", []string{"udp A", "tcp A"}},
		{"a large answer over TCP", 0, func(w dns.ResponseWriter, network string, m *dns.Msg) {
			if network == "udp" {
				reply := answer(t, m)
				reply.Truncated = true
				write(w, reply)
				return
			}
			reply := answer(t, m)
			for i := range 4000 {
				rr := message(t, fmt.Sprintf("www.example.net. 60 A 198.51.%d.%d", i/256, i%256)).Answer
				reply.Answer = append(reply.Answer, rr...)
			}
			slices.Reverse(reply.Answer)
			reply.Compress = true
			write(w, reply)
		}, fmt.Sprint(firstOfMany) + " for 1m0s (found)", []string{"udp A", "tcp A"}},
		{"truncated over TCP too", 0, func(w dns.ResponseWriter, _ string, m *dns.Msg) {
			reply := answer(t, m)
			reply.Truncated = true
			write(w, reply)
		}, "failed: truncated answer over TCP from AT (malformed)", []string{"udp A", "tcp A"}},
		{"wrong id over TCP", 0, func(w dns.ResponseWriter, network string, m *dns.Msg) {
			reply := answer(t, m)
			reply.Truncated = true
			if network == "tcp" {
				reply.Id++
			}
			write(w, reply)
		}, "failed: answer to another question over TCP from AT (malformed)", []string{"udp A", "tcp A"}},
		{"TCP closed", 0, func(w dns.ResponseWriter, network string, m *dns.Msg) {
			if network == "tcp" {
				w.Close()
				return
			}
			reply := answer(t, m)
			reply.Truncated = true
			write(w, reply)
		}, "failed: cannot ask AT over TCP: connection closed (failed)", []string{"udp A", "tcp A"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, tt.handle)
			q := asking(dns.TypeA)
			q.server, q.timeout = s.at, 20*time.Second
			if tt.timeout > 0 {
				q.timeout = tt.timeout
			}
			m, err := exchangeMessages(t.Context(), q)
			if got, want := q.read(m, err).String(), strings.ReplaceAll(tt.want, "AT", s.at.String()); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if tt.asked == nil {
				tt.asked = []string{"udp A"}
			}
			if asked := s.took(); !slices.Equal(asked, tt.asked) {
				t.Errorf("asked %q", asked)
			}
		})
	}
}

// TestExchangeDrip: a server that sends its answer byte by byte over TCP takes no longer than the timeout.
func TestExchangeDrip(t *testing.T) {
	truncated := func(w dns.ResponseWriter, _ string, m *dns.Msg) {
		reply := answer(t, m)
		reply.Truncated = true
		if err := w.WriteMsg(reply); err != nil {
			t.Error(err)
		}
	}
	packets, stream := listen(t)
	s := &server{at: packets.LocalAddr().(*net.UDPAddr).AddrPort()}
	s.run(t, &dns.Server{PacketConn: packets}, truncated)
	var dripping sync.WaitGroup
	dripping.Go(func() {
		conn, err := stream.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		// The length says that a thousand bytes come. Writing fails once the other side has gone.
		for _, b := range append([]byte{3, 0xe8}, make([]byte, 1000)...) {
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Error("all was taken")
	})
	defer dripping.Wait()
	defer stream.Close()
	q := asking(dns.TypeA)
	q.server, q.timeout = s.at, 200*time.Millisecond
	m, err := exchangeMessages(t.Context(), q)
	want := fmt.Sprintf("failed: no answer over TCP from %v within 200ms (timeout)", s.at)
	if got := q.read(m, err).String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestExchangeUnreachable: nothing listens, or the question cannot be asked.
func TestExchangeUnreachable(t *testing.T) {
	q := asking(dns.TypeA)
	q.server = closed(t)
	m, err := exchangeMessages(t.Context(), q)
	if got, want := q.read(m, err).String(), fmt.Sprintf("failed: cannot ask %v: connection refused (failed)", q.server); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	q.question.Name = strings.Repeat("a", 64) + "."
	m, err = exchangeMessages(t.Context(), q)
	if got, want := q.read(m, err).String(), fmt.Sprintf("failed: cannot ask %v: not a domain name (failed)", q.server); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestExchangeCanceled: Close does not wait for a server that does not answer.
func TestExchangeCanceled(t *testing.T) {
	q := asking(dns.TypeA)
	q.server, q.timeout = silent(t), time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if m, err := exchangeMessages(ctx, q); err == nil {
			t.Error(m)
		}
	}()
	cancel()
	<-done
}
