package view

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"gtmd/policy"
	"gtmd/server/wire"
)

// Block is what one policy answers to one question type in some of its regions, packed: the records of its answer behind
// each other, each with the question's name as owner and the TTL of the instance. Immutable.
type Block struct {
	// First what every query reads, so that it is together in the cache: of most blocks all of it is in these fields.

	groups  []group
	counter int
	cname   bool
	sticky  bool      // some group is chosen by the client's network
	only    [1]group  // the groups, when there is one
	small   [112]byte // its records, when they fit

	// Decision is what the block was made from: that of the policy itself, or of the global one that it fell through to.
	Decision *policy.Decision
	// Answering is the index of the policy that Decision belongs to.
	Answering int
	// Family is that of the question.
	Family policy.Family
	// Answer is what was packed.
	Answer policy.Answer

	// rtt are the round-trip times of this server that it was made with.
	rtt  map[string]uint32
	sums []uint64 // running sums of the groups' weights, when there are several
}

// group is one alternative. Records of addresses have one size; names have ends of their own.
type group struct {
	balance policy.Balance
	records []byte
	size    int // of every record; 0: ends tells
	count   int
	most    int      // records returned by balance all
	ends    []uint32 // end of each record
	sums    []uint64
	seeds   []uint64
	weights []float64
}

// pack makes the block of a decision's answer to questions of family f from clients to whom the pools have these costs.
func pack(d *policy.Decision, f policy.Family, ttl uint32, costs policy.Costs) *Block {
	b := &Block{Decision: d, Answer: policy.Compose(d, f, costs)}
	total := uint64(0)
	for _, g := range b.Answer.Groups {
		packed := group{balance: g.Balance, count: len(g.Records), most: len(g.Records)}
		if g.MaxAnswers > 0 {
			packed.most = min(packed.most, g.MaxAnswers)
		}
		sum := uint64(0)
		for _, r := range g.Records {
			before := len(packed.records)
			packed.records = appendRecord(packed.records, r.Address, ttl)
			if r.Address.IP.IsValid() {
				packed.size = len(packed.records) - before
			} else {
				b.cname = true
				packed.ends = append(packed.ends, uint32(len(packed.records)))
			}
			sum += r.Weight
			switch g.Balance {
			case policy.BalanceWeight:
				packed.sums = append(packed.sums, sum)
			case policy.BalanceSticky:
				packed.seeds = append(packed.seeds, policy.HashName(r.Address.Name))
				packed.weights = append(packed.weights, float64(r.Weight))
				b.sticky = true
			}
		}
		if packed.size > 0 {
			packed.most = min(packed.most, maxBody/packed.size)
		}
		total += g.Weight
		b.groups, b.sums = append(b.groups, packed), append(b.sums, total)
	}
	b.gather()
	return b
}

// gather brings what a query reads together.
func (b *Block) gather() {
	if len(b.groups) != 1 {
		return
	}
	b.only[0] = b.groups[0]
	b.groups, b.sums = b.only[:], nil
	if g := &b.only[0]; len(g.records) <= len(b.small) {
		g.records = b.small[:copy(b.small[:], g.records)]
	}
}

// appendRecord appends the record that an address answers with: A, AAAA or CNAME, owned by the question's name.
func appendRecord(dst []byte, a *policy.Address, ttl uint32) []byte {
	var data []byte
	qtype := uint16(wire.TypeCNAME)
	switch {
	case a.IP.Is4():
		qtype, data = wire.TypeA, a.IP.AsSlice()
	case a.IP.Is6():
		qtype, data = wire.TypeAAAA, a.IP.AsSlice()
	default:
		data = wireName(a.Name)
	}
	dst = append(dst, 0xc0, wire.HeaderLen)
	dst = binary.BigEndian.AppendUint16(dst, qtype)
	dst = binary.BigEndian.AppendUint16(dst, wire.ClassIN)
	dst = binary.BigEndian.AppendUint32(dst, ttl)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(data)))
	return append(dst, data...)
}

// append appends the records that one query gets and returns their number; when they take more than room octets, none,
// and fits is false.
func (b *Block) append(dst []byte, client netip.Addr, turn, random uint64, room int) (_ []byte, count int, fits bool) {
	g := &b.groups[0]
	if len(b.groups) > 1 {
		g = &b.groups[policy.PickWeight(b.sums, random)]
		random = policy.Mix(random) // the second draw
	}
	var first, second []byte
	switch count = 1; {
	case g.balance == policy.BalanceWeight:
		first = g.record(policy.PickWeight(g.sums, random))
	case g.balance == policy.BalanceSticky:
		first = g.record(policy.PickSticky(policy.HashNetwork(client), g.seeds, g.weights))
	case g.size == 0:
		first = g.record(0)
	default:
		first, second = g.rotated(turn)
		count = g.most
	}
	if len(first)+len(second) > room {
		return dst, 0, false
	}
	return append(append(dst, first...), second...), count, true
}

// rotated returns the records from a turning start on, in two parts.
func (g *group) rotated(turn uint64) (first, second []byte) {
	start, _ := bits.Mul64(turn, uint64(g.count))
	from, length := int(start)*g.size, g.most*g.size
	if tail := len(g.records) - from; length > tail {
		return g.records[from:], g.records[:length-tail]
	}
	return g.records[from : from+length], nil
}

// record returns record i.
func (g *group) record(i int) []byte {
	if g.size > 0 {
		return g.records[i*g.size : (i+1)*g.size]
	}
	start := uint32(0)
	if i > 0 {
		start = g.ends[i-1]
	}
	return g.records[start:g.ends[i]]
}
