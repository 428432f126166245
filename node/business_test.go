package node_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"gtmd/admin"
	"gtmd/node"
)

// internet is a recursive DNS server with all the records that there are.
type internet struct {
	address string

	mu      sync.Mutex // guards all below
	records []dns.RR
	isDown  bool
}

func startInternet(t *testing.T, records string) *internet {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i := &internet{address: conn.LocalAddr().String()}
	i.set(t, records)
	server := &dns.Server{PacketConn: conn, Handler: i}
	var running sync.WaitGroup
	running.Go(func() { server.ActivateAndServe() })
	t.Cleanup(func() {
		conn.Close()
		running.Wait()
	})
	return i
}

// set replaces all records, written as in a zone file.
func (i *internet) set(t *testing.T, records string) {
	t.Helper()
	var all []dns.RR
	parser := dns.NewZoneParser(strings.NewReader(records), ".", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		all = append(all, rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.records = all
}

func (i *internet) fail(isDown bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.isDown = isDown
}

func (i *internet) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	i.mu.Lock()
	defer i.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	if i.isDown {
		m.Rcode = dns.RcodeServerFailure
		w.WriteMsg(m)
		return
	}
	name := dns.CanonicalName(q.Question[0].Name)
	for isDone := false; !isDone; {
		isDone = true
		m.Rcode = dns.RcodeNameError
		for _, rr := range i.records {
			if rr.Header().Name != name {
				continue
			}
			m.Rcode = dns.RcodeSuccess
			if alias, isAlias := rr.(*dns.CNAME); isAlias && isDone {
				m.Answer, name, isDone = append(m.Answer, rr), alias.Target, false
				break
			} else if rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
	}
	w.WriteMsg(m)
}

// checked is the part of a configuration that has business domains checked every second.
func (i *internet) checked(more string) string {
	return fmt.Sprintf("[resolver]\nservers = [%q]\nmin_ttl = \"1s\"\nattempts = 1\n[business]\ncheck_interval = \"1s\"\n%s", i.address, more)
}

// standings are the states of the business domains with the reasons.
func standings(n *node.Node) string {
	var all []string
	for _, s := range n.BusinessDomains() {
		all = append(all, fmt.Sprintf("%s %s %s: %s", s.Instance, s.Domain, s.State, s.Reason))
	}
	return strings.Join(all, "\n")
}

// TestBusinessDomains follows business domains of a running node: not there, right, a loop, no resolver, gone.
func TestBusinessDomains(t *testing.T) {
	t.Parallel()
	const cdn = "www.shop.test. 300 CNAME www.shop.test.cdn.test.\nwww.shop.test.cdn.test. 60 CNAME edge.cdn.test.\nedge.cdn.test. 20 A 192.0.2.80\n"
	s, i := newSite(t, 2), startInternet(t, "shop.test. 60 A 192.0.2.1\nshop.test. 60 SOA ns.shop.test. root.shop.test. 1 60 60 60 60")
	with := func(domains string) string {
		return strings.Replace(instance, "ttl = 5", "ttl = 5\nbusiness_domains = ["+domains+"]", 1)
	}
	n := s.start(header, i.checked("except = [\"old.shop.test\"]\n"), pools, with(`"www.shop.test", "old.shop.test"`))
	const excepted = "cdn-origin old.shop.test not_asked: it is not checked: [business] except lists it\n"
	eventually(t, excepted+"cdn-origin www.shop.test not_configured: www.shop.test does not exist (NXDOMAIN from "+i.address+"): make it a CNAME record to the name that the CDN gave for it",
		func() string { return standings(n) })
	series := func(metricName, domain string) string {
		return metric(t, n, fmt.Sprintf(`%s{domain=%q,instance="cdn-origin"}`, metricName, domain))
	}
	equal(t, "metric", series("gtmd_business_domain_configured", "www.shop.test"), "0")
	equal(t, "metric of one that is not checked", series("gtmd_business_domain_configured", "old.shop.test"), "absent")

	i.set(t, cdn)
	eventually(t, excepted+"cdn-origin www.shop.test configured: it leads to the CDN name www.shop.test.cdn.test", func() string { return standings(n) })
	equal(t, "metric", series("gtmd_business_domain_configured", "www.shop.test"), "1")
	if at := series("gtmd_business_domain_last_check_timestamp_seconds", "www.shop.test"); at == "absent" || at == "0" {
		t.Errorf("last check at %s", at)
	}
	chain := func(all []admin.ChainLink) string {
		text := ""
		for _, l := range all {
			text += fmt.Sprintf("%s %d %s %s (%s); ", l.Name, l.TTL, l.Type, l.Data, l.Note)
		}
		return text
	}
	equal(t, "chain", chain(n.BusinessDomains()[1].Chain),
		"www.shop.test 300 CNAME www.shop.test.cdn.test (business domain of cdn-origin); www.shop.test.cdn.test 60 CNAME edge.cdn.test (CDN name); edge.cdn.test 20 A 192.0.2.80 (); ")

	// The CDN's name leads back to us. Who asks gets the state as it is now, and that is the state from then on.
	i.set(t, "www.shop.test. 300 CNAME www.shop.test.cdn.test.\nwww.shop.test.cdn.test. 60 CNAME origin.gtm.test.\norigin.gtm.test. 5 A 192.0.2.1\n")
	got, err := n.Chain(t.Context(), "WWW.shop.test")
	if err != nil || got.State != admin.NotConfigured || !got.Loop || got.Instance != "cdn-origin" {
		t.Errorf("chain: %+v, %v", got, err)
	}
	equal(t, "chain", chain(got.Chain),
		"www.shop.test 300 CNAME www.shop.test.cdn.test (business domain of cdn-origin); www.shop.test.cdn.test 60 CNAME origin.gtm.test (CDN name); origin.gtm.test 5 A 192.0.2.1 (access domain of cdn-origin); ")
	equal(t, "state", n.BusinessDomains()[1].State, admin.NotConfigured)

	// Any other name can be asked for.
	other, err := n.Chain(t.Context(), "origin.gtm.test.")
	if err != nil || other.State != admin.ConfigNone || other.Instance != "" || other.Reason != "it is no business domain of the configuration: it ends in addresses" {
		t.Errorf("chain of an access domain: %+v, %v", other, err)
	}
	for _, bad := range []string{"", "a..b", "www shop", "www.b\u00fccher.test", strings.Repeat("a", 64)} {
		if _, err := n.Chain(t.Context(), bad); err == nil {
			t.Errorf("the chain of %q is no error", bad)
		}
	}

	i.fail(true)
	eventually(t, excepted+"cdn-origin www.shop.test not_configured: "+got.Reason+"; the last check failed: SERVFAIL from "+i.address, func() string { return standings(n) })
	eventually(t, excepted+"cdn-origin www.shop.test unknown: SERVFAIL from "+i.address, func() string { return standings(n) })
	equal(t, "metric", series("gtmd_business_domain_configured", "www.shop.test"), "absent")

	// Another file: without that domain, with the apex of its zone.
	i.fail(false)
	i.set(t, cdn+"shop.test. 60 A 192.0.2.1\nshop.test. 60 SOA ns.shop.test. root.shop.test. 1 60 60 60 60")
	if err := s.reload(n, header, i.checked(""), pools, with(`"shop.test"`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "cdn-origin shop.test not_configured: shop.test has no CNAME record but plain addresses, 192.0.2.1: it is the apex of its zone, which cannot have a CNAME record. "+
		"Redirect its users to a name that can, such as www.shop.test; if its provider follows the CDN for it (ALIAS, ANAME), list it in [business] except", func() string { return standings(n) })
	if lines := s.log.lines("business domain"); len(lines) < 4 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[1], "level=INFO") {
		t.Errorf("the log says\n%s", strings.Join(lines, ""))
	}
}

// TestBusinessEnds: a node that waits for resolvers which do not answer ends at once.
func TestBusinessEnds(t *testing.T) {
	t.Parallel()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := newSite(t, 2)
	n := s.start(header, fmt.Sprintf("[resolver]\nservers = [%q]\ntimeout = \"30s\"\n", silent.LocalAddr()), pools,
		strings.Replace(instance, "ttl = 5", "ttl = 5\nbusiness_domains = [\"www.shop.test\"]", 1))
	if _, _, err := silent.ReadFrom(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { n.Close(); close(ended) }()
	eventually(t, "ended", func() string {
		select {
		case <-ended:
			return "ended"
		default:
			return "still runs"
		}
	})
	equal(t, "state", standings(n), "cdn-origin www.shop.test not_asked: it has not been resolved yet")
}

// TestAskers: who asks a running node for an access domain is told, also after a reload that gives its instance another place.
func TestAskers(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.put("city.mmdb", worldIn(t, "US"))
	database := "[geo]\ndatabases = [\"$DIR/city.mmdb\"]\n"
	n := s.start(database, header, pools, instance)
	list := func(instance string) string {
		all, err := n.Askers(instance)
		if err != nil {
			return err.Error()
		}
		text := fmt.Sprint(len(all.Askers), all.Forgotten)
		for _, a := range all.Askers {
			text += fmt.Sprintf("; %s %s %v %v %v %s", a.Instance, a.Address, a.Last.IsZero(), a.Subnet, a.Proven, a.Facts)
		}
		return text
	}
	const series = `gtmd_access_domain_last_query_timestamp_seconds{instance="cdn-origin"}`
	equal(t, "at first", list(""), "0 false")
	equal(t, "metric", metric(t, n, series), "0")
	if _, err := ask(n, name, dns.TypeA, "10.1.2.0/24"); err != nil {
		t.Fatal(err)
	}
	const asked = "; cdn-origin 127.0.0.1 false true false JP JP-13"
	equal(t, "asked", list("cdn-origin"), "1 false"+asked)
	if at := metric(t, n, series); at == "0" || at == "absent" {
		t.Errorf("the access domain was last asked for at %s", at)
	}
	equal(t, "no such instance", list("x"), `there is no instance "x"`)

	other := strings.NewReplacer(`"cdn-origin"`, `"other"`, "origin.gtm.test", "other.gtm.test").Replace(instance)
	if err := s.reload(n, database, header, pools, other, instance); err != nil {
		t.Fatal(err)
	}
	equal(t, "after a reload", list("cdn-origin"), "1 false"+asked)
	equal(t, "the other one", list("other"), "0 false")
	if err := s.reload(n, database, header, pools, other); err != nil {
		t.Fatal(err)
	}
	equal(t, "of an instance that is gone", list(""), "0 false")
	equal(t, "metric", metric(t, n, series), "absent")
}
