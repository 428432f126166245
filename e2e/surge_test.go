//go:build e2e

package e2e

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// surge asks a server for one name over UDP at a high rate, and over TCP beside it. A query without a reply within two
// seconds is lost; one with another answer than the good one is wrong.
type surge struct {
	query, good   []byte // a query without its ID; the address of the only good answer
	begin         time.Time
	running       sync.WaitGroup
	sent, replies atomic.Int64
	wrong, unsent atomic.Int64
	late          atomic.Int64 // nanoseconds of the slowest reply
	conns         []*surgeConn
	tcp           *load // only its TCP half
	full          int   // fullBuffers at the begin
}

// surgeConn is one UDP socket; the ID of a query is its index modulo 2^16, so at most that many are open.
type surgeConn struct {
	conn *net.UDPConn
	sent [1 << 16]atomic.Int64 // nanoseconds from the begin when a query was sent; 0: it is answered, or was not sent
}

// surgeSockets is how many UDP sockets ask: the kernel spreads them over the workers.
const surgeSockets = 16

// startSurge asks at a rate, queries a second over UDP, until ctx ends; end waits for it.
func startSurge(t *testing.T, ctx context.Context, server, name, good string, rate int) *surge {
	t.Helper()
	s := &surge{begin: time.Now(), good: net.ParseIP(good).To4(), full: fullBuffers(t)}
	s.tcp = &load{server: server, name: name + ".", begin: s.begin}
	s.query = s.tcp.query(0)
	to, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	for range surgeSockets {
		conn, err := net.DialUDP("udp", nil, to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetReadBuffer(4 << 20)
		c := &surgeConn{conn: conn}
		s.conns = append(s.conns, c)
		s.running.Go(func() { s.receive(c) })
	}
	s.running.Go(func() { s.send(ctx, rate) })
	s.running.Go(func() { s.tcp.askOverTCP(ctx, true) })
	s.running.Go(func() { s.tcp.askOverTCP(ctx, false) })
	return s
}

// send keeps up the rate in steps of a millisecond, and gives the last replies two seconds.
func (s *surge) send(ctx context.Context, rate int) {
	packet := slices.Clone(s.query)
	for n := 0; ctx.Err() == nil; {
		due := int(time.Since(s.begin).Seconds() * float64(rate))
		// After a pause of this process it does not catch up all at once: that would test the buffers of the kernel.
		for burst := 0; n < due && burst < max(rate/500, 1); burst++ {
			c, id := s.conns[n%len(s.conns)], uint16(n/len(s.conns))
			binary.BigEndian.PutUint16(packet, id)
			c.sent[id].Store(int64(time.Since(s.begin))) // one before with this ID that has no reply yet is lost
			s.sent.Add(1)
			if _, err := c.conn.Write(packet); err != nil {
				s.unsent.Add(1) // and lost: most likely one before it was refused, as when no socket has the port
			}
			n++
		}
		if behind := int(time.Since(s.begin).Seconds()*float64(rate)) - n; behind > rate/50 {
			n += behind
		}
		time.Sleep(time.Millisecond)
	}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end) && s.replies.Load() < s.sent.Load(); {
		time.Sleep(time.Millisecond)
	}
	for _, c := range s.conns {
		c.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// receive takes the replies of a socket until its deadline.
func (s *surge) receive(c *surgeConn) {
	packet := make([]byte, 1500)
	for {
		n, err := c.conn.Read(packet)
		switch {
		case err != nil && os.IsTimeout(err):
			return
		case err != nil: // a refused query stays without a reply
			continue
		case n < 12:
			s.wrong.Add(1)
			continue
		}
		sent := c.sent[binary.BigEndian.Uint16(packet)].Swap(0)
		if sent == 0 {
			s.wrong.Add(1) // a second reply
			continue
		}
		s.replies.Add(1)
		took := int64(time.Since(s.begin)) - sent
		for late := s.late.Load(); took > late && !s.late.CompareAndSwap(late, took); late = s.late.Load() {
		}
		// One answer, whose last octets are the address.
		if packet[3]&0x0f != 0 || packet[7] != 1 || n < len(s.query)+16 || !slices.Equal(packet[len(s.query)+12:len(s.query)+16], s.good) {
			s.wrong.Add(1)
		}
	}
}

// fullBuffers is how many UDP packets the kernel has dropped because the buffer of a socket was full, whosever it was.
func fullBuffers(t *testing.T) int {
	t.Helper()
	var names []string
	for line := range strings.Lines(string(readFile(t, "/proc/net/snmp"))) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] != "Udp:":
		case names == nil:
			names = fields
		default:
			if i := slices.Index(names, "RcvbufErrors"); i > 0 && i < len(fields) {
				n, _ := strconv.Atoi(fields[i])
				return n
			}
		}
	}
	t.Fatal("/proc/net/snmp has no RcvbufErrors of UDP")
	return 0
}

// end waits until the surge is over, and fails the test when a query was lost or wrongly answered.
func (s *surge) end(t *testing.T) {
	t.Helper()
	s.running.Wait()
	took := time.Since(s.begin)
	lost := s.sent.Load() - s.replies.Load()
	tcpLost, tcpWrong, good := 0, 0, net.IP(s.good).String()
	for _, e := range s.tcp.tcp {
		switch {
		case e.err != nil && e.version == 0 && !strings.Contains(e.err.Error(), "the answer is"):
			tcpLost++
			t.Log("TCP:", e.sent, e.err)
		case e.err != nil || e.version != int(s.good[3]):
			tcpWrong++
		}
	}
	t.Logf("UDP: %d queries in %v (%.0f a second), lost %d, wrong %d, slowest reply after %v", s.sent.Load(), took.Round(time.Millisecond),
		float64(s.sent.Load())/took.Seconds(), lost, s.wrong.Load(), time.Duration(s.late.Load()).Round(100*time.Microsecond))
	t.Logf("TCP: %d queries, lost %d, wrong %d, sent again over a new connection %d", len(s.tcp.tcp), tcpLost, tcpWrong, s.tcp.retried)
	if n := s.unsent.Load(); n > 0 {
		t.Logf("UDP: %d could not be sent", n)
	}
	if full := fullBuffers(t) - s.full; full > 0 {
		t.Logf("the kernel has dropped %d packets of this machine because a socket's buffer was full: the rate is too high for it", full)
	}
	if lost != 0 || s.wrong.Load() != 0 || tcpLost != 0 || tcpWrong != 0 {
		t.Errorf("queries were lost or wrongly answered; the good answer is %s", good)
	}
	if s.sent.Load() == 0 || len(s.tcp.tcp) == 0 {
		t.Error("nothing was asked")
	}
}
