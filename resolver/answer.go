package resolver

import (
	"net/netip"
	"slices"
	"time"
	"unicode"
)

const (
	// maxAddrs bounds the addresses of one family of a name.
	maxAddrs = 64
	// maxErr bounds the text of an error, in characters, since names and servers have a say in it.
	maxErr = 500
)

// Answer is what is known of one name. Nothing that it points to changes any more; do not write to it.
type Answer struct {
	// IPv4 and IPv6 are the addresses: sorted, each once, the first 64 of them. They are the last good ones, however long
	// ago that was.
	IPv4, IPv6 []netip.Addr
	// Since is when this set of addresses was first seen. Zero: no resolution was ever good.
	Since time.Time
	// Resolved is when a resolution last found addresses, in at least one family. Zero: none ever did.
	Resolved time.Time
	// Next is when the name is resolved again.
	Next time.Time
	// Err is why the last resolution failed, wholly or for one family: "resolve www.example.net: SERVFAIL from
	// 127.0.0.53:53". Empty: it did not, or there was none yet.
	Err string
	// Failing is since when that is so. Zero: it is not.
	Failing time.Time
	// Known is whether there is an answer: a resolution was good once, in this process or one whose state was saved.
	Known bool
}

// after returns the answer after one more resolution of name, which gave a reply for each family:
//
//	one reply               the other reply          outcome
//	addresses               addresses                good: both are taken
//	addresses               none, certainly          good: the other family is emptied
//	addresses               failed                   failed in part: the other family keeps what it has
//	none, certainly         none, certainly          failed: all is kept
//	none, certainly         failed                   failed: all is kept
//	failed                  failed                   failed: all is kept
//
// None is certain of NOERROR without addresses, and of NXDOMAIN, which some servers say for a name that lacks one family
// only (RFC 4074, section 4.2). That a name has no address at all is more likely a mistake of somebody than what was
// meant, and to drop the addresses would do what only the probes may do: take them out of service.
func (a Answer) after(name string, v4, v6 reply, now time.Time) Answer {
	next := a
	if len(v4.addrs) > 0 || len(v6.addrs) > 0 {
		if v4.failed == "" {
			next.IPv4 = v4.addrs
		}
		if v6.failed == "" {
			next.IPv6 = v6.addrs
		}
		if !a.Known || !a.same(&next) {
			next.Since = now
		}
		next.Known, next.Resolved = true, now
		v4.none, v6.none = "", ""
	}
	next.Err = failure(name, v4.failed+v4.none, v6.failed+v6.none)
	switch {
	case next.Err == "":
		next.Failing = time.Time{}
	case a.Err == "":
		next.Failing = now
	}
	return next
}

// failure returns the error of a resolution from what went wrong in each family; empty: nothing did.
func failure(name, v4, v6 string) string {
	var text string
	switch {
	case v4 == "" && v6 == "":
		return ""
	case v4 == v6:
		text = v4
	case v6 == "":
		text = v4 + " for A"
	case v4 == "":
		text = v6 + " for AAAA"
	default:
		text = v4 + " for A; " + v6 + " for AAAA"
	}
	return clean("resolve " + display(name) + ": " + text)
}

// clean makes text fit for a log line and a page: printable, and of bounded length.
func clean(text string) string {
	runes := []rune(text)
	if len(runes) > maxErr {
		runes = append(runes[:maxErr], '…')
	}
	for i, r := range runes {
		if !unicode.IsPrint(r) {
			runes[i] = unicode.ReplacementChar
		}
	}
	return string(runes)
}

// same reports whether a and b have the same addresses.
func (a *Answer) same(b *Answer) bool {
	return slices.Equal(a.IPv4, b.IPv4) && slices.Equal(a.IPv6, b.IPv6)
}

// missing returns the addresses of b that a does not have.
func (a *Answer) missing(b *Answer) []netip.Addr {
	var missing []netip.Addr
	for _, addr := range slices.Concat(b.IPv4, b.IPv6) {
		if !slices.Contains(a.IPv4, addr) && !slices.Contains(a.IPv6, addr) {
			missing = append(missing, addr)
		}
	}
	return missing
}

// tells reports whether going from a to next is something that [Resolver.Changed] must tell.
func (a *Answer) tells(next *Answer) bool {
	return a.Known != next.Known || !a.same(next) || (a.Err == "") != (next.Err == "")
}

// tidy returns the usable of addrs: sorted, each once, the first 64. The choice does not depend on the order in which a
// server gives them, which many rotate.
func tidy(addrs []netip.Addr) []netip.Addr {
	addrs = slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !usable(a) })
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	return slices.Clip(addrs[:min(len(addrs), maxAddrs)])
}

// usable reports whether an address of DNS can be that of one server. A link-local one of IPv6 would need a zone, which
// DNS cannot give; one of IPv6 that holds an IPv4 address is none of IPv6 (RFC 4291, section 2.5.5.2).
func usable(a netip.Addr) bool {
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	switch {
	case !a.IsValid(), a.IsUnspecified(), a.IsMulticast(), a.Zone() != "", a.Is4In6(), a == broadcast:
		return false
	default:
		return !(a.Is6() && a.IsLinkLocalUnicast())
	}
}
