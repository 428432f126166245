package server

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// on is the options with other addresses.
func on(o Options, addresses ...netip.AddrPort) Options {
	o.Listen = addresses
	return o
}

// withIP is an address with the port of another.
func withIP(ip string, port netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), port.Port())
}

func TestPrepareErrors(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0"))
	serving := first(s)
	foreignUDP, err := net.ListenPacket("udp4", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	defer foreignUDP.Close()
	udpPort := foreignUDP.LocalAddr().(*net.UDPAddr).AddrPort()
	foreignTCP, err := net.Listen("tcp4", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	defer foreignTCP.Close()
	tcpPort := foreignTCP.Addr().(*net.TCPAddr).AddrPort()
	held := func(port netip.AddrPort) string {
		return fmt.Sprintf(`bind: address already in use (another server holds the port: see "ss -lnptu sport = :%d"; systemd-resolved holds 127.0.0.53, so listen on explicit addresses beside it)`, port.Port())
	}
	inUse := fmt.Sprintf("listen on %s: listen udp4 %s: %s", udpPort, udpPort, held(udpPort))
	for _, test := range []struct {
		name   string
		listen []netip.AddrPort
		want   string
	}{
		{"UDP port of another server", []netip.AddrPort{serving, udpPort}, inUse},
		{"TCP port of another server", []netip.AddrPort{tcpPort}, fmt.Sprintf("listen on %s over TCP: listen tcp4 %s: %s", tcpPort, tcpPort, held(tcpPort))},
		{"every reason, and nothing stays open", []netip.AddrPort{netip.MustParseAddrPort("127.0.0.4:0"), udpPort, udpPort}, inUse + "\n" + inUse},
	} {
		for _, workers := range []int{2, 3} {
			o := on(options(), test.listen...)
			o.Workers = workers
			change, err := s.Prepare(o)
			if change != nil || err == nil || err.Error() != test.want {
				t.Errorf("%s: error\n%v\nwant\n%s", test.name, err, test.want)
			}
			if got := s.Addresses(); !slices.Equal(got, []netip.AddrPort{serving}) {
				t.Errorf("%s: listening on %v", test.name, got)
			}
			exchange(t, dial(t, "udp", serving), packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
			exchange(t, dial(t, "tcp", serving), packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
		}
	}
}

func TestDiscard(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0"))
	free := withIP("127.0.0.2", first(s))
	change, err := s.Prepare(on(options(), first(s), free))
	if err != nil {
		t.Fatal(err)
	}
	change.Discard()
	if got := s.Addresses(); len(got) != 1 {
		t.Errorf("listening on %v", got)
	}
	conn, err := net.ListenPacket("udp4", free.String())
	if err != nil {
		t.Fatalf("the address is still taken: %v", err)
	}
	conn.Close()
	// The same address again, and twice, is no error.
	apply(t, s, on(options(), first(s), free, free))
	if got := s.Addresses(); len(got) != 2 {
		t.Errorf("listening on %v", got)
	}
	for range 8 {
		exchange(t, dial(t, "udp", free), packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
	}
}

// Workers 0 is one for each core.
func TestWorkers(t *testing.T) {
	o := options("127.0.0.1:0")
	o.Workers = 0
	s := newServer(t, o)
	if s.options.Workers < 1 {
		t.Errorf("%d workers", s.options.Workers)
	}
	exchange(t, dial(t, "udp", first(s)), packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
}

// A reload that changes nothing keeps the sockets; one that changes what UDP workers are made with replaces
// those.
func TestSameOptionsKeepTheSockets(t *testing.T) {
	o := options("127.0.0.1:0")
	s := newServer(t, o)
	o.Listen[0] = first(s)
	apply(t, s, o)
	address := o.Listen[0]
	before := s.listeners[address]
	tcp := dial(t, "tcp", address)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	exchange(t, tcp, query)
	apply(t, s, o)
	if s.listeners[address] != before {
		t.Error("the same options opened the sockets anew")
	}
	exchange(t, tcp, query)
	o.MaxUDPPayload = 600
	apply(t, s, o)
	if s.listeners[address] == before {
		t.Error("another payload size kept the workers")
	}
	reply := exchange(t, dial(t, "udp", address), packet(t, "big.gtm.test.", dns.TypeA, 4096, ""))
	if !unpacked(t, reply).Truncated || len(reply) > 600 {
		t.Errorf("reply of %d octets", len(reply))
	}
	exchange(t, tcp, query) // a connection does not mind (RFC 7766 section 6.2.3: a server closes what is idle)
}

// One address, every address, and back: our own sockets are not in the way.
func TestWildcardAndBack(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0"))
	specific := first(s)
	every := withIP("0.0.0.0", specific)
	for _, listen := range [][]netip.AddrPort{{every}, {specific}, {every, specific}, {specific}} {
		apply(t, s, on(options(), listen...))
		if got := s.Addresses(); len(got) != len(listen) {
			t.Fatalf("listening on %v, want %v", got, listen)
		}
		exchange(t, dial(t, "udp", specific), packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
		exchange(t, dial(t, "tcp", specific), packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
	}
}

// load asks an address from several sockets, one query at a time each, until stop; a query without a reply is lost.
type load struct {
	clients sync.WaitGroup
	stop    chan struct{}
	mu      sync.Mutex // guards all below
	asked   int
	lost    []error
}

func newLoad(t *testing.T, address netip.AddrPort, clients int) *load {
	l := &load{stop: make(chan struct{})}
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	for range clients {
		conn := dial(t, "udp", address)
		l.clients.Go(func() { l.run(conn, bytes.Clone(query)) })
	}
	return l
}

func (l *load) run(conn net.Conn, query []byte) {
	reply := make([]byte, 512)
	for id := uint16(0); ; id++ {
		select {
		case <-l.stop:
			return
		default:
		}
		query[0], query[1] = byte(id>>8), byte(id)
		conn.Write(query)
		conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, err := conn.Read(reply)
		if err == nil && (n < 12 || !bytes.Equal(reply[:2], query[:2]) || reply[3] != 0 || reply[7] != 1) {
			err = fmt.Errorf("reply %x to query %x", reply[:n], query[:2])
		}
		l.mu.Lock()
		l.asked++
		if err != nil {
			l.lost = append(l.lost, err)
		}
		l.mu.Unlock()
	}
}

// end stops the load when at least this many queries were asked.
func (l *load) end(asked int) (lost []error) {
	for {
		l.mu.Lock()
		enough := l.asked >= asked || len(l.lost) > 0
		l.mu.Unlock()
		if enough {
			break
		}
		time.Sleep(time.Millisecond)
	}
	close(l.stop)
	l.clients.Wait()
	return l.lost
}

// Reloads that add and remove other addresses, that are discarded, that fail, and that replace the workers of the
// address itself, under load.
func TestReloadUnderLoad(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0"))
	address := first(s)
	apply(t, s, on(options(), address))
	l := newLoad(t, address, 8)
	other := withIP("127.0.0.2", address)
	workers := func(n int, addresses ...netip.AddrPort) Options {
		o := on(options(), addresses...)
		o.Workers = n
		return o
	}
	apply(t, s, on(options(), address, other))
	exchange(t, dial(t, "udp", other), packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
	apply(t, s, on(options(), address))
	if len(s.Addresses()) != 1 {
		t.Errorf("listening on %v", s.Addresses())
	}
	change, err := s.Prepare(workers(4, address, other))
	if err != nil {
		t.Fatal(err)
	}
	change.Discard()
	foreign, err := net.ListenPacket("udp4", other.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prepare(workers(5, address, other)); err == nil {
		t.Error("the port of another server can be had")
	}
	foreign.Close()
	for _, n := range []int{1, 4, 3} {
		apply(t, s, workers(n, address))
	}
	for generation := range uint64(5) {
		if err := s.Swap(newView(t, 2+generation, s.stats.Counter)); err != nil {
			t.Error(err)
		}
	}
	if lost := l.end(3000); len(lost) > 0 {
		t.Errorf("%d of %d queries lost: %v", len(lost), l.asked, lost[0])
	}
	s.Close()
	checkEnded(t, s)
}
