package node_test

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestMeasuredLatency goes to the origin that answers probes sooner, and follows when that changes.
func TestMeasuredLatency(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	delays := make([]atomic.Int64, 2)
	for i, o := range s.origins {
		// In place of the origin of the site, which answers at once.
		l, err := net.Listen("tcp", netip.AddrPortFrom(nextAddress(), o.address.Port()).String())
		if err != nil {
			t.Fatal(err)
		}
		o.address = l.Addr().(*net.TCPAddr).AddrPort()
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Duration(delays[i].Load()))
			io.WriteString(w, "ok")
		})}
		go server.Serve(l)
		t.Cleanup(func() { server.Close() })
	}
	delays[0].Store(int64(80 * time.Millisecond))
	const near = `
[[instance]]
name = "cdn-origin"
access_domain = "origin.gtm.test"
access_policy_type = "latency"
[[instance.policy]]
name = "Global"
primary = { pools = ["test1", "test2"] }
`
	n := s.start(header, pools, near)
	equal(t, "at first", answer(n, dns.TypeA, ""), s.origins[1].String())
	n.Close()
	n = s.start(header, pools, near)
	equal(t, "after a restart", answer(n, dns.TypeA, ""), s.origins[1].String())
	delays[0].Store(0)
	delays[1].Store(int64(80 * time.Millisecond))
	eventually(t, s.origins[0].String(), func() string { return answer(n, dns.TypeA, "") })
	equal(t, "switches", len(n.Status().Switches), 0)

	// A reload goes on with what holds; an instance that goes by the table has no use for it.
	if err := s.reload(n, header, pools, near, "max_answers = 1\n"); err == nil {
		t.Error("a broken configuration was served")
	}
	if err := s.reload(n, header, pools, strings.Replace(near, `["test1", "test2"]`, `["test2", "test1"]`, 1)); err != nil {
		t.Fatal(err)
	}
	equal(t, "after a reload", answer(n, dns.TypeA, ""), s.origins[0].String())
	table := "[[latency]]\nfrom = \"global\"\npool = \"test1\"\nms = 500\n"
	if err := s.reload(n, header, pools, near, table); err != nil {
		t.Fatal(err)
	}
	equal(t, "by the table", answer(n, dns.TypeA, ""), s.origins[1].String())
}
