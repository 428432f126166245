package server

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/server/view"
)

// T01: the same answers over UDP and TCP, IPv4 and IPv6.
func TestSameAnswers(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0", "[::1]:0"))
	addresses := s.Addresses()
	if len(addresses) != 2 || !addresses[0].Addr().Is4() || !addresses[1].Addr().Is6() || addresses[0].Port() == 0 {
		t.Fatalf("listening on %v", addresses)
	}
	for _, query := range [][]byte{
		packet(t, "www.gtm.test.", dns.TypeA, 0, ""),
		packet(t, "WwW.gtm.test.", dns.TypeA, 4096, "10.0.0.0/24"),
		packet(t, "alias.gtm.test.", dns.TypeA, 0, ""),
		packet(t, "missing.gtm.test.", dns.TypeA, 1232, ""),
		packet(t, "x.sub.gtm.test.", dns.TypeA, 0, ""),
		packet(t, "sticky.gtm.test.", dns.TypeA, 1232, "10.0.0.0/24"),
		packet(t, "example.com.", dns.TypeA, 0, ""),
		append(packet(t, "www.gtm.test.", dns.TypeA, 0, ""), 1, 2, 3),
	} {
		var want []byte
		for _, address := range addresses {
			for _, network := range []string{"udp", "tcp"} {
				got := exchange(t, dial(t, network, address), query)
				if want == nil {
					want = got
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%v over %s at %v:\ngot  %x\nwant %x", unpacked(t, want).Question, network, address, got, want)
				}
			}
		}
	}
}

// E09, E11, T07: TC over UDP at 512 and 1232 octets, all of it over TCP.
func TestTruncatedOverUDP(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0"))
	for _, test := range []struct{ offered, limit uint16 }{{0, 512}, {512, 512}, {700, 700}, {4096, 1232}} {
		reply := exchange(t, dial(t, "udp", first(s)), packet(t, "big.gtm.test.", dns.TypeA, test.offered, ""))
		if m := unpacked(t, reply); !m.Truncated || len(m.Answer) != 0 || len(reply) > int(test.limit) {
			t.Errorf("%d offered: TC %v, %d answers, %d octets", test.offered, m.Truncated, len(m.Answer), len(reply))
		}
		reply = exchange(t, dial(t, "tcp", first(s)), packet(t, "big.gtm.test.", dns.TypeA, test.offered, ""))
		if m := unpacked(t, reply); m.Truncated || len(m.Answer) != 560 {
			t.Errorf("%d offered, over TCP: TC %v, %d answers", test.offered, m.Truncated, len(m.Answer))
		}
	}
}

// H01, H02: garbage over UDP gets no reply, and the next query its own.
func TestDroppedOverUDP(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0"))
	conn := dial(t, "udp", first(s))
	response := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	response[2] |= 0x80
	for _, garbage := range [][]byte{{}, {1}, make([]byte, 11), response} {
		if _, err := conn.Write(garbage); err != nil {
			t.Fatal(err)
		}
	}
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	if reply := exchange(t, conn, query); !bytes.Equal(reply[:2], query[:2]) {
		t.Errorf("reply %x is not for the query %x", reply[:2], query[:2])
	}
	// A query too long for the buffer is cut, and so malformed.
	long := append(query, make([]byte, 3000)...)
	if m := unpacked(t, exchange(t, conn, long)); m.Rcode != dns.RcodeFormatError {
		t.Errorf("a query of %d octets has rcode %d", len(long), m.Rcode)
	}
}

func TestSwap(t *testing.T) {
	s := New(slog.New(slog.DiscardHandler), NewStats())
	if s.View() != nil {
		t.Error("a new server has a view")
	}
	five := newView(t, 5, nil)
	if err := s.Swap(five); err != nil {
		t.Fatal(err)
	}
	for _, generation := range []uint64{5, 4, 0} {
		err := s.Swap(newView(t, generation, nil))
		if want := fmt.Sprintf("publish generation %d over 5: the view is older than the one in use", generation); !errors.Is(err, ErrOldView) || err.Error() != want {
			t.Errorf("got error %v, want %s", err, want)
		}
	}
	if s.View() != five {
		t.Error("a view that was refused is in use")
	}
	// Of views published at the same time, the newest stays.
	var all sync.WaitGroup
	for generation := range uint64(20) {
		v := newView(t, 6+generation, nil)
		all.Go(func() { s.Swap(v) })
	}
	all.Wait()
	if got := s.View().Generation; got != 25 {
		t.Errorf("generation %d is in use, want 25", got)
	}
}

// A view that makes the answer panic costs its queries their replies, and nothing else.
func TestPanicIsCaught(t *testing.T) {
	var text lockedBuffer
	stats := NewStats()
	s := New(slog.New(slog.NewTextHandler(&text, nil)), stats)
	if err := s.Swap(&view.View{Generation: 1}); err != nil {
		t.Fatal(err)
	}
	o := options("127.0.0.1:0")
	o.Workers = 1
	apply(t, s, o)
	t.Cleanup(s.Close)
	udp, tcp := dial(t, "udp", first(s)), dial(t, "tcp", first(s))
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	notify := slices.Clone(query)
	notify[2] |= dns.OpcodeNotify << 3
	for range 3 {
		udp.Write(query)
	}
	// The same worker goes on: this one needs no view.
	if m := unpacked(t, exchange(t, udp, notify)); m.Rcode != dns.RcodeNotImplemented {
		t.Errorf("rcode %d after the panic, want NOTIMP", m.Rcode)
	}
	tcp.Write(framed(query))
	if !isClosed(tcp) {
		t.Error("the connection stays open after a panic")
	}
	if err := s.Swap(newView(t, 2, nil)); err != nil {
		t.Fatal(err)
	}
	for _, network := range []string{"udp", "tcp"} {
		if m := unpacked(t, exchange(t, dial(t, network, first(s)), query)); len(m.Answer) != 1 {
			t.Errorf("%d answers over %s after the panic", len(m.Answer), network)
		}
	}
	if got := stats.panics.Load(); got != 4 {
		t.Errorf("%d panics counted, want 4", got)
	}
	log := text.String()
	if !strings.Contains(log, "panic while answering a query") || !strings.Contains(log, "Respond") {
		t.Errorf("the log does not say where: %s", log)
	}
	if !strings.Contains(log, "packet="+hex.EncodeToString(query)) {
		t.Errorf("the log does not have the packet: %s", log)
	}
}

// Whoever can make the server panic cannot fill its disk.
func TestPanicsAreLoggedOnceASecond(t *testing.T) {
	var text lockedBuffer
	s := New(slog.New(slog.NewTextHandler(&text, nil)), NewStats())
	long := bytes.Repeat([]byte{0xab}, maxMessage)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				s.caught("on purpose", long)
			}
		})
	}
	all.Wait()
	first := strings.Count(text.String(), "on purpose")
	if first == 0 || first > 100 {
		t.Errorf("%d of 400 panics are logged", first)
	}
	if strings.Contains(text.String(), strings.Repeat("ab", packetLen+1)) {
		t.Error("a packet makes a log line as long as it likes")
	}
	s.panicLogged.Store(time.Now().Add(-time.Second).UnixNano())
	s.caught("a second later", long)
	if log := text.String(); !strings.Contains(log, "a second later") || !strings.Contains(log, "panics=401") || !strings.Contains(log, "octets=65535") {
		t.Errorf("a second later: %s", log)
	}
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Close answers what had arrived before it, and every worker has ended when it returns.
func TestCloseAnswersWhatIsInFlight(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0", "[::1]:0"))
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	var conns []net.Conn
	for _, address := range s.Addresses() {
		tcp := dial(t, "tcp", address)
		exchange(t, tcp, query) // accepted
		conns = append(conns, dial(t, "udp", address), dial(t, "udp", address), tcp)
	}
	const each = 20
	for _, conn := range conns {
		message := query
		if conn.LocalAddr().Network() == "tcp" {
			message = framed(query)
		}
		for range each {
			if _, err := conn.Write(message); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Close()
	for _, conn := range conns {
		for i := range each {
			var reply []byte
			if conn.LocalAddr().Network() == "tcp" {
				reply = readTCP(t, conn)
			} else {
				reply = make([]byte, 512)
				n, err := conn.Read(reply)
				if err != nil {
					t.Fatalf("reply %d of %v: %v", i, conn.LocalAddr(), err)
				}
				reply = reply[:n]
			}
			if len(unpacked(t, reply).Answer) != 1 {
				t.Fatalf("reply %x", reply)
			}
		}
	}
	checkEnded(t, s)
	if len(s.Addresses()) != 0 {
		t.Errorf("still listening on %v", s.Addresses())
	}
	s.Close() // does nothing
}

// checkEnded checks that no worker and no connection is left.
func checkEnded(t *testing.T, s *Server) {
	t.Helper()
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	for _, c := range s.stats.workers {
		if c.taken {
			t.Errorf("a worker (UDP %v) has not ended", c.udp)
		}
	}
	if n := s.stats.tcpOpen.Load(); n != 0 {
		t.Errorf("%d TCP connections are open", n)
	}
}

func TestHint(t *testing.T) {
	address := options("127.0.0.1:53").Listen[0]
	for _, test := range []struct {
		err  error
		want string
	}{
		{syscall.EADDRINUSE, ` (another server holds the port: see "ss -lnptu sport = :53"; systemd-resolved holds 127.0.0.53, so listen on explicit addresses beside it)`},
		{fmt.Errorf("bind: %w", syscall.EACCES), " (ports below 1024 need root or CAP_NET_BIND_SERVICE)"},
		{syscall.EADDRNOTAVAIL, " (no interface of this machine has the address)"},
		{syscall.EMFILE, ""},
	} {
		if got := hint(address, test.err); got != test.want {
			t.Errorf("%v: hint %q, want %q", test.err, got, test.want)
		}
	}
}
