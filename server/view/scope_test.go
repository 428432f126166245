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

// lines makes custom lines of names, each followed by its prefixes.
func lines(texts ...string) []geo.LineOptions {
	var list []geo.LineOptions
	for _, text := range texts {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			last := &list[len(list)-1]
			last.Prefixes = append(last.Prefixes, prefix)
			continue
		}
		list = append(list, geo.LineOptions{Name: text})
	}
	return list
}

// region is what a resolver keeps: for whom, and what.
type region struct {
	prefix netip.Prefix
	reply  string
}

// overlaps reports whether a resolver may answer a client of one region with what it kept of the other. Resolvers may
// keep a reply of scope 0 for the clients of both families.
func (r region) overlaps(other region) bool {
	return r.prefix.Overlaps(other.prefix) || r.prefix.Bits() == 0 || other.prefix.Bits() == 0
}

// blocks are the IPv6 addresses that hold an IPv4 one, and the bit with which that begins: IPv4-mapped, NAT64, 6to4 and Teredo.
var blocks = []struct {
	prefix   netip.Prefix
	from     int
	inverted bool
}{
	{netip.MustParsePrefix("::ffff:0:0/96"), 96, false}, {netip.MustParsePrefix("64:ff9b::/96"), 96, false},
	{netip.MustParsePrefix("2002::/16"), 16, false}, {netip.MustParsePrefix("2001::/32"), 96, true},
}

// hold returns the prefix of a block that holds an IPv4 prefix.
func hold(prefix netip.Prefix, block int) netip.Prefix {
	b := blocks[block]
	address := b.prefix.Addr().As16()
	for i, octet := range prefix.Addr().As4() {
		if b.inverted {
			octet = ^octet
		}
		address[b.from/8+i] = octet
	}
	return netip.PrefixFrom(netip.AddrFrom16(address), b.from+prefix.Bits()).Masked()
}

// held returns the IPv4 address that an IPv6 one holds, other addresses as they are.
func held(address netip.Addr) netip.Addr {
	for _, b := range blocks {
		if b.prefix.Contains(address) {
			all := address.As16()
			v4 := [4]byte(all[b.from/8:])
			for i := range v4 {
				if b.inverted {
					v4[i] = ^v4[i]
				}
			}
			return netip.AddrFrom4(v4)
		}
	}
	return address
}

// isHolding reports whether all addresses of a prefix hold an IPv4 one.
func isHolding(prefix netip.Prefix) bool {
	for _, b := range blocks {
		if b.prefix.Bits() <= prefix.Bits() && b.prefix.Overlaps(prefix) {
			return true
		}
	}
	return false
}

// TestScopeProperty: for random lines, policies and clients, no two replies whose (prefix, scope) overlap differ
// (RFC 7871 section 7.3.1), so through a cache every client gets what it would get directly.
func TestScopeProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		// Few bits, so that lines nest and clients meet them.
		prefix := rapid.Custom(func(rt *rapid.T) netip.Prefix {
			bits := rapid.IntRange(0, 28).Draw(rt, "bits")
			b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 0x80, 0xc0, 0xff}), 4, 4).Draw(rt, "address")
			if rapid.Bool().Draw(rt, "v4") {
				return netip.PrefixFrom(netip.AddrFrom4([4]byte(b)), bits).Masked()
			}
			address := netip.AddrFrom16([16]byte{0x20, b[0], b[1], b[2], 4: b[3], 6: b[0], 7: b[1]})
			return netip.PrefixFrom(address, 2*bits+8).Masked()
		})
		w := &world{zones: []view.Zone{zone(t, "gtm.test.", apex)}}
		used := map[netip.Prefix]bool{}
		var policies []policy.PolicyOptions
		for i := range rapid.IntRange(1, 5).Draw(rt, "lines") {
			name := fmt.Sprintf("line%d", i)
			w.lines = append(w.lines, geo.LineOptions{Name: name})
			for _, p := range rapid.SliceOfN(prefix, 1, 4).Draw(rt, "prefixes") {
				if !used[p] && !isHolding(p) {
					used[p] = true
					w.lines[i].Prefixes = append(w.lines[i].Prefixes, p)
				}
			}
			four, six := fmt.Sprintf("four%d", i), fmt.Sprintf("six%d", i)
			w.pools = append(w.pools,
				pool(four, policy.TypeIPv4, policy.BalanceAll, fmt.Sprintf("198.51.%d.1", i), fmt.Sprintf("198.51.%d.2", i), fmt.Sprintf("198.51.%d.3", i)),
				pool(six, policy.TypeIPv6, policy.BalanceAll, fmt.Sprintf("2001:db8:%d::1", i)))
			members := rapid.SampledFrom([][]string{{four}, {six}, {four, six}}).Draw(rt, "pools")
			balance := rapid.SampledFrom([]policy.Balance{policy.BalanceAll, policy.BalanceSticky}).Draw(rt, "balance")
			if i == 0 && rapid.Bool().Draw(rt, "global") {
				name = "global"
			}
			policies = append(policies, access("Policy "+name, name, set(balance, members...)))
		}
		v := w.instance("origin.gtm.test.", policies...).build(t)
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			var kept []region
			for i, client := range rapid.SliceOfN(prefix, 2, 24).Draw(rt, "clients") {
				if client.Addr().Is4() && rapid.Bool().Draw(rt, "held") {
					client = hold(client, rapid.IntRange(0, len(blocks)-1).Draw(rt, "block"))
				}
				if client.Bits() == 0 {
					continue
				}
				m := ask(t, v, query{name: "origin.gtm.test.", qtype: qtype, subnet: client.String()})
				now := region{netip.PrefixFrom(client.Addr(), scope(m)).Masked(), text(m)}
				for _, before := range kept {
					if before.overlaps(now) && before.reply != now.reply {
						rt.Fatalf("client %d: %v gets %s\nbut %v gets %s", i, now.prefix, now.reply, before.prefix, before.reply)
					}
				}
				kept = append(kept, now)
				if client.Addr().Is4In6() {
					continue // no packet comes from there: see Lookup
				}
				// The packet's source gets the same as the option that says it.
				direct := text(ask(t, v, query{name: "origin.gtm.test.", qtype: qtype, source: client.Addr().String()}))
				if direct != now.reply {
					rt.Fatalf("%v: %s, but as the source of the packet %s", client, now.reply, direct)
				}
			}
		}
	})
}
