//go:build e2e

package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
)

// storm is hostile packets sent to gtmd over UDP and TCP while a canary asks a good query every few milliseconds.
type storm struct {
	*lab
	packets, streams, conns atomic.Int64 // sent
	replies, streamed       atomic.Int64 // that came back, all of them looked at
	bad                     atomic.Int64 // malformed ones
	mu                      sync.Mutex   // guards example and late
	example                 string
	asked, right, lost      int
	latency                 []time.Duration
}

// TestStorm sends hostile packets over UDP and, of a hundred, one over TCP (reliability.md, figure 8): gtmd lives, no reply is malformed, every
// good query among them is answered right, and memory, descriptors and goroutines stay where they were. GTMD_STORM says how many
// packets; 100000000 is the whole proof and takes some twenty minutes.
func TestStorm(t *testing.T) {
	s := &storm{lab: newLab(t, shop)}
	total := count(t, "GTMD_STORM", 1_000_000)
	s.configureStorm(t)
	s.gtmd = start(t, s.dir, s.program, "run", "--config", filepath.Join(s.dir, "gtmd.toml"), "--log-level", "warn")
	s.answers(t, s.GTMD, "origin.gtm.test")
	s.blow(t, total/20) // warm: what is allocated once is there
	before := s.gtmd.size(t)
	goroutines := s.metric(t, "go_goroutines")
	s.reset()
	begin := time.Now()
	s.blow(t, total)
	took := time.Since(begin)
	eventually(t, 15*time.Second, "the goroutines of the connections end", func() bool { return s.metric(t, "go_goroutines") <= goroutines+2 })
	after := s.gtmd.size(t)
	handled := s.metric(t, "gtmd_dns_requests_total") + s.metric(t, "gtmd_dns_dropped_requests_total")
	t.Logf("%d packets over UDP and %d messages in %d TCP connections in %v; gtmd has read %.0f in all", s.packets.Load(), s.streams.Load(), s.conns.Load(), took.Round(time.Second), handled)
	t.Logf("%d replies over UDP and %d over TCP, %d malformed", s.replies.Load(), s.streamed.Load(), s.bad.Load())
	slices.Sort(s.latency)
	t.Logf("canary: %d of %d right, %d first tries lost, p50 %v, p99 %v", s.right, s.asked, s.lost, s.latency[len(s.latency)/2], s.latency[len(s.latency)*99/100])
	t.Logf("gtmd: %+v before, %+v after", before, after)
	if s.bad.Load() > 0 {
		t.Errorf("a malformed reply: %s", s.example)
	}
	if s.right != s.asked {
		t.Errorf("%d good queries were not answered right", s.asked-s.right)
	}
	if n := s.metric(t, "gtmd_dns_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
	if handled < float64(s.packets.Load())*0.9 {
		t.Errorf("gtmd has read %.0f packets of %d: too fast to prove anything", handled, s.packets.Load())
	}
	if after.descriptors > before.descriptors+2 || after.resident > before.resident+10<<20 {
		t.Errorf("gtmd has grown: %+v, then %+v", before, after)
	}
}

func (s *storm) configureStorm(t *testing.T) {
	t.Helper()
	s.write(t, "zone", "$TTL 60\nns1 A 127.0.0.53\n*.wild TXT \"wild\"\nalias CNAME origin\nchild NS ns.child\nns.child A 127.0.0.54\nbig TXT "+strings.Repeat(`"`+strings.Repeat("x", 200)+`" `, 10)+"\n")
	s.write(t, "gtmd.toml", fmt.Sprintf(`[dns]
listen = [%q]
[admin]
listen = %q
socket = %q
[state]
dir = %q
[[zone]]
name = "gtm.test"
nameservers = ["ns1.gtm.test"]
contact = "hostmaster@gtm.test"
file = "zone"
[[pool]]
name = "one"
type = "ipv4"
addresses = ["192.0.2.1", "192.0.2.2"]
[[instance]]
name = "origin"
access_domain = "origin.gtm.test"
ttl = 60
[[instance.policy]]
name = "Global"
sources = ["global"]
primary = { pools = ["one"] }
`, s.GTMD, s.Admin, s.Socket, filepath.Join(s.dir, "state")))
}

// reset forgets what was counted.
func (s *storm) reset() {
	s.packets.Store(0)
	s.streams.Store(0)
	s.conns.Store(0)
	s.replies.Store(0)
	s.streamed.Store(0)
	s.asked, s.right, s.lost, s.latency = 0, 0, 0, nil
}

// blow sends a number of packets and returns when the replies have come.
func (s *storm) blow(t *testing.T, total int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var canary, senders, readers sync.WaitGroup
	canary.Go(func() { s.sing(ctx, t) })
	const flows = 8
	for i := range flows {
		conn, err := net.Dial("udp4", s.GTMD)
		if err != nil {
			t.Fatal(err)
		}
		conn.(*net.UDPConn).SetReadBuffer(4 << 20)
		readers.Go(func() { s.read(conn.(*net.UDPConn)) })
		senders.Go(func() {
			s.send(conn.(*net.UDPConn), uint64(i), total/flows)
			conn.SetReadDeadline(time.Now().Add(time.Second))
		})
	}
	senders.Go(func() { s.stream(t, 99, total/100) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		senders.Wait()
		readers.Wait()
	}()
	for tick := time.NewTicker(time.Minute); ; {
		select {
		case <-tick.C:
			t.Logf("%d of %d packets, %d replies, %d malformed, %+v", s.packets.Load(), total, s.replies.Load(), s.bad.Load(), s.gtmd.size(t))
			continue
		case <-done:
			tick.Stop()
		}
		break
	}
	cancel()
	canary.Wait()
}

// stormRate is the packets that each flow sends in a second, at most.
const stormRate = 15000

func (s *storm) send(conn *net.UDPConn, seed uint64, n int) {
	h := newHostile(seed, "origin.gtm.test.", "alias.gtm.test.", "a.wild.gtm.test.", "x.child.gtm.test.", "big.gtm.test.", "nothing.gtm.test.", "gtm.test.", "example.com.", ".")
	const batch = 50
	messages := make([]ipv4.Message, batch)
	for i := range messages {
		messages[i].Buffers = [][]byte{make([]byte, 0, 4096)}
	}
	packets := ipv4.NewPacketConn(conn)
	for begin, sent := time.Now(), 0; sent < n; {
		for i := range messages {
			messages[i].Buffers[0] = append(messages[i].Buffers[0][:0], h.next()...)
		}
		for left := messages; len(left) > 0; {
			done, err := packets.WriteBatch(left, 0)
			if err != nil { // such as ENOBUFS
				done = max(done, 1)
			}
			left = left[done:]
		}
		sent += batch
		s.packets.Add(batch)
		if ahead := time.Duration(sent)*time.Second/stormRate - time.Since(begin); ahead > 0 {
			time.Sleep(ahead)
		}
	}
}

// read looks at every reply until the deadline.
func (s *storm) read(conn *net.UDPConn) {
	defer conn.Close()
	packets := ipv4.NewPacketConn(conn)
	messages := make([]ipv4.Message, 50)
	for i := range messages {
		messages[i].Buffers = [][]byte{make([]byte, 4096)}
	}
	for {
		n, err := packets.ReadBatch(messages, 0)
		if err != nil {
			return
		}
		for _, m := range messages[:n] {
			s.look(m.Buffers[0][:m.N], 1232)
		}
		s.replies.Add(int64(n))
	}
}

// look judges a reply, and now and then has another parser look at it.
func (s *storm) look(reply []byte, most int) {
	problem := malformed(reply, most)
	if problem == "" && reply[1] == 7 {
		if err := new(dns.Msg).Unpack(reply); err != nil {
			problem = err.Error()
		}
	}
	if problem != "" {
		s.bad.Add(1)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.example = fmt.Sprintf("%s: %x", problem, reply)
	}
}

// stream sends n hostile messages over TCP connections: some whole, some in pieces, some with a length that lies, some never ended.
func (s *storm) stream(t *testing.T, seed uint64, n int) {
	h, r := newHostile(seed, "origin.gtm.test.", "gtm.test.", "big.gtm.test."), rand.New(rand.NewPCG(seed, 1))
	for sent := 0; sent < n; {
		conn, err := net.DialTimeout("tcp4", s.GTMD, 5*time.Second)
		if err != nil {
			t.Errorf("connect during the storm: %v", err)
			return
		}
		conn.SetDeadline(time.Now().Add(2 * time.Second))
		var looked sync.WaitGroup
		looked.Go(func() { s.readStream(conn) })
		var out []byte
		for range 1 + r.IntN(40) {
			packet := h.next()
			length := len(packet)
			if r.IntN(20) == 0 {
				length = r.IntN(65536)
			}
			out = append(binary.BigEndian.AppendUint16(out, uint16(length)), packet...)
			sent++
			s.streams.Add(1)
		}
		s.conns.Add(1)
		for len(out) > 0 {
			piece := out[:min(len(out), 1+r.IntN(2000))]
			if _, err := conn.Write(piece); err != nil {
				break // gtmd has closed it: so it may
			}
			out = out[len(piece):]
		}
		if r.IntN(2) == 0 {
			conn.(*net.TCPConn).CloseWrite()
		} else {
			conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		}
		looked.Wait()
		conn.Close()
	}
}

func (s *storm) readStream(conn net.Conn) {
	reply := make([]byte, 65536)
	for {
		if _, err := io.ReadFull(conn, reply[:2]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(reply))
		if _, err := io.ReadFull(conn, reply[:n]); err != nil {
			return
		}
		s.look(reply[:n], 65535)
		s.streamed.Add(1)
	}
}

// sing asks a good query every 3 ms until ctx ends, each up to three times.
func (s *storm) sing(ctx context.Context, t *testing.T) {
	conn, err := dns.Dial("udp", s.GTMD)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	for tick := time.NewTicker(3 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		s.asked++
		for try := range 3 {
			begin := time.Now()
			q := new(dns.Msg).SetQuestion("origin.gtm.test.", dns.TypeA)
			conn.SetDeadline(begin.Add(time.Second))
			if err := conn.WriteMsg(q); err != nil {
				t.Error(err)
				return
			}
			r, err := conn.ReadMsg()
			for err == nil && r.Id != q.Id { // of a try that was given up
				r, err = conn.ReadMsg()
			}
			if err == nil && inOrder(addresses(r)) == "192.0.2.1 192.0.2.2" && r.Rcode == dns.RcodeSuccess && r.Authoritative {
				s.right++
				s.latency = append(s.latency, time.Since(begin))
				break
			}
			if err == nil {
				t.Errorf("a wrong answer to a good query, try %d:\n%v", try+1, r)
				break
			}
			s.lost++
		}
	}
}
