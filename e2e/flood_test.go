//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The flood and the limits of TestFlood.
const (
	floodRate    = 2000 // queries in a second to each server
	floodLimit   = 20   // responses in a second
	floodSources = 20   // addresses of one /24
	floodBound   = 0.7  // octets sent in return for one received
)

// floodKinds are what a flood asks for, by the number of the query.
var floodKinds = []struct {
	name   string
	query  func(i int) *dns.Msg
	cookie bool
}{
	{"answers", func(i int) *dns.Msg { return question(fmt.Sprintf("www%d.gtm.test.", i%4)) }, false},
	{"NXDOMAIN", func(i int) *dns.Msg { return question(fmt.Sprintf("x%d.gtm.test.", i)) }, false},
	{"REFUSED", func(i int) *dns.Msg { return question(fmt.Sprintf("x%d.example.com.", i)) }, false},
	// Replies are longer then, by a server cookie: one name, for which alone they stay within the bound.
	{"answers, with client cookies", func(int) *dns.Msg { return question("www0.gtm.test.") }, true},
}

// question is a query with EDNS, for addresses.
func question(name string) *dns.Msg {
	m := new(dns.Msg).SetQuestion(name, dns.TypeA)
	m.RecursionDesired = false
	return m.SetEdns0(1232, false)
}

// TestFlood has one /24 ask for the same again and again, as somebody does who forges the address of a victim (reliability.md, figure 23). The
// victim gets less than is sent in its name; clients of another /24, and those in the flooding one that have a cookie, get every answer. BIND,
// Knot and NSD with the same limits stand beside. GTMD_FLOOD says for how many seconds each kind of flood lasts.
func TestFlood(t *testing.T) {
	seconds := count(t, "GTMD_FLOOD", 3)
	d := newDefences(t, floodLimit)
	table := "\n| flood of | server | queries | replies | octets out / in | other /24 | with cookie |"
	others, known := make([]*bystander, len(d.servers)), make([]*bystander, len(d.servers))
	for i, s := range d.servers {
		others[i] = &bystander{cookieClient: newCookieClient(t, "127.1.2.1", s.address)}
		others[i].cookie = ""
		known[i] = &bystander{cookieClient: newCookieClient(t, "127.1.1.200", s.address)}
		known[i].learn(t)
	}
	for _, kind := range floodKinds {
		f := newFlood(t, d.servers)
		stop := make(chan struct{})
		var clients sync.WaitGroup
		for i := range d.servers {
			others[i].asked, others[i].right, known[i].asked, known[i].right = 0, 0, 0, 0
			clients.Go(func() { others[i].run(stop) })
			clients.Go(func() { known[i].run(stop) })
		}
		f.run(t, seconds*floodRate, kind.query, kind.cookie)
		close(stop)
		clients.Wait()
		for i, s := range d.servers {
			c := &f.counts[i]
			amplification := float64(c.octetsOut.Load()) / float64(c.octetsIn)
			table += fmt.Sprintf("\n| %s | %s | %d | %d | %.2f | %d of %d | %d of %d |", kind.name, s.name, c.queries, c.replies.Load(), amplification,
				others[i].right, others[i].asked, known[i].right, known[i].asked)
			if s.name != "gtmd" {
				continue
			}
			if amplification > floodBound {
				t.Errorf("a flood of %s is answered with %.2f times its octets, want at most %v", kind.name, amplification, floodBound)
			}
			for _, b := range []*bystander{others[i], known[i]} {
				if b.right != b.asked || b.asked < seconds*bystanderRate/2 {
					t.Errorf("during a flood of %s %v got %d right answers to %d queries; wrong: %s", kind.name, b.conn.LocalAddr(), b.right, b.asked, b.example)
				}
			}
			if c.replies.Load() == 0 {
				t.Errorf("a flood of %s is not answered at all", kind.name)
			}
		}
	}
	t.Log(table)
	for class, want := range map[string]float64{"answer": 2, "negative": 1, "error": 1} {
		n := d.metric(t, "gtmd_dns_rate_limited_total", fmt.Sprintf("class=%q", class))
		if least := want * float64(seconds*floodRate) / 2; n < least {
			t.Errorf("%v replies of class %s are over the limit, want at least %v", n, class, least)
		}
	}
}

// flood is the sockets that send it.
type flood struct {
	servers []netip.AddrPort
	conns   []*net.UDPConn
	counts  []floodCount // by server
}

// floodCount is what one server was sent and has sent. Only that which is atomic may be read before run returns.
type floodCount struct {
	queries, octetsIn  int
	replies, octetsOut atomic.Int64
}

func newFlood(t *testing.T, servers []defender) *flood {
	t.Helper()
	f := &flood{counts: make([]floodCount, len(servers))}
	for _, s := range servers {
		f.servers = append(f.servers, netip.MustParseAddrPort(s.address))
	}
	for i := range floodSources {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 1, 1, byte(i+1))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetReadBuffer(1 << 20)
		f.conns = append(f.conns, conn)
	}
	return f
}

// run sends n queries to each server, each from the next address, and returns half a second after the last.
func (f *flood) run(t *testing.T, n int, query func(i int) *dns.Msg, cookie bool) {
	t.Helper()
	var readers sync.WaitGroup
	for _, conn := range f.conns {
		readers.Go(func() { f.read(conn) })
	}
	for i, begin := 0, time.Now(); i < n; i++ {
		m := query(i)
		if cookie {
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: fmt.Sprintf("%016x", i)}}
		}
		packet, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / floodRate)))
		for j, server := range f.servers {
			if _, err := f.conns[i%floodSources].WriteToUDPAddrPort(packet, server); err != nil {
				t.Fatal(err)
			}
			f.counts[j].queries++
			f.counts[j].octetsIn += len(packet)
		}
	}
	for _, conn := range f.conns {
		conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	}
	readers.Wait()
}

// read counts the replies to one address until its deadline.
func (f *flood) read(conn *net.UDPConn) {
	packet := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(packet)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return
		}
		for i, server := range f.servers {
			if err == nil && from == server {
				f.counts[i].replies.Add(1)
				f.counts[i].octetsOut.Add(int64(n))
			}
		}
	}
}

// bystander is a client that asks for what the flood asks for, but as one that has caught it from a network where many ask: mostly names that
// there are. Its fields are valid when run has ended.
type bystander struct {
	*cookieClient
	asked, right int
	example      string // what it got instead of an answer
}

// bystanderRate is how many queries a bystander sends in a second.
const bystanderRate = 50

// run asks until stop is closed, each query once.
func (b *bystander) run(stop <-chan struct{}) {
	tick := time.NewTicker(time.Second / bystanderRate)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		name, rcode, answers := fmt.Sprintf("www%d.gtm.test.", b.asked%4), dns.RcodeSuccess, 1
		switch b.asked % 10 {
		case 8:
			name, rcode, answers = "nothing.gtm.test.", dns.RcodeNameError, 0
		case 9:
			name, rcode, answers = "www.example.com.", dns.RcodeRefused, 0
		}
		b.asked++
		m, cookie, err := b.ask(name)
		switch {
		case err != nil:
			b.example = err.Error()
		case m.Rcode != rcode || len(m.Answer) != answers || m.Truncated:
			b.example = m.String()
		default:
			b.right++
		}
		if cookie != "" {
			b.cookie = cookie
		}
	}
}
