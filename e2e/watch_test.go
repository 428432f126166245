//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// watch asks for services all the time, whether gtmd lives or not, and remembers when each answer was first seen.
type watch struct {
	conn     net.PacketConn
	services []service
	running  sync.WaitGroup

	mu    sync.Mutex // guards all below
	since [][]seen   // by service, since the last take
	// before has the answers of earlier lives that a first answer may be: those of the last second.
	before [][]string
	first  time.Time // reply since the last take; zero: none
}

// seen is an answer from the moment on when it came for the first time.
type seen struct {
	at     time.Time
	answer string
}

// watch starts asking, every 4 ms for each service, until the test ends.
func (m *mortal) watch(t *testing.T) *watch {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0") // not connected, so that refused queries are no errors
	if err != nil {
		t.Fatal(err)
	}
	to, err := net.ResolveUDPAddr("udp", m.GTMD)
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{conn: conn, services: m.services, since: make([][]seen, len(m.services)), before: make([][]string, len(m.services))}
	var packets [][]byte
	for i, s := range m.services {
		q := new(dns.Msg).SetQuestion(dns.Fqdn(s.domain()), s.kind())
		q.Id = uint16(i)
		packet, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, packet)
	}
	w.running.Go(func() { w.send(packets, to) })
	w.running.Go(w.receive)
	t.Cleanup(func() {
		w.conn.Close()
		w.running.Wait()
	})
	for begin := time.Now(); w.firstReply(begin) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > startBound {
			t.Fatal("gtmd does not answer")
		}
	}
	time.Sleep(100 * time.Millisecond)
	return w
}

func (w *watch) send(packets [][]byte, to net.Addr) {
	ticker := time.NewTicker(4 * time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		for _, packet := range packets {
			if _, err := w.conn.WriteTo(packet, to); err != nil {
				return // closed when the test ends
			}
		}
	}
}

func (w *watch) receive() {
	packet := make([]byte, 1500)
	for {
		n, _, err := w.conn.ReadFrom(packet)
		if err != nil {
			return // closed when the test ends
		}
		m, now := new(dns.Msg), time.Now()
		if err := m.Unpack(packet[:n]); err != nil || int(m.Id) >= len(w.services) {
			m = &dns.Msg{}
			m.Rcode = dns.RcodeFormatError
		}
		answer := inOrder(addresses(m))
		if m.Rcode != dns.RcodeSuccess {
			answer = dns.RcodeToString[m.Rcode]
		}
		w.mu.Lock()
		if w.first.IsZero() {
			w.first = now
		}
		if all := w.since[m.Id]; len(all) == 0 || all[len(all)-1].answer != answer {
			w.since[m.Id] = append(all, seen{now, answer})
		}
		w.mu.Unlock()
	}
}

// firstReply is how long after a moment the first reply since the last take came. Zero: there is none yet.
func (w *watch) firstReply(begin time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first.IsZero() {
		return 0
	}
	return max(w.first.Sub(begin), 1)
}

// take ends a life: what was seen within its last second is what the next one may begin with. A life that was too short to
// answer has changed nothing.
func (w *watch) take() {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := time.Now().Add(-lostBound - writeTime)
	for i, all := range w.since {
		if len(all) == 0 {
			continue
		}
		w.before[i] = nil
		for j, one := range all {
			if j+1 == len(all) || all[j+1].at.After(from) {
				w.before[i] = append(w.before[i], one.answer)
			}
		}
		w.since[i] = nil
	}
	w.first = time.Time{}
}

// judge says what the first answer of a life is: "as before", "turned" when it is another one, for which there is a reason,
// "none", or what is wrong with it. The life before ended at last, politely or not, and this one began at begin.
func (w *watch) judge(i int, s service, last time.Time, polite bool, begin time.Time, o *truth) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.since[i] {
		if one.answer != s.Primary[0] && one.answer != s.Backup[0] {
			return fmt.Sprintf("answer %q, %v after the start", one.answer, one.at.Sub(begin))
		}
	}
	if o == nil && len(w.since[i]) > 1 {
		return fmt.Sprintf("the answer changes, and the origins do not: %v", w.since[i])
	}
	switch {
	case len(w.since[i]) == 0:
		return "none"
	case slices.Contains(w.before[i], w.since[i][0].answer):
		return "as before"
	}
	// The probes of this life, and a streak that was saved, may have turned the verdict before the first answer. A life that
	// ends politely saves what its probes have seen while it answered no more.
	first := w.since[i][0]
	if up := first.answer == s.Primary[0]; o.was(up, begin.Add(-lostBound), first.at) && (polite || first.at.Sub(begin) > 10*time.Millisecond) {
		return "turned"
	}
	return fmt.Sprintf("the first answer is %s, %v after the start and %v after the kill; before that it was %s",
		first.answer, first.at.Sub(begin), first.at.Sub(last), strings.Join(w.before[i], " or "))
}
