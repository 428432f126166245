package server

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/geo"
	"gtmd/policy"
	"gtmd/server/view"
)

func longRecords() string {
	var b strings.Builder
	for i := range 40 { // an answer of 640 octets
		fmt.Fprintf(&b, "middle A 198.19.0.%d\n", i)
	}
	for i := range 1000 {
		fmt.Fprintf(&b, "name%d TXT \"some text of record %d\"\n", i, i)
	}
	return b.String()
}

// exported is newView's view with the zone "gtm.test." as one that secondaries may have.
func exported(tb testing.TB, generation uint64) *view.View {
	tb.Helper()
	z := view.Zone{Name: "gtm.test.", Exported: true}
	parser := dns.NewZoneParser(strings.NewReader(longZone), z.Name, "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		z.Records = append(z.Records, rr)
	}
	o := policy.PoolOptions{Name: "p", Type: policy.TypeIPv4, Balance: policy.BalanceAll}
	for i := range 3 {
		o.Addresses = append(o.Addresses, policy.AddressOptions{Address: fmt.Sprintf("198.51.100.%d", i+1), Mode: policy.ModeOnline, Weight: 1})
	}
	pools := map[string]*policy.Pool{"p": policy.NewPool(o, nil)}
	places, err := geo.Compile(geo.Input{Selectors: []geo.Selector{geo.Global}})
	if err != nil {
		tb.Fatal(err)
	}
	in := view.Instance{Instance: policy.NewInstance(policy.InstanceOptions{Name: "i", AccessDomain: "origin.gtm.test.", TTL: 60,
		Policies: []policy.PolicyOptions{policyOf("Global", "global", "p", policy.BalanceAll)}}, pools), Sources: [][]geo.Selector{{geo.Global}}}
	in.Decisions = [][2]*policy.Decision{{policy.Decide(in.Policies[0].Decided[policy.IPv4], policy.State{}, policy.Memory{}, time.Unix(1e9, 0))}}
	v, err := view.Build(view.Input{Generation: generation, Zones: []view.Zone{z}, Map: places, Instances: []view.Instance{in}})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func keys(tb testing.TB) []*Key {
	tb.Helper()
	var all []*Key
	for _, k := range []struct{ name, secret string }{{goodKey, goodSecret}, {otherKey, otherSecret}} {
		key, err := NewKey(KeyOptions{Name: k.name, Algorithm: HMACSHA256}, k.secret+"\n")
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, key)
	}
	return all
}

// prefix is a network as a file writes it.
func prefix(tb testing.TB, text string) (n Network) {
	tb.Helper()
	if err := n.UnmarshalText([]byte(text)); err != nil {
		tb.Fatal(err)
	}
	return n
}

// primary is a server that gives its zone by some rules.
type primary struct {
	*Server
	address string
	log     lockedBuffer
}

func newPrimary(tb testing.TB, z ZoneOptions) *primary {
	tb.Helper()
	p := &primary{}
	p.Server = New(slog.New(slog.NewTextHandler(&p.log, nil)), NewStats())
	if err := p.Swap(exported(tb, 1)); err != nil {
		tb.Fatal(err)
	}
	p.give(tb, z)
	apply(tb, p.Server, options("127.0.0.1:0"))
	tb.Cleanup(p.Close)
	p.address = first(p.Server).String()
	return p
}

// give makes these the options of the zone.
func (p *primary) give(tb testing.TB, z ZoneOptions) {
	tb.Helper()
	z.Name = "gtm.test."
	rules, err := NewTransfers([]ZoneOptions{z}, keys(tb), 2)
	if err != nil {
		tb.Fatal(err)
	}
	p.SetTransfers(rules)
}

// signWith signs a query with a key of the client's own.
func signWith(m *dns.Msg, key string) *dns.Msg {
	return m.SetTsig(key, dns.HmacSHA256, 300, time.Now().Unix())
}

func axfr() *dns.Msg { return new(dns.Msg).SetAxfr("gtm.test.") }

func ixfr(serial uint32) *dns.Msg {
	return new(dns.Msg).SetIxfr("gtm.test.", serial, "ns1.gtm.test.", "host.gtm.test.")
}

// transferred has miekg/dns transfer the zone, which checks the signature of each message.
func (p *primary) transferred(m *dns.Msg) (records []dns.RR, messages int, err error) {
	client := &dns.Transfer{DialTimeout: patience, ReadTimeout: patience}
	if m.IsTsig() != nil {
		client.TsigSecret = secrets
	}
	envelopes, err := client.In(m, p.address)
	if err != nil {
		return nil, 0, err
	}
	for e := range envelopes {
		if e.Error != nil {
			err = e.Error
		}
		records = append(records, e.RR...)
		messages++
	}
	return records, messages, err
}

// exchanged sends one message and returns the one reply, whatever it says. Signatures are checked as far as secret is given.
func (p *primary) exchanged(tb testing.TB, network string, m *dns.Msg) *dns.Msg {
	tb.Helper()
	client := dns.Client{Net: network, Timeout: patience, UDPSize: 4096}
	if m.IsTsig() != nil {
		client.TsigSecret = secrets
	}
	reply, _, err := client.Exchange(m, p.address)
	if err != nil {
		tb.Fatal(err)
	}
	return reply
}
