package node

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"gtmd/config"
	"gtmd/healthcheck"
	"gtmd/policy"
	"gtmd/server/view"
)

// The clients of the model: networks in which no generated configuration tells two clients apart, with their share of the family.
type modelClient struct {
	addr          netip.Addr
	share4, share float64
}

// modelNames are the names that generated configurations may have, and some around them.
var modelNames = []string{"a.gtm.test.", "b.gtm.test.", "c.gtm.test.", "www.gtm.test.", "wild.x.gtm.test.", "*.x.gtm.test.", "x.gtm.test.", "gtm.test.", "sub.gtm.test."}

// generated draws pieces of a configuration, each from a generator of its own so that two configurations can share some of them.
type generated struct {
	random func(piece string) *rand.Rand
}

// text is a configuration; dir gets its zone file.
func (g generated) text(t *testing.T, dir string) string {
	var b strings.Builder
	r := g.random("zone")
	var records strings.Builder
	for _, name := range []string{"www", "a", "*.x", "wild.x", "c"} {
		switch r.IntN(5) {
		case 0:
			fmt.Fprintf(&records, "%s %d A 192.0.2.%d\n", name, 60*(1+r.IntN(2)), r.IntN(3))
		case 1:
			fmt.Fprintf(&records, "%s 60 TXT \"%d\"\n", name, r.IntN(3))
		case 2:
			fmt.Fprintf(&records, "%s 60 CNAME www\n", name)
		}
	}
	if r.IntN(3) == 0 {
		fmt.Fprintf(&records, "sub 60 NS ns%d.example.net.\n", r.IntN(2))
	}
	zone := records.String()
	g.access(&b, &zone)
	path := filepath.Join(dir, "zone")
	if err := os.WriteFile(path, []byte(zone), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("[[zone]]\nname = \"gtm.test\"\nnameservers = [\"ns.example.net\"]\ncontact = \"h@gtm.test\"\nfile = %q\n", path) + b.String()
}

// access writes lines, pools and instances. A name of an instance has no records in the zone.
func (g generated) access(b *strings.Builder, zone *string) {
	r := g.random("lines")
	var taken []string
	for _, line := range []string{"l1", "l2", "l3"} {
		var prefixes []string
		for range 1 + r.IntN(3) {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(r.IntN(64)) << 2}), r.IntN(7)).Masked()
			if r.IntN(2) == 0 {
				p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x24 | byte(r.IntN(2))<<3 | byte(r.IntN(4)), byte(r.IntN(2)) << 7}), 5+r.IntN(5)).Masked()
			}
			if text := fmt.Sprintf("%q", p); !slices.Contains(taken, text) {
				prefixes, taken = append(prefixes, text), append(taken, text)
			}
		}
		if len(prefixes) == 0 {
			prefixes = []string{map[string]string{"l1": `"12.0.0.0/6"`, "l2": `"16.0.0.0/5"`, "l3": `"16.0.0.0/6"`}[line]}
		}
		fmt.Fprintf(b, "[[geo.line]]\nname = %q\nprefixes = [%s]\n", line, strings.Join(prefixes, ", "))
	}
	fmt.Fprint(b, "[[health_check]]\nname = \"web\"\nprotocol = \"http\"\n")
	for i, kind := range []string{"ipv4", "ipv4", "ipv4", "ipv6", "domain"} {
		r := g.random(fmt.Sprint("pool", i))
		var addresses []string
		for a := range 1 + r.IntN(3) {
			text := map[string]string{"ipv4": fmt.Sprintf("192.0.2.%d", 1+(a+r.IntN(2))%4), "ipv6": fmt.Sprintf("2001:db8::%d", 1+a), "domain": fmt.Sprintf("n%d.example.net", a+r.IntN(2))}[kind]
			entry := fmt.Sprintf("{ address = %q, weight = %d }", text, r.IntN(3))
			if !slices.ContainsFunc(addresses, func(e string) bool { return strings.Contains(e, text+`"`) }) {
				addresses = append(addresses, entry)
			}
		}
		balance := []string{"all", "weight", "sequence", "sticky"}[r.IntN(4)]
		if kind == "domain" {
			balance = "weight"
		}
		check := "health_check = \"web\"\n"
		if kind == "domain" {
			check = ""
		}
		fmt.Fprintf(b, "[[pool]]\nname = \"p%d\"\ntype = %q\nbalance = %q\n%saddresses = [%s]\n", i, kind, balance, check, strings.Join(addresses, ", "))
	}
	for i, name := range []string{"a", "b", "c"} {
		r := g.random("instance " + name)
		if r.IntN(4) == 0 {
			continue
		}
		*zone = without(*zone, name)
		alias := ""
		if i == 1 && r.IntN(2) == 0 {
			alias = "aliases = [\"www.gtm.test\"]\n"
			*zone = without(*zone, "www")
			*zone = strings.ReplaceAll(*zone, "CNAME www", "CNAME www.example.net.")
		}
		ttl := 30 * (1 + r.IntN(2))
		fmt.Fprintf(b, "[[instance]]\nname = %q\naccess_domain = \"%s.gtm.test\"\nttl = %d\nunmatched = \"nodata\"\n%s", name, name, ttl, alias)
		free := []string{"l1", "l2", "l3"}
		for p := range 1 + r.IntN(3) {
			sources := []string{"global"}
			if p > 0 {
				sources = free[:1]
				free = free[1:]
			}
			pools := []string{"p0", "p1", "p2", "p3"}
			if r.IntN(5) == 0 {
				pools = []string{"p4"}
			}
			set := func() string {
				var refs []string
				for range 1 + r.IntN(2) {
					name := pools[r.IntN(len(pools))]
					if ref := fmt.Sprintf("{ pool = %q, weight = %d }", name, 1+r.IntN(2)); !strings.Contains(strings.Join(refs, ""), name) {
						refs = append(refs, ref)
					}
				}
				more := ""
				balance := []string{"all", "weight", "sequence", "sticky"}[r.IntN(4)]
				if pools[0] == "p4" {
					balance = "weight"
				}
				if balance == "all" && r.IntN(3) == 0 {
					more = ", max_answers = 1"
				}
				more += []string{"", "", ", min_available = \"50%\"", ", min_available = \"100%\""}[r.IntN(4)]
				return fmt.Sprintf("{ pools = [%s], balance = %q%s }", strings.Join(refs, ", "), balance, more)
			}
			fmt.Fprintf(b, "[[instance.policy]]\nname = \"P%d\"\nsources = [%q]\nprimary = %s\n", p, sources[0], set())
			if r.IntN(2) == 0 {
				fmt.Fprintf(b, "backup = %s\n", set())
				fmt.Fprint(b, []string{"", "switch = \"primary\"\n", "failback = \"manual\"\n", "failback_delay = \"1m\"\n"}[r.IntN(4)])
			}
			if r.IntN(5) == 0 {
				fmt.Fprint(b, "when_all_down = \"empty\"\n")
			}
			if p > 0 && r.IntN(2) == 0 {
				fmt.Fprint(b, "fall_through = true\n")
			}
		}
	}
}

// without takes the records of a name out of a zone.
func without(zone, name string) string {
	lines := strings.SplitAfter(zone, "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, name+" ") })
	return strings.Join(lines, "")
}

// modelClients are one client of every network that lines may tell from others.
func modelClients() []modelClient {
	var all []modelClient
	for i := range 64 {
		all = append(all, modelClient{addr: netip.AddrFrom4([4]byte{byte(i << 2), 1}), share4: 1.0 / 64})
	}
	const holding = 1.0/(1<<13) + 1.0/(1<<29)
	for i := range 128 { // of ten bits, seven below 2000::/3
		addr := netip.AddrFrom16([16]byte{0x20 | byte(i>>2), byte(i<<6) | 0x3f})
		share := 1.0 / 128
		if i == 0 {
			share -= holding
		}
		all = append(all, modelClient{addr: addr, share: share / (1 - holding)})
	}
	return all
}

// law is what a client gets, as a distribution: every answer with its likelihood; the TTL beside it; and whether there is a record of the
// type that was asked for.
func law(t *testing.T, w *world, name string, qtype uint16, client netip.Addr) (law string, ttl uint32, is bool) {
	t.Helper()
	found, err := w.view.Explain(view.Question{Name: name, Type: qtype, Source: client})
	if err != nil {
		t.Fatal(err)
	}
	// Of access domains these two types are told, and what a wildcard covers is told of the wildcard.
	isOther := found.Found == "covered by a wildcard" || found.Instance != nil && qtype != dns.TypeA && qtype != dns.TypeAAAA
	told := found.Reply.Answer
	if !found.Reply.Authoritative {
		told = found.Reply.Ns
	}
	is = !isOther && slices.ContainsFunc(told, func(rr dns.RR) bool { return rr.Header().Rrtype == qtype })
	if len(found.Reply.Answer) > 0 {
		ttl = found.Reply.Answer[0].Header().Ttl
	}
	if found.Block == nil || len(found.Block.Answer.Groups) == 0 {
		var records []string
		for _, rr := range slices.Concat(found.Reply.Answer, found.Reply.Ns) {
			if rr.Header().Rrtype == dns.TypeSOA {
				continue
			}
			rr = dns.Copy(rr)
			rr.Header().Ttl = 0
			records = append(records, rr.String())
		}
		slices.Sort(records)
		return dns.RcodeToString[found.Reply.Rcode] + strings.Join(records, "|"), ttl, is
	}
	likely := map[string]float64{}
	total := 0.0
	for _, g := range found.Block.Answer.Groups {
		total += float64(g.Weight)
	}
	for _, g := range found.Block.Answer.Groups {
		part := float64(g.Weight) / total
		sum := 0.0
		for _, r := range g.Records {
			sum += float64(r.Weight)
		}
		most := len(g.Records)
		if g.MaxAnswers > 0 {
			most = min(most, g.MaxAnswers)
		}
		for i, r := range g.Records {
			switch {
			case g.Balance == policy.BalanceAll:
				var set []string
				for k := range most {
					set = append(set, g.Records[(i+k)%len(g.Records)].Address.Name)
				}
				slices.Sort(set)
				likely[strings.Join(set, " ")] += part / float64(len(g.Records))
			case g.Balance == policy.BalanceSticky && len(g.Records) > 1:
				likely["sticky "+r.Address.Name] += part * float64(r.Weight) / sum
			default:
				likely[r.Address.Name] += part * float64(r.Weight) / sum
			}
		}
	}
	var texts []string
	for answer, share := range likely {
		texts = append(texts, fmt.Sprintf("%s %.9f", answer, share))
	}
	slices.Sort(texts)
	return strings.Join(texts, "|"), ttl, is
}

// TestDiffModel holds the difference of random configurations against asking both for every client.
func TestDiffModel(t *testing.T) {
	t.Parallel()
	clients := modelClients()
	types := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeCNAME, dns.TypeNS, dns.TypeSOA}
	changed, compared := 0, 0
	for seed := range uint64(40) {
		base := func(piece string, salt uint64) *rand.Rand {
			sum := seed
			for _, c := range piece {
				sum = sum*131 + uint64(c)
			}
			return rand.New(rand.NewPCG(sum, salt))
		}
		before := generated{func(piece string) *rand.Rand { return base(piece, 1) }}
		after := generated{func(piece string) *rand.Rand {
			if base(piece, 2).IntN(3) == 0 {
				return base(piece, 3)
			}
			return base(piece, 1)
		}}
		var worlds [2]*world
		verdicts := statusOf("192.0.2.1+", "192.0.2.2-", "192.0.2.3+", "192.0.2.4-", "2001:db8::1-")
		for i, g := range []generated{before, after} {
			text := g.text(t, t.TempDir())
			c, err := config.LoadText("gtmd.toml", []byte(text))
			if err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, text)
			}
			prober := healthcheck.NewProber()
			defer prober.Close()
			p, err := compile(c, prober, newAtlas(), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if worlds[i], err = first(p, verdicts, heritage{}, 1, nil, at(0)); err != nil {
				t.Fatal(err)
			}
		}
		d := worlds[0].difference(worlds[1], at(0))
		got := map[string]int{}
		for i, n := range d.Names {
			got[n.Name+" "+n.Type] = i
		}
		for _, name := range modelNames {
			for _, qtype := range types {
				var share4, share6 float64
				isOtherTTL, answers := false, [2]bool{}
				for _, client := range clients {
					x, ttlX, isX := law(t, worlds[0], name, qtype, client.addr)
					y, ttlY, isY := law(t, worlds[1], name, qtype, client.addr)
					answers[0], answers[1] = answers[0] || isX, answers[1] || isY
					if x != y {
						share4, share6 = share4+client.share4, share6+client.share
					} else if ttlX != ttlY {
						isOtherTTL = true
					}
				}
				key := name + " " + dns.Type(qtype).String()
				i, is := got[key]
				delete(got, key)
				compared++
				if !answers[0] && !answers[1] && !is {
					continue // there are no records of the type on either side: that is told of other types, if at all
				}
				if want := share4+share6 > 0 || isOtherTTL; is != want {
					t.Fatalf("seed %d: %s: listed %t, want %t", seed, key, is, want)
				}
				if !is {
					continue
				}
				changed++
				n := d.Names[i]
				if math.Abs(n.ShareIPv4-share4) > 1e-9 || math.Abs(n.ShareIPv6-share6) > 1e-9 {
					t.Fatalf("seed %d: %s: %v of IPv4, %v of IPv6, want %v and %v: %v", seed, key, n.ShareIPv4, n.ShareIPv6, share4, share6, n)
				}
				if isOtherTTL != (n.Note != "") {
					t.Fatalf("seed %d: %s: note %q, other TTL: %t", seed, key, n.Note, isOtherTTL)
				}
				for _, e := range n.Examples {
					addr := netip.MustParsePrefix(e.Client).Addr()
					if addr.Is6() && netip.MustParsePrefix(e.Client).Bits() < 3 {
						addr = netip.MustParseAddr("2000::")
					}
					x, _, _ := law(t, worlds[0], name, qtype, addr)
					y, _, _ := law(t, worlds[1], name, qtype, addr)
					if x == y {
						t.Fatalf("seed %d: %s: example %s gets the same as before: %s", seed, key, e.Client, x)
					}
				}
			}
		}
		for key := range got {
			if !strings.HasSuffix(key, "RRSIG") {
				t.Fatalf("seed %d: %s is listed", seed, key)
			}
		}
	}
	if changed < 100 || changed == compared {
		t.Fatalf("%d of %d names and types are others: the test shows nothing", changed, compared)
	}
}
