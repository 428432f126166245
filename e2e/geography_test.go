//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	relayIP = "127.0.0.15"
	cacheIP = "127.0.0.16"
)

// places are where the pools of testdata/geography.toml stand that nearest and latency choose among: what the
// configuration says, and where that is.
var places = []struct {
	TOML  string
	point point
}{
	{`{ latitude = 35.7, longitude = 139.7 }`, point{35.7, 139.7}},   // Tokyo
	{`"CN-GD"`, point{23.1, 113.3}},                                  // Guangzhou
	{`{ latitude = 50.1, longitude = 8.7 }`, point{50.1, 8.7}},       // Frankfurt
	{`{ latitude = 37.4, longitude = -122.1 }`, point{37.4, -122.1}}, // California
	{`{ latitude = -23.5, longitude = -46.6 }`, point{-23.5, -46.6}}, // São Paulo
	{`{ place = "AU" }`, point{-33.9, 151.2}},                        // Sydney
	{`"ZA"`, point{-26.2, 28.0}},                                     // Johannesburg
}

// latencies are the milliseconds between a source and each of the places. No two of a row are equal, so that there is one
// fastest pool.
var latencies = []struct {
	from string
	ms   [7]int
}{
	{"global", [7]int{170, 190, 40, 110, 220, 260, 180}},
	{"os_asia", [7]int{50, 60, 180, 130, 300, 120, 250}},
	{"internal", [7]int{55, 20, 200, 150, 320, 140, 260}},
	{"telecom", [7]int{45, 46, 160, 150, 320, 140, 260}},
	{"cn_unicom_guangdong", [7]int{60, 5, 210, 150, 330, 140, 270}},
	{"country:JP", [7]int{5, 50, 230, 100, 260, 130, 300}},
	{"os_namerica", [7]int{110, 150, 90, 30, 120, 150, 230}},
	{"os_samerica", [7]int{260, 300, 200, 150, 10, 290, 310}},
	{"os_oceanica", [7]int{110, 120, 250, 140, 290, 12, 240}},
	{"os_africa", [7]int{300, 260, 150, 280, 310, 270, 20}},
	{"office", [7]int{80, 81, 9, 82, 83, 84, 85}},
}

// visit is one question of a client. The client is an address and how many bits of it its resolver gives away.
type visit struct {
	client netip.Prefix
	name   string
	kind   uint16 // dns.TypeA or dns.TypeAAAA
}

func (v visit) String() string {
	return fmt.Sprintf("%s %s for %v", v.name, dns.TypeToString[v.kind], v.client)
}

// given is what a resolver gives away of the client; whole is all of its address.
func given(v visit) netip.Prefix { return v.client.Masked() }
func whole(v visit) netip.Prefix { return netip.PrefixFrom(v.client.Addr(), v.client.Addr().BitLen()) }

// reply is what a visit got.
type reply struct {
	answer string // addresses with a space between
	scope  int
}

// geography is a lab with databases, and what clients all over the world get in it.
type geography struct {
	*lab
	atlas   *atlas
	unbound string
	random  *rand.Rand
	nets    []netip.Prefix // of the databases and of the lines
	visits  []visit
	// What gtmd itself replies to each visit, by the subnet that is given away and by the whole address.
	given, whole []reply
}

// TestGeographyThroughCache sends clients from all over a made-up world to a resolver that keeps answers by client subnet
// (RFC 7871), and asks gtmd itself for each of them as well: the answers are the same. A scope that is too wide would let
// the resolver serve one client what it has learned for another, and the test shows that it notices when one is, by a
// single bit.
func TestGeographyThroughCache(t *testing.T) {
	programs := need(t, "unbound")
	if !knowsSubnets(t, programs["unbound"]) {
		if os.Getenv("GTMD_E2E_REQUIRE") == "1" {
			t.Fatal("this unbound has no subnetcache module, and GTMD_E2E_REQUIRE is 1")
		}
		t.Skip("this unbound has no subnetcache module")
	}
	g := &geography{lab: newLab(t, names{access: "lines.gtm.test", zone: "gtm.test."}), unbound: programs["unbound"]}
	g.random = rand.New(rand.NewPCG(7871, 3))
	g.atlas = newAtlas(t, 20000)
	write(t, g.atlas.city, filepath.Join(g.dir, "city.mmdb"))
	write(t, g.atlas.asn, filepath.Join(g.dir, "asn.mmdb"))
	g.write(t, "latency.csv", latencyTable())
	g.write(t, "gtmd.toml", fill(t, "geography.toml", map[string]any{
		"GTMD": g.GTMD, "Admin": g.Admin, "Socket": g.Socket, "Dir": g.dir, "Places": places,
	}))
	g.nets = slices.Clone(g.atlas.networks)
	for _, line := range []string{
		"36.10.0.0/16", "2a00:1000::/24", "36.10.64.0/20", "36.10.77.0/26", "103.7.7.7/32", "2a00:10ff:8000::/36", "5.5.0.0/17",
		"103.200.3.0/25", "2600:55::/32",
	} {
		for range 20 { // as popular as twenty networks of a database
			g.nets = append(g.nets, netip.MustParsePrefix(line))
		}
	}
	g.startGTMD(t)
	for range 10000 {
		client := g.client()
		for _, name := range []string{"lines.gtm.test", "nearest.gtm.test", "latency.gtm.test"} {
			kind := []uint16{dns.TypeA, dns.TypeAAAA}[g.random.IntN(2)]
			g.visits = append(g.visits, visit{client, name, kind})
		}
	}

	g.given, g.whole = g.askAll(t, g.GTMD, g.visits, given), g.askAll(t, g.GTMD, g.visits, whole)
	for _, s := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"every policy and pool answers somebody", g.testVariety},
		{"everybody gets what the databases say", g.testModel},
		{"the cache and gtmd agree", g.testCache},
		{"the scope is the widest", g.testScopes},
		{"a scope one bit too wide is noticed", g.testTooWide},
	} {
		t.Run(s.name, s.run)
	}
}

// latencyTable is latencies as a file.
func latencyTable() string {
	var b strings.Builder
	b.WriteString("from,pool,ms\n")
	for _, row := range latencies {
		for i, ms := range row.ms {
			fmt.Fprintf(&b, "%[1]s,near%[2]d,%[3]d\n%[1]s,six%[2]d,%[3]d\n", row.from, i, ms)
		}
	}
	return b.String()
}

// client chooses a client: half of them of each family; in a network that something is known of, at its edges, or anywhere;
// one IPv6 client in six holds an IPv4 address.
func (g *geography) client() netip.Prefix {
	v4, embedded := g.random.IntN(2) == 0, g.random.IntN(6) == 0
	a := g.somewhere(v4 || embedded)
	if !v4 && embedded {
		a = embeddings[g.random.IntN(len(embeddings))](a)
	}
	if v4 {
		return netip.PrefixFrom(a, 24+g.random.IntN(9))
	}
	return netip.PrefixFrom(a, []int{48, 56, 60, 64, 96, 128, 48 + g.random.IntN(81)}[g.random.IntN(7)])
}

// somewhere is an address of a family.
func (g *geography) somewhere(v4 bool) netip.Addr {
	if g.random.IntN(6) == 0 {
		unicast := netip.MustParsePrefix("2000::/3")
		if v4 {
			unicast = netip.MustParsePrefix("0.0.0.0/0")
		}
		return within(g.random, unicast)
	}
	p := g.nets[g.random.IntN(len(g.nets))]
	for p.Addr().Is4() != v4 {
		p = g.nets[g.random.IntN(len(g.nets))]
	}
	switch g.random.IntN(12) {
	case 0:
		return p.Addr()
	case 1:
		return last(p)
	case 2:
		return p.Addr().Prev()
	case 3:
		return last(p).Next()
	}
	return within(g.random, p)
}

// askAll asks a server for every visit, in the order of visits but several at a time, and returns what each of them got.
func (g *geography) askAll(t *testing.T, server string, visits []visit, subnet func(visit) netip.Prefix) []reply {
	t.Helper()
	replies := make([]reply, len(visits))
	const workers = 4
	var running sync.WaitGroup
	for w := range workers {
		running.Go(func() {
			conn, err := net.Dial("udp", server)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			for i := w; i < len(visits) && !t.Failed(); i += workers {
				if replies[i], err = askFor(conn, visits[i], subnet(visits[i])); err != nil {
					t.Errorf("%s, asked for %v with %v: %v", server, visits[i], subnet(visits[i]), err)
				}
			}
		})
	}
	running.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return replies
}

// askFor asks one question with a client subnet.
func askFor(conn net.Conn, v visit, subnet netip.Prefix) (reply, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(v.name), v.kind)
	q.SetEdns0(1232, false)
	option := &dns.EDNS0_SUBNET{
		Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(subnet.Bits()), Address: subnet.Addr().AsSlice(),
	}
	if subnet.Addr().Is6() {
		option.Family = 2
	}
	q.IsEdns0().Option = append(q.IsEdns0().Option, option)
	client := dns.Client{Timeout: 10 * time.Second}
	m, _, err := client.ExchangeWithConn(q, &dns.Conn{Conn: conn})
	if err != nil {
		return reply{}, err
	}
	r := reply{answer: strings.Join(addresses(m), " ")}
	if m.Rcode != dns.RcodeSuccess || r.answer == "" {
		return r, fmt.Errorf("the answer is %s with no address", dns.RcodeToString[m.Rcode])
	}
	opt := m.IsEdns0()
	if opt == nil || len(opt.Option) != 1 {
		return r, fmt.Errorf("the reply has no client subnet")
	}
	echo, ok := opt.Option[0].(*dns.EDNS0_SUBNET)
	if !ok || echo.Family != option.Family || echo.SourceNetmask != option.SourceNetmask || !echo.Address.Equal(option.Address) {
		return r, fmt.Errorf("the reply has %v, want the client subnet of the question", opt.Option[0])
	}
	r.scope = int(echo.SourceScope)
	return r, nil
}

// testVariety guards the others against a world in which everybody gets the same.
func (g *geography) testVariety(t *testing.T) {
	seen := map[string]map[string]int{}
	for i, v := range g.visits {
		if seen[v.name] == nil {
			seen[v.name] = map[string]int{}
		}
		seen[v.name][g.whole[i].answer]++
	}
	for name, want := range map[string]int{"lines.gtm.test": 2 * 15, "nearest.gtm.test": 2 * 7, "latency.gtm.test": 2 * 7} {
		if len(seen[name]) != want {
			t.Errorf("%s has %d different answers, want %d: %v", name, len(seen[name]), want, seen[name])
		}
		rarest := slices.Min(slices.Collect(maps.Values(seen[name])))
		t.Logf("%s: %d answers, the rarest for %d clients", name, len(seen[name]), rarest)
	}
}

// testCache asks the cache twice for everybody, each time in another order: what it says is what gtmd says. The second time
// it knows everything.
func (g *geography) testCache(t *testing.T) {
	cache := g.startCache(t, g.GTMD)
	for pass := range 2 {
		order := g.random.Perm(len(g.visits))
		before := g.metric(t, "gtmd_answers_total")
		begin := time.Now()
		wrong, fine := g.compare(t, cache, order)
		asked := int(g.metric(t, "gtmd_answers_total") - before)
		for _, w := range wrong[:min(5, len(wrong))] {
			t.Error(w)
		}
		t.Logf("pass %d: %d questions in %v, %d answered from the cache, %d wrong; for %d what the resolver gives away tells as much as the whole address",
			pass+1, len(order), time.Since(begin).Round(time.Millisecond), len(order)-asked, len(wrong), fine)
		if cached := len(order) - asked; pass == 0 && cached < len(order)/10 || pass == 1 && asked > 0 {
			t.Errorf("pass %d: gtmd was asked %d times for %d questions: the cache proves nothing", pass+1, asked, len(order))
		}
	}
}

// compare asks a resolver for some visits, by their index, and returns those that it answers otherwise than gtmd. A client is
// fine when the scope for its whole address is no longer than what its resolver gives away: then the answer must also be
// that for its whole address.
func (g *geography) compare(t *testing.T, resolver string, order []int) (wrong []string, fine int) {
	t.Helper()
	visits := make([]visit, len(order))
	for i, n := range order {
		visits[i] = g.visits[n]
	}
	for i, got := range g.askAll(t, resolver, visits, given) {
		v, want := visits[i], g.given[order[i]]
		if got.answer != want.answer {
			wrong = append(wrong, fmt.Sprintf("%v: the cache answers %s, gtmd %s with scope %d", v, got.answer, want.answer, want.scope))
			continue
		}
		if all := g.whole[order[i]]; all.scope <= v.client.Bits() {
			fine++
			if got.answer != all.answer {
				wrong = append(wrong, fmt.Sprintf("%v: the cache answers %s, gtmd for the whole address %s with scope %d",
					v, got.answer, all.answer, all.scope))
			}
		}
	}
	return wrong, fine
}

// startCache runs unbound in front of an authority and returns its address.
func (g *geography) startCache(t *testing.T, authority string) string {
	t.Helper()
	host, _, err := net.SplitHostPort(authority)
	if err != nil {
		t.Fatal(err)
	}
	cache := net.JoinHostPort(cacheIP, freePort(t, cacheIP))
	config := g.write(t, "cache-"+portOf(cache)+".conf", fill(t, "cache.conf", map[string]any{
		"Dir": g.dir, "CacheAt": at(cache), "AuthorityAt": at(authority), "AuthorityIP": host, "Zone": g.zone,
	}))
	start(t, g.dir, g.unbound, "-d", "-c", config)
	g.answers(t, cache, g.access)
	return cache
}

// testScopes holds the scope against the databases: in the prefix that it makes around a client, the edges of all networks
// get the same answer, and in the prefix one bit wider some edge gets another. The instance is "lines": nearest and latency
// also tell clients apart for whom only the order of the other pools differs.
func (g *geography) testScopes(t *testing.T) {
	edges := g.edges()
	conn, err := net.Dial("udp", g.GTMD)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sample, asked := 0, 0
	for i := 0; sample < 2000; i++ {
		v, r := g.visits[i], g.whole[i]
		if v.name != g.access {
			continue
		}
		sample++
		same := func(edge netip.Addr) bool {
			asked++
			other, err := askFor(conn, v, netip.PrefixFrom(edge, edge.BitLen()))
			if err != nil {
				t.Fatalf("ask %v for %v: %v", g.GTMD, edge, err)
			}
			return other.answer == r.answer
		}
		inside, wider := prefixOf(v, r.scope), prefixOf(v, r.scope-1)
		for _, edge := range edgesIn(edges, inside) {
			if !same(edge) {
				t.Fatalf("%v has %s with scope %d, but %v in it has another answer", v, r.answer, r.scope, edge)
			}
		}
		if !slices.ContainsFunc(edgesIn(edges, wider), func(edge netip.Addr) bool { return !inside.Contains(edge) && !same(edge) }) {
			t.Errorf("%v has %s with scope %d, but all of %v has that answer", v, r.answer, r.scope, wider)
		}
	}
	t.Logf("%d scopes are right: %d edges asked", sample, asked)
}

// prefixOf is the prefix of a length around a client.
func prefixOf(v visit, bits int) netip.Prefix {
	return netip.PrefixFrom(v.client.Addr(), bits).Masked()
}

// edges are the addresses from which on something may be different, sorted: the first of each network and the first behind it,
// IPv4 ones also in every form in which IPv6 addresses hold them; and the ends of these forms themselves.
func (g *geography) edges() []netip.Addr {
	var all []netip.Addr
	for _, p := range g.nets {
		for _, a := range []netip.Addr{p.Addr(), last(p), last(p).Next()} {
			all = append(all, a)
			if a.Is4() {
				for _, embed := range embeddings {
					all = append(all, embed(a))
				}
			}
		}
	}
	for _, block := range []string{"0.0.0.0/0", "::/0", "::ffff:0:0/96", "64:ff9b::/96", "2001::/32", "2002::/16"} {
		p := netip.MustParsePrefix(block)
		all = append(all, p.Addr(), last(p))
		if next := last(p).Next(); next.IsValid() {
			all = append(all, next)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// edgesIn are those of sorted addresses that lie in a prefix, and the ends of the prefix and of its halves.
func edgesIn(edges []netip.Addr, p netip.Prefix) []netip.Addr {
	from, _ := slices.BinarySearchFunc(edges, p.Addr(), netip.Addr.Compare)
	to, _ := slices.BinarySearchFunc(edges, last(p), netip.Addr.Compare)
	all := append(slices.Clone(edges[from:to]), p.Addr(), last(p))
	if p.IsSingleIP() {
		return all
	}
	half := netip.PrefixFrom(p.Addr(), p.Bits()+1)
	return append(all, last(half), last(half).Next())
}

// testTooWide puts a relay between the cache and gtmd that makes every scope one bit shorter: the comparison of testCache
// then finds answers that are wrong.
func (g *geography) testTooWide(t *testing.T) {
	relay := net.JoinHostPort(relayIP, freePort(t, relayIP))
	startRelay(t, relay, g.GTMD)
	wrong, _ := g.compare(t, g.startCache(t, relay), g.random.Perm(len(g.visits)))
	if len(wrong) == 0 {
		t.Fatal("no answer was wrong")
	}
	t.Logf("%d of %d answers were wrong, such as: %s", len(wrong), len(g.visits), wrong[0])
}

// relay passes UDP queries on to a server and makes the scope of the replies one bit shorter.
type relay struct{ to string }

func startRelay(t *testing.T, address, to string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, &dns.Server{PacketConn: conn, Handler: relay{to}})
}

// ServeDNS implements dns.Handler.
func (r relay) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m, err := dns.Exchange(q, r.to)
	if err != nil {
		m = new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
	}
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if subnet, ok := o.(*dns.EDNS0_SUBNET); ok && subnet.SourceScope > 1 {
				subnet.SourceScope--
			}
		}
	}
	w.WriteMsg(m)
}
