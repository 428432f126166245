package view_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"gtmd/geo"
	"gtmd/policy"
	"gtmd/server/view"
)

// TestConsistent: whatever the sets, their pools, health, databases and tables, no two replies whose (prefix, scope) overlap
// differ, a name is never a CNAME for one type and an address for another, and Replace makes what Build would make.
func TestConsistent(t *testing.T) {
	places := []*geo.Coordinates{nil, &tokyo, &seoul, &frankfurt, &paris, &newYork, &accra}
	rapid.Check(t, func(rt *rapid.T) {
		prefix := rapid.Custom(func(rt *rapid.T) netip.Prefix {
			bits := rapid.IntRange(1, 28).Draw(rt, "bits")
			b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x80, 0xff}), 4, 4).Draw(rt, "address")
			if rapid.Bool().Draw(rt, "v4") {
				return netip.PrefixFrom(netip.AddrFrom4([4]byte(b)), bits).Masked()
			}
			address := netip.AddrFrom16([16]byte{0x20, b[0], b[1], b[2], 4: b[3], 6: b[0], 7: b[1]})
			return netip.PrefixFrom(address, max(3, 2*bits+8)).Masked()
		})
		w := &world{zones: []view.Zone{zone(t, "gtm.test.", apex)}}
		used := map[netip.Prefix]bool{}
		for i, name := range []string{"office", "google", "search", "aliyun_r_x"} {
			w.lines = append(w.lines, geo.LineOptions{Name: name})
			for _, p := range rapid.SliceOfN(prefix, 1, 3).Draw(rt, "prefixes") {
				if !used[p] && !isHolding(p) {
					used[p] = true
					w.lines[i].Prefixes = append(w.lines[i].Prefixes, p)
				}
			}
		}
		for range rapid.IntRange(0, 2).Draw(rt, "databases") {
			var spots []spot
			for _, p := range rapid.SliceOfN(prefix, 1, 5).Draw(rt, "spots") {
				spots = append(spots, spot{prefix: p.String(), country: rapid.SampledFrom([]string{"", "JP", "FR", "CN"}).Draw(rt, "country"), at: rapid.SampledFrom(places).Draw(rt, "place")})
			}
			spots = append(spots, spot{prefix: "9.9.9.0/24", country: "US", at: &newYork})
			w.databases = append(w.databases, database(t, spots...))
		}
		var names []string
		domainToo := rapid.IntRange(0, 2).Draw(rt, "domain") == 0
		for i := range 6 {
			name := fmt.Sprintf("p%d", i)
			balance := rapid.SampledFrom([]policy.Balance{policy.BalanceAll, policy.BalanceSticky, policy.BalanceWeight, policy.BalanceSequence}).Draw(rt, "pool balance")
			var p *policy.Pool
			switch {
			case i < 3:
				p = pool(name, policy.TypeIPv4, balance, fmt.Sprintf("198.51.10%d.1", i), fmt.Sprintf("198.51.10%d.2*0", i))
			case i < 5:
				p = pool(name, policy.TypeIPv6, balance, fmt.Sprintf("2001:db8:%d::1", i), fmt.Sprintf("2001:db8:%d::2", i))
			default:
				if balance != policy.BalanceSticky {
					balance = policy.BalanceWeight
				}
				p = pool(name, policy.TypeDomain, balance, "a.example.", "b.example.")
			}
			if l := rapid.SampledFrom(places).Draw(rt, "location"); l != nil {
				at(p, l.Latitude, l.Longitude)
			}
			for _, a := range p.Addresses {
				if rapid.IntRange(0, 2).Draw(rt, "down") == 0 {
					w.down = append(w.down, a.Name)
				}
			}
			w.pools, names = append(w.pools, p), append(names, name)
		}
		latency := rapid.IntRange(0, 2).Draw(rt, "latency") == 0
		genSet := func() policy.SetOptions {
			balance := policy.BalanceLatency
			if !latency {
				balance = rapid.SampledFrom([]policy.Balance{policy.BalanceAll, policy.BalanceNearest, policy.BalanceNearest, policy.BalanceSticky, policy.BalanceSequence, policy.BalanceWeight}).Draw(rt, "balance")
			}
			var members []string
			if domainToo && rapid.IntRange(0, 2).Draw(rt, "is domain") == 0 {
				members = []string{"p5"}
				if balance == policy.BalanceAll {
					balance = policy.BalanceWeight
				}
			} else {
				for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom(names[:5]), 1, 4, rapid.ID).Draw(rt, "members") {
					members = append(members, n+rapid.SampledFrom([]string{"", "*2", "*0"}).Draw(rt, "weight"))
				}
			}
			s := set(balance, members...)
			s.MaxAnswers = rapid.IntRange(0, 3).Draw(rt, "max")
			return s
		}
		var policies []policy.PolicyOptions
		sources := []string{"office", "google", "search", "aliyun", "country:JP", "continent:AS", "global", "os_euro", "country:CN"}
		for _, source := range rapid.SliceOfNDistinct(rapid.SampledFrom(sources), 1, 4, rapid.ID).Draw(rt, "sources") {
			o := access("Policy "+source, source, genSet())
			for range rapid.IntRange(0, 2).Draw(rt, "backups") {
				o.Backup = append(o.Backup, genSet())
			}
			o.FallThrough = source != "global" && rapid.Bool().Draw(rt, "fall")
			o.WhenAllDown = rapid.SampledFrom([]policy.WhenAllDown{policy.AllDownOpen, policy.AllDownEmpty}).Draw(rt, "open")
			o.Switch = rapid.SampledFrom([]policy.Switch{policy.SwitchAuto, policy.SwitchAuto, policy.SwitchBackup}).Draw(rt, "switch")
			policies = append(policies, o)
		}
		if latency {
			w.rtt = map[string]uint32{"p0": 15, "p3": 20}
			for _, n := range names {
				for _, source := range sources {
					if rapid.IntRange(0, 4).Draw(rt, "row") == 0 {
						w.row(t, source, n, rapid.SampledFrom([]uint32{10, 15, 20}).Draw(rt, "ms"))
					}
				}
			}
		}
		w.instance("origin.gtm.test.", policies...)
		v := w.build(t)
		turn, random := rapid.Uint64().Draw(rt, "turn"), rapid.Uint64().Draw(rt, "random")
		saved := w.down
		w.down = nil
		fresh := w.build(t)
		w.down = saved
		var slots []view.Slot
		in := w.compiled(t)
		for p := range in[0].Policies {
			for f := range in[0].Policies[p].Decided {
				if in[0].Policies[p].Decided[f] != nil {
					slots = append(slots, view.Slot{Instance: 0, Policy: p, Family: policy.Family(f)})
				}
			}
		}
		replaced := fresh.Replace(2, in, slots, nil)
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeANY, dns.TypeCNAME} {
			var kept []region
			for i, client := range rapid.SliceOfN(prefix, 4, 24).Draw(rt, "clients") {
				if client.Addr().Is4() && rapid.Bool().Draw(rt, "held") {
					client = hold(client, rapid.IntRange(0, len(blocks)-1).Draw(rt, "block"))
				}
				if client.Bits() == 0 {
					continue
				}
				o := query{name: "origin.gtm.test.", qtype: qtype, subnet: client.String(), turn: turn, random: random}
				m := ask(t, v, o)
				if r := ask(t, replaced, o); text(r) != text(m) || scope(r) != scope(m) {
					rt.Fatalf("%v: replaced %s /%d, built %s /%d", client, text(r), scope(r), text(m), scope(m))
				}
				now := region{netip.PrefixFrom(client.Addr(), scope(m)).Masked(), text(m)}
				for _, before := range kept {
					if before.overlaps(now) && before.reply != now.reply {
						rt.Fatalf("%s client %d: %v gets %s\nbut %v gets %s", dns.TypeToString[qtype], i, now.prefix, now.reply, before.prefix, before.reply)
					}
				}
				kept = append(kept, now)
				e, err := v.Explain(view.Question{Name: "origin.gtm.test.", Type: qtype, Subnet: client})
				if err != nil {
					rt.Fatal(err)
				}
				if e.Scope != scope(m) {
					rt.Fatalf("explain scope %d, %d", e.Scope, scope(m))
				}
			}
		}
		for _, client := range rapid.SliceOfN(prefix, 4, 12).Draw(rt, "clients of all types") {
			if client.Bits() == 0 {
				continue
			}
			a := ask(t, v, query{name: "origin.gtm.test.", qtype: dns.TypeA, subnet: client.String(), random: random})
			b := ask(t, v, query{name: "origin.gtm.test.", qtype: dns.TypeAAAA, subnet: client.String(), random: random})
			x := ask(t, v, query{name: "origin.gtm.test.", qtype: dns.TypeTXT, subnet: client.String(), random: random})
			cname := func(m *dns.Msg) bool { return len(m.Answer) > 0 && m.Answer[0].Header().Rrtype == dns.TypeCNAME }
			if cname(a) != cname(b) && len(a.Answer) > 0 && len(b.Answer) > 0 || cname(a) && !cname(x) || cname(x) && !cname(a) {
				rt.Fatalf("%v: A %s, AAAA %s, TXT %s", client, text(a), text(b), text(x))
			}
			if cname(a) && cname(b) && text(a) != text(b) {
				rt.Fatalf("%v: A %s, AAAA %s, TXT %s", client, text(a), text(b), text(x))
			}
		}
	})
}
