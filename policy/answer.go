package policy

import "slices"

// Answer is what the set in force returns for one family: one group is chosen by weight, and from it one record or
// all, as its balance says. Without groups there is nothing to return.
type Answer struct {
	Groups []Group
}

// Group is one alternative of an answer.
type Group struct {
	// Weight is the group's share among the groups.
	Weight uint64
	// Balance is BalanceAll (every record, order rotated), BalanceWeight or BalanceSticky (one record).
	Balance Balance
	// MaxAnswers limits the records returned by BalanceAll; 0 is no limit.
	MaxAnswers int
	Records    []Record
}

// Record is one address of a group, with its weight in it.
type Record struct {
	Address *Address
	Weight  uint64
}

// Compose says what the set in force returns to questions of family f (IPv4 or IPv6), from its addresses of that
// family; a domain set returns its names to both. The costs are those of the clients who ask; only balance nearest and
// latency look at them, through the tiers of rank.
//
//	set       pool              answer
//	all       any               every address of every pool
//	weight    all weight        one address, by pool weight × address weight
//	weight    otherwise         one pool by weight, then as that pool's balance says
//	sequence  any               the first pool with an address, as its balance says
//	nearest   any               one pool of the first tier, by weight, as its balance says
//	sticky    any               one address by rendezvous hash, by pool weight × address weight
//	latency   any               MaxAnswers addresses, of the first tiers; of names one, by pool weight × address weight
//
// Fail open, that is when no address of the set is available, returns every address whatever the balance; a domain
// set, which can return only one name, keeps its balance. Weight 0 is left out unless all weights are 0: then all are equal.
func Compose(d *Decision, f Family, costs Costs) Answer {
	set := d.InForce()
	if set == nil {
		return Answer{}
	}
	members := served(d, set, f)
	if len(members) == 0 {
		return Answer{}
	}
	switch {
	case isOpen(d, set, members) || set.Balance == BalanceAll:
		all := product(members)
		return Answer{Groups: []Group{{Weight: 1, Balance: BalanceAll, MaxAnswers: set.MaxAnswers, Records: all}}}
	case set.Balance == BalanceSticky:
		return Answer{Groups: []Group{{Weight: 1, Balance: BalanceSticky, Records: weightedRecords(product(members))}}}
	case set.Balance == BalanceSequence:
		return Answer{Groups: []Group{members[0].group(1)}}
	case set.Balance == BalanceNearest:
		ranked, first := rank(members, costs)
		return oneOf(ranked[:first])
	case set.Balance == BalanceLatency:
		return lowest(members, costs, set.MaxAnswers)
	}
	byAddress := true
	for _, m := range members {
		byAddress = byAddress && m.pool.Balance == BalanceWeight
	}
	if byAddress {
		return Answer{Groups: []Group{{Weight: 1, Balance: BalanceWeight, Records: weightedRecords(product(members))}}}
	}
	return oneOf(members)
}

// isOpen reports whether members of a set are served though no address of theirs is available. Of names, one is always chosen.
func isOpen(d *Decision, set *Set, members []servedMember) bool {
	kind := members[0].pool.Type
	return d.Sets[d.Set].counts(set)[kindOf(kind)] == 0 && kind != TypeDomain
}

// oneOf is the answer of one member, by weight, as the balance of its pool says. A member has as much of its weight as its
// addresses have of theirs.
func oneOf(members []servedMember) Answer {
	groups := make([]Group, len(members))
	isPart := slices.ContainsFunc(members, func(m servedMember) bool { return m.part() != memberParts })
	for i, m := range members {
		weight := m.weight
		if isPart {
			weight *= m.part()
		}
		groups[i] = m.group(weight)
	}
	return Answer{Groups: weightedGroups(groups)}
}

// servedMember is a member of the set in force with the addresses that it serves to one family.
type servedMember struct {
	pool      *Pool
	weight    uint64
	addresses []servedAddress
}

// memberParts is the whole weight of a member, where some have less.
const memberParts = 1000

// part is how much of the weight of a member its addresses have, of memberParts; at least 1, and the whole where their weights do
// not count.
func (m *servedMember) part() uint64 {
	var have, full uint64
	for _, a := range m.addresses {
		have, full = have+uint64(a.Weight)*uint64(a.share), full+uint64(a.Weight)*FullShare
	}
	if full == 0 || m.pool.Balance != BalanceWeight && m.pool.Balance != BalanceSticky {
		return memberParts
	}
	return max(have*memberParts/full, 1)
}

// servedAddress is an address with the weight that it has now.
type servedAddress struct {
	*Address
	weight uint64
	share  uint32
}

// served lists the members that serve something to family f, in order. Where an address has less than its full share of the
// weight, all weights are in shares. Draining addresses are left out where weights do not count, as long as the set serves
// others.
func served(d *Decision, set *Set, f Family) []servedMember {
	var members []servedMember
	refs := d.Draws(f)
	last, unit := -1, uint64(1)
	if slices.ContainsFunc(refs, func(ref Ref) bool { return ref.Share != FullShare }) {
		unit = FullShare
	}
	for _, ref := range refs {
		m := set.Members[ref.Member]
		if ref.Member != last {
			members = append(members, servedMember{pool: m.Pool, weight: uint64(m.Weight)})
			last = ref.Member
		}
		current := &members[len(members)-1]
		a := servedAddress{&m.Pool.Addresses[ref.Address], 0, ref.Share}
		a.weight = uint64(a.Weight)
		if unit > 1 {
			a.weight *= uint64(ref.Share)
		}
		current.addresses = append(current.addresses, a)
	}
	return members
}

// Draws lists what of Serve answers to questions of family f can have: all of it, but for addresses that are being drained where
// weights do not count, as long as there are others.
func (d *Decision) Draws(f Family) []Ref {
	set := d.InForce()
	if set == nil {
		return nil
	}
	of := slices.DeleteFunc(slices.Clone(d.Serve), func(ref Ref) bool { return !f.holds(set.Members[ref.Member].Pool.Type) })
	staying := slices.DeleteFunc(slices.Clone(of), func(ref Ref) bool { return ref.Draining && !set.weighs(set.Members[ref.Member].Pool) })
	if len(staying) == 0 || !slices.ContainsFunc(of, func(ref Ref) bool { return !ref.Draining }) {
		return of
	}
	return staying
}

// weighs reports whether the weights of the addresses of a pool count in a set.
func (s *Set) weighs(pool *Pool) bool {
	switch s.Balance {
	case BalanceAll:
		return false
	case BalanceLatency:
		return pool.Type == TypeDomain
	case BalanceSticky:
		return true
	default:
		return pool.Balance == BalanceWeight || pool.Balance == BalanceSticky
	}
}

// group is the member's answer by the balance of its own pool.
func (m *servedMember) group(weight uint64) Group {
	g := Group{Weight: weight, Balance: m.pool.Balance}
	for _, a := range m.addresses {
		g.Records = append(g.Records, Record{Address: a.Address, Weight: a.weight})
	}
	switch g.Balance {
	case BalanceSequence:
		g.Balance, g.Records = BalanceAll, g.Records[:1]
	case BalanceWeight, BalanceSticky:
		g.Records = weightedRecords(g.Records)
	}
	return g
}

// product lists the addresses of all members with pool weight × address weight. An address of several pools is one
// record with the sum of its weights, because an answer has no record twice (RFC 2181 section 5).
func product(members []servedMember) []Record {
	var records []Record
	known := make(map[string]int) // index of the record by the address's name
	for _, m := range members {
		for _, a := range m.addresses {
			weight := m.weight * a.weight
			if i, isKnown := known[a.Name]; isKnown {
				records[i].Weight += weight
				continue
			}
			known[a.Name] = len(records)
			records = append(records, Record{Address: a.Address, Weight: weight})
		}
	}
	return records
}

// weighted leaves out what has weight 0, or makes all equal when every weight is 0.
func weighted[T Record | Group | servedMember](all []T, weight func(*T) *uint64) []T {
	var kept []T
	for i := range all {
		if *weight(&all[i]) > 0 {
			kept = append(kept, all[i])
		}
	}
	if len(kept) > 0 {
		return kept
	}
	for i := range all {
		*weight(&all[i]) = 1
	}
	return all
}

func weightedMembers(members []servedMember) []servedMember {
	return weighted(members, func(m *servedMember) *uint64 { return &m.weight })
}

func weightedRecords(records []Record) []Record {
	return weighted(records, func(r *Record) *uint64 { return &r.Weight })
}

func weightedGroups(groups []Group) []Group {
	return weighted(groups, func(g *Group) *uint64 { return &g.Weight })
}
