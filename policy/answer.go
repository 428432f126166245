package policy

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
	kind := members[0].pool.Type
	open := d.Sets[d.Set].counts(set)[kindOf(kind)] == 0 && kind != TypeDomain
	switch {
	case open || set.Balance == BalanceAll:
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

// oneOf is the answer of one member, by weight, as the balance of its pool says.
func oneOf(members []servedMember) Answer {
	groups := make([]Group, len(members))
	for i, m := range members {
		groups[i] = m.group(m.weight)
	}
	return Answer{Groups: weightedGroups(groups)}
}

// servedMember is a member of the set in force with the addresses that it serves to one family.
type servedMember struct {
	pool      *Pool
	weight    uint64
	addresses []*Address
}

// served lists the members that serve something to family f, in order.
func served(d *Decision, set *Set, f Family) []servedMember {
	var members []servedMember
	last := -1
	for _, ref := range d.Serve {
		m := set.Members[ref.Member]
		if !f.holds(m.Pool.Type) {
			continue
		}
		if ref.Member != last {
			members = append(members, servedMember{pool: m.Pool, weight: uint64(m.Weight)})
			last = ref.Member
		}
		current := &members[len(members)-1]
		current.addresses = append(current.addresses, &m.Pool.Addresses[ref.Address])
	}
	return members
}

// group is the member's answer by the balance of its own pool.
func (m *servedMember) group(weight uint64) Group {
	g := Group{Weight: weight, Balance: m.pool.Balance}
	for _, a := range m.addresses {
		g.Records = append(g.Records, Record{Address: a, Weight: uint64(a.Weight)})
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
			weight := m.weight * uint64(a.Weight)
			if i, isKnown := known[a.Name]; isKnown {
				records[i].Weight += weight
				continue
			}
			known[a.Name] = len(records)
			records = append(records, Record{Address: a, Weight: weight})
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
