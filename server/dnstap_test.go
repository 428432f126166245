package server

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/miekg/dns"

	"gtmd/server/querylog"
)

// receiver is a dnstap collector.
type receiver struct {
	listener net.Listener
	messages chan *dnstap.Dnstap
	ended    chan error // has how each connection ended
}

func newReceiver(t *testing.T, socket string) *receiver {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{listener: listener, messages: make(chan *dnstap.Dnstap, 100000), ended: make(chan error, 100)}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { r.ended <- r.receive(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
	})
	return r
}

// receive reads until the stream ends; nil means with STOP and FINISH.
func (r *receiver) receive(conn net.Conn) error {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	reader, err := dnstap.NewReader(conn, &dnstap.ReaderOptions{Bidirectional: true})
	if err != nil {
		return err
	}
	for decoder := dnstap.NewDecoder(reader, 1<<20); ; {
		m := new(dnstap.Dnstap)
		if err := decoder.Decode(m); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		r.messages <- m
	}
}

// next is the next message.
func (r *receiver) next(t *testing.T) *dnstap.Dnstap {
	t.Helper()
	select {
	case m := <-r.messages:
		return m
	case <-time.After(patience):
		t.Fatal("no message came")
		return nil
	}
}

// isUp waits until a server has a collector, which is known by a query that arrives there.
func (r *receiver) isUp(t *testing.T, s *Server) {
	t.Helper()
	conn := dial(t, "udp", first(s))
	await(t, "a message", func() bool {
		exchange(t, conn, packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
		select {
		case <-r.messages:
			return true
		default:
			return false
		}
	})
	await(t, "the rings to be empty", func() bool {
		c := &s.stats.queries.Dnstap
		before := c.Written() + c.Dropped()
		exchange(t, conn, packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
		await(t, "a query counted", func() bool { return c.Written()+c.Dropped() > before })
		return true
	})
	await(t, "the messages to be read", func() bool {
		select {
		case <-r.messages:
			return false
		case <-time.After(50 * time.Millisecond):
			return true
		}
	})
}

func TestDnstap(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "tap.sock")
	r := newReceiver(t, socket)
	s := newServer(t, tapped(options("127.0.0.1:0", "[::1]:0"), socket))
	r.isUp(t, s)
	for _, server := range s.Addresses() {
		for network, protocol := range map[string]dnstap.SocketProtocol{"udp": dnstap.SocketProtocol_UDP, "tcp": dnstap.SocketProtocol_TCP} {
			conn := dial(t, network, server)
			query := packet(t, "ecs.gtm.test.", dns.TypeA, 1232, "10.77.1.0/24")
			reply := exchange(t, conn, query)
			local := conn.LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort()
			family := dnstap.SocketFamily_INET
			if local.Addr().Is6() {
				family = dnstap.SocketFamily_INET6
			}
			for _, kind := range []dnstap.Message_Type{dnstap.Message_AUTH_QUERY, dnstap.Message_AUTH_RESPONSE} {
				d := r.next(t)
				m := d.GetMessage()
				if d.GetType() != dnstap.Dnstap_MESSAGE || string(d.Identity) != "ns1" || string(d.Version) != "gtmd" || m.GetType() != kind ||
					m.GetSocketFamily() != family || m.GetSocketProtocol() != protocol ||
					!bytes.Equal(m.QueryAddress, local.Addr().AsSlice()) || m.GetQueryPort() != uint32(local.Port()) ||
					!bytes.Equal(m.ResponseAddress, server.Addr().AsSlice()) || m.GetResponsePort() != uint32(server.Port()) {
					t.Errorf("%s %s: %v", server, network, d)
				}
				sec, nsec, wantQuery, wantReply, extra := m.GetQueryTimeSec(), m.GetQueryTimeNsec(), query, []byte(nil), ""
				if kind == dnstap.Message_AUTH_RESPONSE {
					sec, nsec, wantQuery, wantReply = m.GetResponseTimeSec(), m.GetResponseTimeNsec(), nil, reply
					extra = `{"instance":"ecs","family":"ipv4","policy":"Office","line":"office","set":"primary","why":"normal"}`
				}
				if ago := time.Since(time.Unix(int64(sec), int64(nsec))); ago < 0 || ago > patience {
					t.Errorf("%s %s %v: %v ago", server, network, kind, ago)
				}
				if !bytes.Equal(m.QueryMessage, wantQuery) || !bytes.Equal(m.ResponseMessage, wantReply) || string(d.Extra) != extra {
					t.Errorf("%s %s %v: %v", server, network, kind, d)
				}
				if _, valid := dnstap.TextFormat(d); !valid {
					t.Errorf("the library cannot show %v", d)
				}
			}
		}
	}
	s.Close()
	if err := <-r.ended; err != nil {
		t.Errorf("the stream ended with %v, want STOP and FINISH", err)
	}
}

// What is signed is told as it was sent, with its signature, also when that is wrong.
func TestDnstapSigned(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "tap.sock")
	r := newReceiver(t, socket)
	p := newPrimary(t, ZoneOptions{})
	apply(t, p.Server, tapped(options(p.address), socket))
	r.isUp(t, p.Server)
	for _, secret := range []string{goodSecret, otherSecret} {
		query, _, err := dns.TsigGenerate(signWith(new(dns.Msg).SetQuestion("www.gtm.test.", dns.TypeA), goodKey), secret, "", false)
		if err != nil {
			t.Fatal(err)
		}
		reply := exchange(t, dial(t, "udp", first(p.Server)), query)
		if got := r.next(t).GetMessage().QueryMessage; !bytes.Equal(got, query) {
			t.Errorf("query\ngot  %x\nwant %x", got, query)
		}
		if got := r.next(t).GetMessage().ResponseMessage; !bytes.Equal(got, reply) {
			t.Errorf("reply\ngot  %x\nwant %x", got, reply)
		}
	}
}

// A reply that is too large to be kept is left out; everything else is told.
func TestDnstapLargeReply(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "tap.sock")
	r := newReceiver(t, socket)
	o := tapped(options("127.0.0.1:0"), socket)
	o.Dnstap.Messages = querylog.ResponseMessages
	s := newServer(t, o)
	r.isUp(t, s)
	exchange(t, dial(t, "tcp", first(s)), packet(t, "big.gtm.test.", dns.TypeA, 0, ""))
	if m := r.next(t).GetMessage(); m.GetType() != dnstap.Message_AUTH_RESPONSE || m.ResponseMessage != nil || m.GetQueryPort() == 0 {
		t.Errorf("%v", m)
	}
}

// shake accepts a connection and shakes hands.
func shake(t *testing.T, listener net.Listener) (net.Conn, dnstap.Reader) {
	t.Helper()
	peer, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	reader, err := dnstap.NewReader(peer, &dnstap.ReaderOptions{Bidirectional: true, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	return peer, reader
}

// The collector may come late, and go and come again; one that comes again at once misses nothing.
func TestDnstapReconnects(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "tap.sock")
	s := newServer(t, tapped(options("127.0.0.1:0"), socket))
	conn, count := dial(t, "udp", first(s)), &s.stats.queries.Dnstap
	exchange(t, conn, packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
	await(t, "a query without a collector dropped", func() bool { return count.Dropped() == 1 })
	for range 2 {
		listener, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		dropped := count.Dropped()
		peer, _ := shake(t, listener)
		before := count.Written()
		exchange(t, conn, packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
		await(t, "a query written", func() bool { return count.Written() == before+1 })

		peer.Close()
		exchange(t, conn, packet(t, "all.gtm.test.", dns.TypeA, 0, ""))
		peer, reader := shake(t, listener)
		n, err := reader.ReadFrame(make([]byte, 1<<16))
		if err != nil || n == 0 {
			t.Errorf("%d octets, %v", n, err)
		}
		await(t, "the next written", func() bool { return count.Written() == before+2 })
		if count.Dropped() != dropped {
			t.Errorf("%d dropped", count.Dropped()-dropped)
		}

		listener.Close()
		peer.Close()
		exchange(t, conn, packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
		await(t, "a query dropped", func() bool { return count.Dropped() == dropped+1 })
	}
}

// A collector that reads nothing costs entries, and neither queries nor the end of the server.
func TestDnstapBlocked(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "tap.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	shook := make(chan error, 1)
	peers := make(chan net.Conn, 100)
	go func() {
		for first := true; ; first = false {
			peer, err := listener.Accept()
			if err != nil {
				return
			}
			if first {
				_, err = dnstap.NewReader(peer, &dnstap.ReaderOptions{Bidirectional: true, Timeout: patience})
				shook <- err
			}
			peers <- peer
		}
	}()
	o := tapped(options("127.0.0.1:0"), socket)
	o.Dnstap.Buffer = 64
	s := newServer(t, o)
	if err := <-shook; err != nil {
		t.Fatal(err)
	}
	conn, count := dial(t, "udp", first(s)), &s.stats.queries.Dnstap
	query := packet(t, "all.gtm.test.", dns.TypeA, 0, "")
	asked := uint64(0)
	await(t, "entries dropped", func() bool {
		exchange(t, conn, query)
		asked++
		return count.Dropped() > 100
	})
	s.Close()
	if got := count.Written() + count.Dropped(); got != asked {
		t.Errorf("%d written and %d dropped of %d", count.Written(), count.Dropped(), asked)
	}
	for len(peers) > 0 {
		(<-peers).Close()
	}
}
