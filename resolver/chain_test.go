package resolver

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// String writes a trail for comparison: its links, then its end.
func (t Trail) String() string {
	var b strings.Builder
	for _, l := range t.Links {
		fmt.Fprintf(&b, "%s %d %s %s; ", l.Name, l.TTL, l.Type, l.Data)
	}
	names := []string{"addresses", "no data", "no name", "loop", "too long", "failed", "timeout"}
	fmt.Fprintf(&b, "%s at %s", names[t.End], t.At)
	if t.Detail != "" {
		b.WriteString(": " + t.Detail)
	}
	return b.String()
}

// TestChain asks a real server that answers in every way. Records are those of an answer; a question with none has no data. In what is
// wanted, AT stands for the address of the server.
func TestChain(t *testing.T) {
	const negative = "SOA" // stands for a SOA record in the authority section
	long := func(n int) (records []string) {
		records = append(records, "www.example.net. 60 CNAME c1.example.net.")
		for i := range n - 1 {
			records = append(records, fmt.Sprintf("c%d.example.net. 60 CNAME c%d.example.net.", i+1, i+2))
		}
		return append(records, fmt.Sprintf("c%d.example.net. 60 A 192.0.2.1", n))
	}
	for _, tt := range []struct {
		name    string
		answers map[string][]string // by question; a response code stands first
		want    string
	}{
		{"a whole chain", map[string][]string{"www A": {"www.example.net. 300 CNAME cdn.example.com.", "cdn.example.com. 60 CNAME edge.example.org.",
			"edge.example.org. 20 A 192.0.2.2", "edge.example.org. 20 A 192.0.2.1"}},
			"www.example.net. 300 CNAME cdn.example.com.; cdn.example.com. 60 CNAME edge.example.org.; edge.example.org. 20 A 192.0.2.2; edge.example.org. 20 A 192.0.2.1; addresses at edge.example.org."},
		{"in parts", map[string][]string{"www A": {"www.example.net. 300 CNAME CDN.example.com."}, "cdn.example.com. A": {"cdn.example.com. 60 CNAME edge.example.org."},
			"edge.example.org. A": {"edge.example.org. 20 A 192.0.2.2"}},
			"www.example.net. 300 CNAME cdn.example.com.; cdn.example.com. 60 CNAME edge.example.org.; edge.example.org. 20 A 192.0.2.2; addresses at edge.example.org."},
		{"addresses alone", map[string][]string{"www A": {"www.example.net. 4294967295 A 192.0.2.2"}}, "www.example.net. 0 A 192.0.2.2; addresses at www.example.net."},
		{"NXDOMAIN", map[string][]string{"www A": {"NXDOMAIN"}}, "no name at www.example.net.: NXDOMAIN from AT"},
		{"NXDOMAIN behind a CNAME", map[string][]string{"www A": {"NXDOMAIN", "www.example.net. 300 CNAME cdn.example.com."}},
			"www.example.net. 300 CNAME cdn.example.com.; no name at cdn.example.com.: NXDOMAIN from AT"},
		{"no data", nil, "no data at www.example.net.: no A record from AT"},
		{"no data behind a CNAME", map[string][]string{"www A": {"www.example.net. 300 CNAME cdn.example.com.", negative}},
			"www.example.net. 300 CNAME cdn.example.com.; no data at cdn.example.com.: no A record from AT"},
		{"no data, in parts", map[string][]string{"www A": {"www.example.net. 300 CNAME cdn.example.com."}},
			"www.example.net. 300 CNAME cdn.example.com.; no data at cdn.example.com.: no A record from AT"},
		{"SERVFAIL", map[string][]string{"www A": {"SERVFAIL"}}, "failed at www.example.net.: SERVFAIL from AT"},
		{"SERVFAIL on the way", map[string][]string{"www A": {"www.example.net. 300 CNAME cdn.example.com."}, "cdn.example.com. A": {"SERVFAIL"}},
			"www.example.net. 300 CNAME cdn.example.com.; failed at cdn.example.com.: SERVFAIL from AT"},
		{"SERVFAIL behind a CNAME", map[string][]string{"www A": {"SERVFAIL"}, "www CNAME": {"www.example.net. 300 CNAME cdn.example.com."}, "cdn.example.com. A": {"SERVFAIL"}},
			"www.example.net. 300 CNAME cdn.example.com.; failed at cdn.example.com.: SERVFAIL from AT"},
		{"a circle that is not followed", map[string][]string{"www A": {"SERVFAIL"}, "www CNAME": {"www.example.net. 300 CNAME a.example.net."}, "a.example.net. A": {"SERVFAIL"},
			"a.example.net. CNAME": {"a.example.net. 300 CNAME www.example.net."}},
			"www.example.net. 300 CNAME a.example.net.; a.example.net. 300 CNAME www.example.net.; loop at www.example.net.: CNAME records in a circle, from AT"},
		{"silence", map[string][]string{"www A": {"silence"}}, "timeout at www.example.net.: no answer from AT within 200ms"},
		{"itself", map[string][]string{"www A": {"www.example.net. 300 CNAME WWW.example.net."}},
			"www.example.net. 300 CNAME www.example.net.; loop at www.example.net.: CNAME records in a circle, from AT"},
		{"a circle in parts", map[string][]string{"www A": {"www.example.net. 300 CNAME a.example.net."}, "a.example.net. A": {"a.example.net. 300 CNAME b.example.net."},
			"b.example.net. A": {"b.example.net. 300 CNAME a.example.net."}},
			"www.example.net. 300 CNAME a.example.net.; a.example.net. 300 CNAME b.example.net.; b.example.net. 300 CNAME a.example.net.; loop at a.example.net.: CNAME records in a circle, from AT"},
		{"as long as may be", map[string][]string{"www A": long(maxChain - 1)}, "addresses at c15.example.net."},
		{"too long", map[string][]string{"www A": long(maxChain)}, "too long at c16.example.net.: more than 15 CNAME records, from AT"},
		{"of another name", map[string][]string{"www A": {"ftp.example.net. 60 CNAME cdn.example.com."}}, "no data at www.example.net.: no A record from AT"},
		{"not recursive", map[string][]string{"www A": {"iterative"}}, "failed at www.example.net.: no recursion by AT"},
		{"authoritative", map[string][]string{"www A": {"authoritative", "www.example.net. 300 CNAME cdn.example.com."}, "cdn.example.com. A": {"REFUSED"}},
			"www.example.net. 300 CNAME cdn.example.com.; failed at cdn.example.com.: REFUSED from AT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, func(w dns.ResponseWriter, network string, m *dns.Msg) {
				q := m.Question[0]
				key := q.Name + " " + dns.TypeToString[q.Qtype]
				records := tt.answers[strings.Replace(key, www, "www", 1)]
				reply := new(dns.Msg).SetReply(m)
				reply.RecursionAvailable = true
				for _, r := range records {
					code, isCode := dns.StringToRcode[r]
					switch {
					case r == "silence":
						return
					case r == "iterative":
						reply.RecursionAvailable = false
					case r == "authoritative":
						reply.RecursionAvailable, reply.Authoritative = false, true
					case r == negative:
						reply.Ns = message(t, "example.com. 60 SOA ns.example.net. root.example.net. 1 60 60 60 60").Answer
					case isCode:
						reply.Rcode = code
					default:
						reply.Answer = append(reply.Answer, message(t, r).Answer...)
					}
				}
				if network == "udp" && len(reply.Answer) > 10 {
					reply.Answer, reply.Truncated = nil, true
				}
				w.WriteMsg(reply)
			})
			o := oneServer()
			o.Servers[0], o.Attempts, o.Timeout = s.at, 1, 30*time.Second
			if strings.HasPrefix(tt.want, "timeout") {
				o.Timeout = 200 * time.Millisecond
			}
			r, err := New(o, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got := strings.ReplaceAll(r.Chain(t.Context(), www).IPv4.String(), s.at.String(), "AT")
			if tt.name == "as long as may be" {
				got = got[strings.LastIndex(got, ";")+2:]
			} else if tt.name == "too long" {
				got = got[strings.LastIndex(got, "; ")+2:]
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestChainApex: of a name without a CNAME it is found out whether it is that of a zone. The second server is asked where the first
// one does not answer.
func TestChainApex(t *testing.T) {
	var zone atomic.Value
	zone.Store("www.example.net.")
	s := serve(t, func(w dns.ResponseWriter, _ string, m *dns.Msg) {
		reply := answer(t, m)
		switch m.Question[0].Qtype {
		case dns.TypeA:
			reply = answer(t, m, "www.example.net. 60 A 192.0.2.1")
		case dns.TypeSOA:
			soa := message(t, zone.Load().(string)+" 60 SOA ns.example.net. root.example.net. 1 60 60 60 60").Answer
			if reply.Ns = soa; soa[0].Header().Name == www {
				reply.Answer, reply.Ns = soa, nil
			}
		}
		if err := w.WriteMsg(reply); err != nil {
			t.Error(err)
		}
	})
	o := oneServer()
	o.Servers = append(o.Servers[:0], closed(t), s.at)
	r, err := New(o, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if c := r.Chain(t.Context(), www); !c.IsApex || c.IPv4.End != EndAddresses || c.IPv6.End != EndNoData || c.Name != www {
		t.Errorf("%+v, want an apex", c)
	}
	zone.Store("example.net.")
	if c := r.Chain(t.Context(), www); c.IsApex {
		t.Errorf("%+v, want no apex", c)
	}
}

// TestChainEnds: with its context, whatever the options say.
func TestChainEnds(t *testing.T) {
	o := oneServer()
	o.Servers[0], o.Attempts, o.Timeout = silent(t), 10, 30*time.Second
	r, err := New(o, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	c := r.Chain(ctx, www)
	r.Close()
	closed := r.Chain(t.Context(), www)
	for _, trail := range []Trail{c.IPv4, c.IPv6, closed.IPv4, closed.IPv6} {
		if trail.End != EndTimeout || trail.End.IsKnown() || !strings.Contains(trail.Detail, "before the time for the whole chain was over") {
			t.Errorf("%v", trail)
		}
	}
}

// TestChainUnbound holds the ends against a real resolver, with a server of our own behind it.
func TestChainUnbound(t *testing.T) {
	program, err := exec.LookPath("unbound")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/unbound"); err != nil {
			t.Skip("unbound is not installed")
		}
	}
	records := map[string]string{
		"www": "www.example.net. 60 CNAME cdn.example.net.", "cdn": "cdn.example.net. 60 CNAME edge.example.net.", "edge": "edge.example.net. 60 A 192.0.2.1",
		"dangling": "dangling.example.net. 60 CNAME gone.example.net.", "circle": "circle.example.net. 60 CNAME square.example.net.",
		"square": "square.example.net. 60 CNAME circle.example.net.", "empty": "empty.example.net. 60 CNAME none.example.net.", "none": "",
	}
	upstream := serve(t, func(w dns.ResponseWriter, _ string, m *dns.Msg) {
		reply := new(dns.Msg).SetReply(m)
		reply.Authoritative = true
		label, _, _ := strings.Cut(strings.ToLower(m.Question[0].Name), ".")
		record, isThere := records[label]
		switch {
		case label == "broken":
			reply.Rcode = dns.RcodeServerFailure
		case !isThere:
			reply.Rcode = dns.RcodeNameError
		case record != "" && (strings.Contains(record, "CNAME") || m.Question[0].Qtype == dns.TypeA):
			reply.Answer = message(t, record).Answer
		}
		if len(reply.Answer) == 0 {
			reply.Ns = message(t, "example.net. 60 SOA ns.example.net. root.example.net. 1 60 60 60 60").Answer
		}
		if err := w.WriteMsg(reply); err != nil {
			t.Error(err)
		}
	})
	at := runUnbound(t, program, upstream.at)
	o := oneServer()
	o.Servers[0], o.Timeout = at, 30*time.Second
	r, err := New(o, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for name, want := range map[string][2]End{
		"www": {EndAddresses, EndNoData}, "edge": {EndAddresses, EndNoData}, "dangling": {EndNoName, EndNoName}, "empty": {EndNoData, EndNoData},
		"gone": {EndNoName, EndNoName}, "broken": {EndFailed, EndFailed}, "circle": {EndLoop, EndLoop},
	} {
		c := r.Chain(t.Context(), name+".example.net.")
		if got := [2]End{c.IPv4.End, c.IPv6.End}; got != want {
			t.Errorf("%s: %v, %v", name, c.IPv4, c.IPv6)
		}
	}
	if c := r.Chain(t.Context(), "www.example.net."); len(c.IPv4.Links) != 3 || c.IPv4.Links[2].Data != net.IPv4(192, 0, 2, 1).String() {
		t.Errorf("www: %v", c.IPv4)
	}
}
