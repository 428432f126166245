//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// rate is how many UDP queries a load sends in a second.
const rate = 2000

// exchange is one query and what became of it. Times count from the start of the load; received is 0 while there is no
// reply. The version is told by the answer: 127.0.1.version.
type exchange struct {
	sent, received time.Duration
	version        int
	err            error
}

// load asks a server for one name, over UDP at a steady rate and over TCP as fast as answers come.
type load struct {
	server, name string
	begin        time.Time
	flows        []*flow
	running      sync.WaitGroup

	mu  sync.Mutex // guards tcp
	tcp []exchange
	// retried is how often a connection was closed under a query, which was then sent again (RFC 7766 section 6.2.4).
	retried int
}

// flow is one UDP socket; the kernel gives each to one of the server's workers. The ID of a query is its index.
type flow struct {
	conn    *net.UDPConn
	queries []exchange
}

// startLoad starts a load that runs until ctx ends; finish waits for it.
func startLoad(t *testing.T, ctx context.Context, server, name string) *load {
	t.Helper()
	l := &load{server: server, name: dns.Fqdn(name), begin: time.Now()}
	to, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		conn, err := net.DialUDP("udp", nil, to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetReadBuffer(1 << 20)
		f := &flow{conn: conn, queries: make([]exchange, 1<<16)}
		l.flows = append(l.flows, f)
		l.running.Go(func() { l.receive(f) })
	}
	l.running.Go(func() { l.send(ctx) })
	l.running.Go(func() { l.askOverTCP(ctx, true) })
	l.running.Go(func() { l.askOverTCP(ctx, false) })
	return l
}

// query is the question with an ID.
func (l *load) query(id uint16) []byte {
	q := new(dns.Msg).SetQuestion(l.name, dns.TypeA)
	q.Id = id
	packet, err := q.Pack()
	if err != nil {
		panic(err) // the same for every ID
	}
	return packet
}

// send sends the UDP queries, in turn from each flow, and gives the last replies half a second.
func (l *load) send(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		time.Sleep(time.Until(l.begin.Add(time.Duration(i) * time.Second / rate)))
		f, id := l.flows[i%len(l.flows)], i/len(l.flows)
		packet := l.query(uint16(id))
		f.queries[id].sent = time.Since(l.begin)
		if _, err := f.conn.Write(packet); err != nil {
			f.queries[id].err = err
		}
	}
	for _, f := range l.flows {
		f.conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	}
}

// receive takes the replies of a flow until its deadline.
func (l *load) receive(f *flow) {
	packet := make([]byte, 1500)
	for {
		n, err := f.conn.Read(packet)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED): // the socket of a query was closed: the query stays without a reply
			continue
		case err != nil:
			return
		}
		now := time.Since(l.begin)
		m := new(dns.Msg)
		if err := m.Unpack(packet[:n]); err != nil {
			continue
		}
		e := &f.queries[m.Id]
		if e.received != 0 {
			e.err = errors.New("a second reply")
		}
		e.received = now
		if e.version, err = versionOf(m); err != nil {
			e.err = err
		}
	}
}

// versionOf returns the version that an answer tells.
func versionOf(m *dns.Msg) (int, error) {
	all := addresses(m)
	if m.Rcode != dns.RcodeSuccess || len(all) != 1 {
		return 0, fmt.Errorf("the answer is %s with %v, want one address", dns.RcodeToString[m.Rcode], all)
	}
	ip := net.ParseIP(all[0]).To4()
	if ip[0] != 127 || ip[1] != 0 || ip[2] != 1 {
		return 0, fmt.Errorf("the answer is %v, want 127.0.1.version", all)
	}
	return int(ip[3]), nil
}

// askOverTCP asks one query after the other, over one connection or over a new one for each.
func (l *load) askOverTCP(ctx context.Context, keep bool) {
	var conn *dns.Conn
	for id := uint16(0); ctx.Err() == nil; id++ {
		e := exchange{sent: time.Since(l.begin)}
		e.version, e.err = l.askOnce(&conn, id)
		// A server may close a connection between two queries; the next one then takes a new connection.
		if errors.Is(e.err, io.EOF) || errors.Is(e.err, syscall.ECONNRESET) || errors.Is(e.err, syscall.EPIPE) {
			if conn != nil {
				conn.Close()
			}
			conn = nil
			e.version, e.err = l.askOnce(&conn, id)
			l.mu.Lock()
			l.retried++
			l.mu.Unlock()
		}
		e.received = time.Since(l.begin)
		l.mu.Lock()
		l.tcp = append(l.tcp, e)
		l.mu.Unlock()
		if conn != nil && (e.err != nil || !keep) {
			conn.Close()
			conn = nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	if conn != nil {
		conn.Close()
	}
}

// askOnce asks over a connection, which it opens when there is none.
func (l *load) askOnce(conn **dns.Conn, id uint16) (int, error) {
	if *conn == nil {
		c, err := net.DialTimeout("tcp", l.server, 2*time.Second)
		if err != nil {
			return 0, err
		}
		*conn = &dns.Conn{Conn: c}
	}
	(*conn).SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := (*conn).Write(l.query(id)); err != nil {
		return 0, err
	}
	m, err := (*conn).ReadMsg()
	if err != nil {
		return 0, err
	}
	return versionOf(m)
}

// finish waits until the load has ended and returns its exchanges.
func (l *load) finish() (udp, tcp []exchange) {
	l.running.Wait()
	for _, f := range l.flows {
		for _, e := range f.queries {
			if e.sent != 0 {
				udp = append(udp, e)
			}
		}
	}
	return udp, l.tcp
}

// release is when a version was asked for, and when it was served for sure (0: not known).
type release struct{ asked, served time.Duration }

// judge fails the test for each exchange that was lost or wrong: an answer has a version that was asked for by then, and
// never an older one than a reply that was there before the query was sent.
func judge(t *testing.T, kind string, all []exchange, releases map[int]release) {
	t.Helper()
	type event struct {
		at       time.Duration
		received bool
		*exchange
	}
	var events []event
	lost, wrong := 0, 0
	for i := range all {
		e := &all[i]
		if e.err != nil || e.received == 0 {
			lost++
			if lost <= 5 {
				t.Errorf("%s: the query sent at %v has no good answer: error %v", kind, e.sent, e.err)
			}
			continue
		}
		events = append(events, event{e.sent, false, e}, event{e.received, true, e})
	}
	slices.SortFunc(events, func(a, b event) int { return int(a.at - b.at) })
	newest := 0
	for _, e := range events {
		switch r := releases[e.version]; {
		case e.received:
			newest = max(newest, e.version)
		case e.version < newest, r == release{} && e.version != 1, e.exchange.received < r.asked:
			wrong++
			if wrong <= 5 {
				t.Errorf("%s: the query sent at %v got version %d, when %d was served already", kind, e.sent, e.version, newest)
			}
		}
		for v, r := range releases {
			if !e.received && r.served != 0 && e.sent > r.served && e.version < v {
				wrong++
				t.Errorf("%s: the query sent at %v got version %d, when version %d was announced as served at %v", kind, e.sent, e.version, v, r.served)
			}
		}
	}
	t.Logf("%s: %d queries, %d lost, %d wrong, newest version %d", kind, len(all), lost, wrong, newest)
}
