package geo

import "net/netip"

// The marks of IPv6 addresses that hold an IPv4 address, by where they hold it. They are above every class and label.
const (
	notEmbedded uint32 = maxValue - 3 + iota
	// atEnd: the last 32 bits, as in the IPv4-mapped ::ffff:0:0/96 (RFC 4291 section 2.5.5.2) and in NAT64's 64:ff9b::/96 (RFC 6052
	// section 2.1).
	atEnd
	// at6to4: bits 16 to 48, in 2002::/16 (RFC 3056 section 2).
	at6to4
	// atTeredo: the last 32 bits, each inverted, in 2001::/32 (RFC 4380 section 4).
	atTeredo
)

// embeddings is the IPv6 space with the marks of embedded addresses, notEmbedded elsewhere.
var embeddings = markEmbeddings()

func markEmbeddings() leaves {
	var b leafBuilder
	for _, block := range []struct {
		prefix string
		mark   uint32
	}{
		{"::ffff:0:0/96", atEnd}, {"64:ff9b::/96", atEnd}, {"2001::/32", atTeredo}, {"2002::/16", at6to4},
	} {
		prefix := netip.MustParsePrefix(block.prefix)
		k, _ := keyOf(prefix.Addr())
		b.fill(k, false, notEmbedded)
		b.add(prefix.Bits(), block.mark)
	}
	return b.finish(notEmbedded)
}

// embedded returns the key of the IPv4 address that an IPv6 address with a mark holds, and how many bits of the IPv6 address
// there are before the IPv4 address ends its first one.
func embedded(mark uint32, k key) (inner key, before int) {
	switch mark {
	case at6to4:
		return key{hi: k.hi << 16 &^ (1<<32 - 1)}, 16
	case atTeredo:
		return key{hi: ^k.lo << 32}, 96
	default:
		return key{hi: k.lo << 32}, 96
	}
}

// Unfold returns the IPv4 address that addr holds, or addr itself, without its zone.
func Unfold(addr netip.Addr) netip.Addr {
	addr = addr.WithZone("")
	if !addr.Is6() {
		return addr
	}
	k, _ := keyOf(addr)
	for i, at := 0, (key{}); ; i++ {
		depth := int(embeddings.depths[i])
		if k.masked(depth) != at {
			at, _ = at.after(depth)
			continue
		}
		if embeddings.values[i] == notEmbedded {
			return addr
		}
		inner, _ := embedded(embeddings.values[i], k)
		return inner.prefix(32, true).Addr()
	}
}

// unmap returns the IPv4 prefix that an IPv4-mapped one holds; other prefixes as they are.
func unmap(prefix netip.Prefix) netip.Prefix {
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		return netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix
}

// isEmbedded reports whether all addresses of a masked prefix hold an IPv4 address.
func isEmbedded(prefix netip.Prefix) bool {
	return prefix.Addr().Is6() && Unfold(prefix.Addr()).Is4() && Unfold(lastOf(prefix)).Is4()
}

// lastOf is the last address of a masked IPv6 prefix.
func lastOf(prefix netip.Prefix) netip.Addr {
	k, _ := keyOf(prefix.Addr())
	next, _ := k.after(prefix.Bits())
	return next.prefix(128, false).Addr().Prev()
}
