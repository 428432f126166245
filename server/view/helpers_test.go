package view_test

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/miekg/dns"

	"gtmd/geo"
	"gtmd/policy"
	"gtmd/server/view"
	"gtmd/server/wire"
)

// zone makes a zone of records in the form of a master file, one on each line.
func zone(tb testing.TB, name, text string) view.Zone {
	tb.Helper()
	z := view.Zone{Name: name}
	parser := dns.NewZoneParser(strings.NewReader("$TTL 300\n"+text), name, "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		z.Records = append(z.Records, rr)
	}
	if err := parser.Err(); err != nil {
		tb.Fatal(err)
	}
	return z
}

// apex is the SOA and NS record of every zone here.
const apex = `
@ 3600 IN SOA ns1 host.master 1 7200 900 1209600 30
@ 3600 IN NS ns1
ns1 3600 IN A 192.0.2.53
`

// pool makes a pool; an address may have a weight, as in "192.0.2.1*3".
func pool(name string, poolType policy.PoolType, balance policy.Balance, addresses ...string) *policy.Pool {
	o := policy.PoolOptions{Name: name, Type: poolType, Balance: balance}
	for _, text := range addresses {
		address, digits, _ := strings.Cut(text, "*")
		weight, err := strconv.Atoi(digits)
		if err != nil {
			weight = 1
		}
		o.Addresses = append(o.Addresses, policy.AddressOptions{Address: address, Mode: policy.ModeIntelligent, Weight: weight})
	}
	if poolType == policy.TypeDomain {
		return policy.NewPool(o, nil)
	}
	return policy.NewPool(o, func(a *policy.AddressOptions) [][]string { return [][]string{{a.Address}} })
}

// set makes the options of a set; a pool may have a weight, as in "p*3".
func set(balance policy.Balance, pools ...string) policy.SetOptions {
	o := policy.SetOptions{Balance: balance}
	for _, text := range pools {
		name, digits, _ := strings.Cut(text, "*")
		weight, err := strconv.Atoi(digits)
		if err != nil {
			weight = 1
		}
		o.Pools = append(o.Pools, policy.PoolRefOptions{Pool: name, Weight: weight})
	}
	return o
}

// access makes the options of a policy.
func access(name, sources string, primary policy.SetOptions, backup ...policy.SetOptions) policy.PolicyOptions {
	return policy.PolicyOptions{Name: name, Sources: strings.Fields(sources), Primary: primary, Backup: backup, Switch: policy.SwitchAuto}
}

// world is what the Views of a test are made of.
type world struct {
	zones     []view.Zone
	lines     []geo.LineOptions
	pools     []*policy.Pool
	databases []*geo.Database
	instances []policy.InstanceOptions
	latency   []view.Latency
	rtt       map[string]uint32
	down      []string // addresses
	counter   func(view.CounterKey) int
}

// instance adds an access domain.
func (w *world) instance(domain string, policies ...policy.PolicyOptions) *world {
	name, _, _ := strings.Cut(domain, ".")
	w.instances = append(w.instances, policy.InstanceOptions{Name: name, AccessDomain: domain, TTL: 60, Policies: policies})
	return w
}

// compiled are the instances with their decisions, as far as addresses are down.
func (w *world) compiled(tb testing.TB) []view.Instance {
	tb.Helper()
	pools := map[string]*policy.Pool{}
	for _, p := range w.pools {
		pools[p.Name] = p
	}
	health := func(a *policy.Address) policy.Health {
		if slices.Contains(w.down, a.Name) {
			return policy.Down
		}
		return policy.Up
	}
	var compiled []view.Instance
	for _, o := range w.instances {
		in := view.Instance{Instance: policy.NewInstance(o, pools)}
		if o.Policies[0].Primary.Balance == policy.BalanceLatency {
			in.Latency, in.RTT = w.latency, w.rtt
		}
		for _, p := range in.Policies {
			var sources []geo.Selector
			for _, text := range p.Sources {
				sources = append(sources, w.source(tb, text))
			}
			var decisions [2]*policy.Decision
			for f, decided := range p.Decided {
				if decided != nil {
					decisions[f] = policy.Decide(decided, policy.State{Health: health}, policy.Memory{}, time.Unix(1e9, 0))
				}
			}
			in.Sources, in.Decisions = append(in.Sources, sources), append(in.Decisions, decisions)
		}
		compiled = append(compiled, in)
	}
	return compiled
}

func (w *world) source(tb testing.TB, text string) geo.Selector {
	tb.Helper()
	source, err := geo.ParseSelector(text, w.lines, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return source
}

// row adds a row to the latency table.
func (w *world) row(tb testing.TB, from, pool string, ms uint32) *world {
	tb.Helper()
	w.latency = append(w.latency, view.Latency{From: w.source(tb, from), Pool: pool, MS: ms})
	return w
}

func (w *world) input(tb testing.TB) view.Input {
	tb.Helper()
	instances := w.compiled(tb)
	in := geo.Input{Lines: w.lines, Databases: w.databases, Places: len(w.databases) > 0}
	for _, instance := range instances {
		in.Selectors = slices.Concat(append(instance.Sources, in.Selectors)...)
	}
	for _, row := range w.latency {
		in.Selectors = append(in.Selectors, row.From)
	}
	m, err := geo.Compile(in)
	if err != nil {
		tb.Fatal(err)
	}
	return view.Input{Generation: 1, Zones: w.zones, Map: m, Instances: instances, Counter: w.counter}
}

func (w *world) build(tb testing.TB) *view.View {
	tb.Helper()
	v, err := view.Build(w.input(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// spot is what a City database says of a network: its country, empty for none, and where it is.
type spot struct {
	prefix, country string
	at              *geo.Coordinates // nil: it does not say
}

// database is a City database of spots. A network inside another has its own record.
func database(tb testing.TB, spots ...spot) *geo.Database {
	tb.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: "GeoLite2-City", IPVersion: 6, RecordSize: 24, DisableIPv4Aliasing: true, IncludeReservedNetworks: true,
	})
	if err != nil {
		tb.Fatal(err)
	}
	bits := func(s spot) int { return netip.MustParsePrefix(s.prefix).Bits() }
	spots = slices.SortedStableFunc(slices.Values(spots), func(a, b spot) int { return bits(a) - bits(b) })
	for _, s := range spots {
		// The record of a network that says nothing of its country or its place still says something.
		record := mmdbtype.Map{"traits": mmdbtype.Map{"is_anycast": mmdbtype.Bool(true)}}
		if s.country != "" {
			record["country"] = mmdbtype.Map{"iso_code": mmdbtype.String(s.country)}
		}
		if s.at != nil {
			record["location"] = mmdbtype.Map{"latitude": mmdbtype.Float64(s.at.Latitude), "longitude": mmdbtype.Float64(s.at.Longitude)}
		}
		_, network, err := net.ParseCIDR(s.prefix)
		if err != nil {
			tb.Fatal(err)
		}
		if err := tree.Insert(network, record); err != nil {
			tb.Fatal(err)
		}
	}
	var file bytes.Buffer
	if _, err := tree.WriteTo(&file); err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), "places.mmdb")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		tb.Fatal(err)
	}
	d, err := geo.ReadDatabase(path)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// at puts a pool on the map.
func at(p *policy.Pool, latitude, longitude float64) *policy.Pool {
	p.Location = &policy.Location{Latitude: latitude, Longitude: longitude}
	return p
}

// query is one query of a test. The zero value of most fields is what is usual.
type query struct {
	name         string
	qtype        uint16
	class        uint16 // 0: IN
	source       string // "": 203.0.113.1
	subnet       string // "": no client-subnet option
	turn, random uint64
	limit        int // 0: none
}

func (o query) packet(tb testing.TB) []byte {
	tb.Helper()
	m := new(dns.Msg)
	m.SetQuestion(o.name, o.qtype)
	if o.class != 0 {
		m.Question[0].Qclass = o.class
	}
	if o.subnet != "" {
		prefix := netip.MustParsePrefix(o.subnet)
		family := uint16(1)
		if prefix.Addr().Is6() {
			family = 2
		}
		opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		opt.SetUDPSize(4096)
		opt.Option = append(opt.Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: family,
			SourceNetmask: uint8(prefix.Bits()), Address: prefix.Masked().Addr().AsSlice()})
		m.Extra = append(m.Extra, opt)
	}
	packet, err := m.Pack()
	if err != nil {
		tb.Fatalf("pack a query for %q: %v", o.name, err)
	}
	return packet
}

// ask is the reply of v to a query.
func ask(tb testing.TB, v *view.View, o query) *dns.Msg {
	tb.Helper()
	var q wire.Query
	packet := o.packet(tb)
	if fate, rcode := q.Decode(packet); fate != wire.ToAnswer {
		tb.Fatalf("query for %q: fate %d, rcode %d", o.name, fate, rcode)
	}
	source, limit := "203.0.113.1", 65535
	if o.source != "" {
		source = o.source
	}
	if o.limit != 0 {
		limit = o.limit
	}
	hit := v.Lookup(&q, netip.MustParseAddr(source))
	packed := hit.Append(nil, &q, o.turn, o.random, limit)
	if len(packed) > limit {
		tb.Fatalf("reply for %q has %d octets, limit %d", o.name, len(packed), limit)
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(packed); err != nil {
		tb.Fatalf("reply for %q: %v\n%x", o.name, err, packed)
	}
	if got, want := reply.Rcode, int(hit.RCode()); got != want {
		tb.Fatalf("reply for %q has rcode %d, Hit.RCode says %d", o.name, got, want)
	}
	return reply
}

// text is a reply in short: rcode, aa or tc, and the records of each section that has some, the OPT record left out.
func text(m *dns.Msg) string {
	var b strings.Builder
	b.WriteString(dns.RcodeToString[m.Rcode])
	if m.Authoritative {
		b.WriteString(" aa")
	}
	if m.Truncated {
		b.WriteString(" tc")
	}
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		var records []string
		for _, rr := range section {
			if rr.Header().Rrtype != dns.TypeOPT {
				records = append(records, strings.Join(strings.Fields(strings.Replace(rr.String(), "\tIN\t", " ", 1)), " "))
			}
		}
		if len(records) > 0 {
			b.WriteString([]string{" | ", " / ", " + "}[i] + strings.Join(records, ", "))
		}
	}
	return b.String()
}

// scope is the scope of the client-subnet option of a reply; -1 without one.
func scope(m *dns.Msg) int {
	if opt := m.IsEdns0(); opt != nil {
		for _, option := range opt.Option {
			if subnet, isSubnet := option.(*dns.EDNS0_SUBNET); isSubnet {
				return int(subnet.SourceScope)
			}
		}
	}
	return -1
}

// addresses are the addresses, or names, of the answer in order.
func addresses(m *dns.Msg) []string {
	var list []string
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			list = append(list, rr.A.String())
		case *dns.AAAA:
			list = append(list, rr.AAAA.String())
		case *dns.CNAME:
			list = append(list, rr.Target)
		default:
			list = append(list, rr.String())
		}
	}
	return list
}
