//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// resolvers are the real ones that go by our answers, each with the file of its configuration and its arguments for it.
var resolvers = []struct {
	program, config string
	args            func(dir string) []string
}{
	{"unbound", "unbound.conf", func(dir string) []string { return []string{"-d", "-c", dir + "/unbound.conf"} }},
	{"named", "named.conf", func(dir string) []string { return []string{"-g", "-n", "1", "-c", dir + "/named.conf"} }},
	{"pdns_recursor", "recursor.conf", func(dir string) []string { return []string{"--config-dir=" + dir} }},
	{"kresd", "kresd.conf", func(dir string) []string { return []string{"-n", "-c", dir + "/kresd.conf", dir} }},
}

// TestResolvers asks random questions through real resolvers, which find gtmd from the root on by themselves, minimise names and fill
// their caches: each answer is what the authoritative servers say when they are asked directly. GTMD_RESOLVER_QUESTIONS says how many
// questions each resolver gets.
func TestResolvers(t *testing.T) {
	programs := map[string]string{}
	for _, r := range resolvers {
		programs[r.program] = need(t, r.program)[r.program]
	}
	i := newIslandOfZones(t)
	n := count(t, "GTMD_RESOLVER_QUESTIONS", 10000)
	i.inside(t, "island", func() {
		random := rand.New(rand.NewPCG(1, uint64(n)))
		questions, direct := make([]dns.Question, n), make([]*outcome, n)
		known := map[dns.Question]*outcome{}
		for k := range questions {
			q := randomQuestion(random)
			if known[q] == nil {
				known[q] = i.resolve(t, q)
			}
			questions[k], direct[k] = q, known[q]
		}
		kinds := map[string]int{}
		for _, o := range direct {
			kinds[o.rcode]++
		}
		t.Logf("%d questions, %d of them different: %v", n, len(known), kinds)
		for k, r := range resolvers {
			ip := fmt.Sprintf("50.0.1.%d", k+1)
			i.address(t, ip+"/32")
			dir := filepath.Join(i.dir, r.program)
			if err := os.Mkdir(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			i.write(t, filepath.Join(r.program, r.config), fill(t, "island/"+r.config, map[string]string{
				"IP": ip, "Dir": dir, "Hints": filepath.Join(i.dir, "nsd/hints"),
			}))
			p := start(t, dir, programs[r.program], r.args(dir)...)
			i.answers(t, ip+":53", "origin.gtm.island")
			begin, wrong := time.Now(), 0
			for k, q := range questions {
				if problem := direct[k].differs(ip, q); problem != "" {
					if wrong++; wrong <= 10 {
						t.Errorf("%s: %s %s: %s", r.program, q.Name, dns.TypeToString[q.Qtype], problem)
					}
				}
			}
			t.Logf("%-14s %d questions, %d not as directly, %v", r.program, n, wrong, time.Since(begin).Round(time.Millisecond))
			p.end(t)
		}
	})
}

// randomQuestion asks for something that exists, nearly does, or does not.
func randomQuestion(r *rand.Rand) dns.Question {
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	names := []func() string{
		func() string { return fmt.Sprintf("host%d.gtm.island.", r.IntN(60)) },
		func() string { return fmt.Sprintf("chain%d.gtm.island.", r.IntN(35)) },
		func() string { return fmt.Sprintf("long%d.gtm.island.", r.IntN(25)) },
		func() string { return fmt.Sprintf("x%d.wild.gtm.island.", r.IntN(100)) },
		func() string { return fmt.Sprintf("a.b%d.wild.gtm.island.", r.IntN(100)) },
		func() string { return fmt.Sprintf("y%d.alias.wild.gtm.island.", r.IntN(100)) },
		func() string { return fmt.Sprintf("no%d.gtm.island.", r.IntN(1000)) },
		func() string { return fmt.Sprintf("no%d.host1.gtm.island.", r.IntN(1000)) },
		func() string { return fmt.Sprintf("no%d.origin.gtm.island.", r.IntN(1000)) },
		func() string { return fmt.Sprintf("z%d.wild.child.gtm.island.", r.IntN(100)) },
		func() string { return pick("origin.gtm.island.", "alias.gtm.island.", "gtm.island.", "cdn.island.") },
		func() string {
			return pick("", "an.", "empty.an.", "non.terminal.", "below.an.empty.") + pick("non.terminal.gtm.island.", "terminal.gtm.island.", "empty.non.terminal.gtm.island.")
		},
		func() string { return pick("www.cdn.island.", "direct.cdn.island.", "no.cdn.island.") },
		func() string {
			return pick("dangling", "out", "in", "exact.wild", "_sip._udp", "_udp", "svc", "caa", "big", "mail", "ns1", "*.wild", "wild", "sub-domain.xn--bcher-kva") + ".gtm.island."
		},
		func() string { return pick("", "www.", "back.", "no.", "a.wild.") + "child.gtm.island." },
	}
	types := []uint16{dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeMX, dns.TypeTXT, dns.TypeNS, dns.TypeSOA, dns.TypeSRV, dns.TypeHTTPS, dns.TypeCAA, 65280}
	return dns.Question{Name: names[r.IntN(len(names))](), Qtype: types[r.IntN(len(types))], Qclass: dns.ClassINET}
}

// outcome is what a question comes to: the code, the records of the whole chain in order, and the TTL that each may have at most.
type outcome struct {
	rcode   string
	records []string
	ttls    map[string]uint32
}

// outcomeOf is that of a reply.
func outcomeOf(m *dns.Msg) *outcome {
	o := &outcome{rcode: dns.RcodeToString[m.Rcode], ttls: map[string]uint32{}}
	o.add(m.Answer)
	return o
}

func (o *outcome) add(records []dns.RR) {
	for _, rr := range records {
		rr = dns.Copy(rr)
		ttl := rr.Header().Ttl
		rr.Header().Ttl = 0
		text := strings.ToLower(rr.String())
		if rr.Header().Rrtype == dns.TypeTXT {
			text = rr.String()
		}
		if _, known := o.ttls[text]; !known {
			o.records = append(o.records, text)
		}
		o.ttls[text] = ttl
	}
	slices.Sort(o.records)
}

// resolve asks the authoritative servers of the island as a resolver does, without a cache: it follows aliases and referrals.
func (i *island) resolve(t *testing.T, q dns.Question) *outcome {
	t.Helper()
	whole := &outcome{ttls: map[string]uint32{}}
	name := q.Name
	for range 16 {
		server := i.NS[len(whole.records)%2][0]
		if dns.IsSubDomain("child.gtm.island.", name) {
			server = i.Root[0][0]
		}
		m := new(dns.Msg).SetQuestion(name, q.Qtype)
		m.RecursionDesired = false
		r, err := consult(server, m.SetEdns0(1232, false))
		if err != nil {
			t.Fatalf("ask %s for %s directly: %v", server, name, err)
		}
		whole.rcode = dns.RcodeToString[r.Rcode]
		whole.add(r.Answer)
		last := name
		for alias := lastAlias(r.Answer, last, q.Qtype); alias != ""; alias = lastAlias(r.Answer, last, q.Qtype) {
			last = alias
		}
		ended := slices.ContainsFunc(r.Answer, func(rr dns.RR) bool {
			return rr.Header().Rrtype == q.Qtype && strings.EqualFold(rr.Header().Name, last)
		})
		soa := slices.ContainsFunc(r.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
		if ended || soa || last == name || whole.rcode != "NOERROR" {
			return whole
		}
		name = last
	}
	t.Fatalf("%s leads too far", q.Name)
	return nil
}

// lastAlias is where a name leads by the aliases of an answer; empty: nowhere, or it was the alias that was asked for.
func lastAlias(answer []dns.RR, name string, qtype uint16) string {
	for _, rr := range answer {
		if alias, is := rr.(*dns.CNAME); is && qtype != dns.TypeCNAME && strings.EqualFold(alias.Hdr.Name, name) {
			return alias.Target
		}
	}
	return ""
}

// differs says how a resolver's answer to a question is not the outcome; empty: it is.
func (o *outcome) differs(resolver string, q dns.Question) string {
	m := new(dns.Msg)
	m.Id, m.RecursionDesired, m.Question = dns.Id(), true, []dns.Question{q}
	r, err := consult(resolver, m.SetEdns0(1232, false))
	if err != nil {
		return err.Error()
	}
	got := outcomeOf(r)
	if got.rcode != o.rcode || !slices.Equal(got.records, o.records) {
		return fmt.Sprintf("%s %q, directly %s %q", got.rcode, got.records, o.rcode, o.records)
	}
	for text, ttl := range got.ttls {
		if ttl > o.ttls[text] {
			return fmt.Sprintf("TTL %d of %q, directly %d", ttl, text, o.ttls[text])
		}
	}
	return ""
}
