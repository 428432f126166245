package server

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"gtmd/server/view"
)

// rateLimit bounds the replies over UDP to the networks of clients, so that queries with forged addresses bring nobody more
// than a trickle (response rate limiting). Replies count by what they say: a client that asks for many names is no flood, one
// that is told the same again and again is. Immutable but for the table, which any number of workers write.
type rateLimit struct {
	// costs is what one reply of each class takes of the window, in microseconds: 1 s divided by the rate. 0: no limit.
	costs  [len(limitNames)]uint64
	window uint64 // in microseconds
	ipv4   int    // the networks of clients, as prefix lengths
	ipv6   int
	slip   uint64
	exempt []netip.Prefix
	table  *limitTable
}

// limitNames are the classes of limits as metrics name them: those of view.Kind, and all replies together.
var limitNames = [...]string{view.KindAnswer: "answer", view.KindNegative: "negative", view.KindError: "error", limitAll: "all"}

// limitAll is the class of all replies to a network.
const limitAll = 3

// curb is what becomes of a reply.
type curb uint8

// The curbs, also indexes of curbNames.
const (
	curbNone     curb = iota // it is sent
	curbDrop                 // nothing is sent
	curbTruncate             // a reply without records that makes a real client ask over TCP
	curbCookie               // BADCOOKIE, that makes a client with cookies ask again with a good one (RFC 7873 section 5.2.3)
)

// curbNames are the curbs as metrics name them.
var curbNames = [...]string{curbDrop: "drop", curbTruncate: "truncate", curbCookie: "badcookie"}

// newRateLimit is what options ask for: nil when nothing is limited. The table of the one before goes on when it has the
// right size, so that a reload gives nobody a new allowance.
func newRateLimit(o RateLimitOptions, before *rateLimit) *rateLimit {
	l := &rateLimit{
		window: uint64(o.Window / time.Microsecond), ipv4: o.IPv4Prefix, ipv6: o.IPv6Prefix,
		slip: uint64(o.Slip), exempt: slices.Clone(o.Exempt),
	}
	for class, rate := range [...]int{
		view.KindAnswer:   o.ResponsesPerSecond,
		view.KindNegative: cmp.Or(o.NXDomainsPerSecond, o.ResponsesPerSecond),
		view.KindError:    cmp.Or(o.ErrorsPerSecond, o.ResponsesPerSecond),
		limitAll:          o.AllPerSecond,
	} {
		if rate > 0 {
			l.costs[class] = uint64(time.Second/time.Microsecond) / uint64(rate)
		}
	}
	if l.costs == [len(limitNames)]uint64{} {
		return nil
	}
	if size := tableSize(o.TableSize); before != nil && len(before.table.cells) == size {
		l.table = before.table
	} else {
		l.table = &limitTable{seed: maphash.MakeSeed(), cells: make([]atomic.Uint64, size)}
	}
	return l
}

// judge says what becomes of a reply of a class to source at now, in microseconds of the clock. Replies of the class
// count by subject: equal subjects are the same answer. With hasCookie the client sent a cookie, though no valid one.
// chance is a random number. A class of several that is over its limit is the one returned.
func (l *rateLimit) judge(source netip.Addr, kind view.Kind, subject uint64, hasCookie bool, now, chance uint64) (curb, uint8) {
	for i := range l.exempt {
		if l.exempt[i].Contains(source) {
			return curbNone, 0
		}
	}
	network := source.As16()
	length := l.ipv6
	if source.Is4() {
		length = 96 + l.ipv4
	}
	mask(&network, length)
	class := uint8(kind)
	if l.table.take(&network, class, subject, now, l.costs[class], l.window) {
		class = limitAll
		if l.table.take(&network, class, 0, now, l.costs[class], l.window) {
			return curbNone, 0
		}
	}
	// By chance and not in turn, so that no client is always the one that is dropped.
	if l.slip == 0 || chance%l.slip != 0 {
		return curbDrop, class
	}
	if hasCookie {
		return curbCookie, class
	}
	return curbTruncate, class
}

// mask clears the bits of an address behind the first n.
func mask(address *[16]byte, n int) {
	high, low := binary.BigEndian.Uint64(address[:]), binary.BigEndian.Uint64(address[8:])
	high &= ^uint64(0) << max(64-n, 0)
	low &= ^uint64(0) << min(128-n, 64)
	binary.BigEndian.PutUint64(address[:], high)
	binary.BigEndian.PutUint64(address[8:], low)
}

// limitTable remembers, in a fixed amount of memory, who has used up how much. It is a cache of cells, without a lock:
// each is one word, changed by compare-and-swap.
//
// A cell holds the upper 24 bits of the key's hash and, in 40 bits, the time until which the key's replies so far fill its
// allowance, in microseconds modulo 2^40 (12 days): a reply moves it on by its cost, and one that would move it further
// than the window ahead of now is over the limit, and moves nothing. So a cell whose time has passed says nothing, and is
// free; a time that looks further ahead than the window, and than a worker may be behind another, has passed 12 days ago, or
// is of a longer window before a reload.
//
// A key has the cells of its group, one cache line. When all are another's and none is free, the one whose time comes next
// is taken: that key gets some allowance anew. A full table therefore errs by answering. Two keys whose hashes agree in the
// group and in 24 bits share an allowance; the hash is keyed with a secret of the process, so nobody can choose a partner,
// and of a million keys that are active some hundredth of one meets another.
type limitTable struct {
	seed  maphash.Seed
	cells []atomic.Uint64 // a power of two
}

const (
	groupLen = 8 // cells of 8 octets: a cache line
	timeBits = 40
	timeMask = 1<<timeBits - 1
	// behind is by how many microseconds a worker may have read the clock earlier than another.
	behind = uint64(time.Minute / time.Microsecond)
)

// tableSize is the number of cells for so many at least.
func tableSize(cells int) int { return 1 << bits.Len(uint(max(cells, groupLen)-1)) }

// take counts a reply of so much cost, and reports whether it is within the window.
func (t *limitTable) take(network *[16]byte, class uint8, subject, now, cost, window uint64) bool {
	if cost == 0 {
		return true
	}
	var key [25]byte
	copy(key[:], network[:])
	binary.NativeEndian.PutUint64(key[16:], subject)
	key[24] = class
	hash := maphash.Bytes(t.seed, key[:])
	tag := hash >> timeBits
	group := limitGroup(t.cells[int(hash&timeMask)&(len(t.cells)/groupLen-1)*groupLen:][:groupLen])
	window = max(window, cost)
	for {
		at, seen, used := group.find(tag, now, window)
		if used+cost > window {
			return false
		}
		if group[at].CompareAndSwap(seen, tag<<timeBits|(now+used+cost)&timeMask) {
			return true
		}
	}
}

// limitGroup are the cells that a key may have.
type limitGroup []atomic.Uint64

// find returns the cell that has the tag, with what its key has used, in microseconds; without one, that which is to be
// taken, as unused.
func (g limitGroup) find(tag, now, window uint64) (at int, seen, used uint64) {
	least := uint64(timeMask)
	for i := range g {
		cell := g[i].Load()
		ahead := (cell&timeMask - now) & timeMask
		if ahead > window+behind {
			ahead = 0
		}
		if cell>>timeBits == tag {
			return i, cell, ahead
		}
		if ahead < least {
			at, seen, least = i, cell, ahead
		}
	}
	return at, seen, 0
}
