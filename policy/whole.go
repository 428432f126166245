package policy

// Whole lists what the set in force can return to questions of family f, each address once: for a copy of the answers that
// cannot choose by the client. Where the set looks at how far its pools are, those of every distance are in it; what weight 0
// leaves out is not, and max_answers does not count. Of a domain set it is the one name of most weight, the first of several,
// because a name has at most one CNAME record (RFC 2181 section 10.1).
func Whole(d *Decision, f Family) []*Address {
	var all []*Address
	var best *Address
	most := uint64(0)
	known := map[string]bool{}
	for _, g := range wholeGroups(d, f) {
		for _, r := range g.Records {
			switch weight := max(g.Weight, 1) * max(r.Weight, 1); {
			case !r.Address.IP.IsValid():
				if best == nil || weight > most {
					best, most = r.Address, weight
				}
			case !known[r.Address.Name]:
				known[r.Address.Name] = true
				all = append(all, r.Address)
			}
		}
	}
	if best != nil {
		return []*Address{best}
	}
	return all
}

// wholeGroups are the groups of the answer or, where the set looks at how far its pools are, those of all of them.
func wholeGroups(d *Decision, f Family) []Group {
	set := d.InForce()
	if set == nil || set.Balance != BalanceNearest && set.Balance != BalanceLatency {
		return Compose(d, f, nil).Groups
	}
	members := served(d, set, f)
	if len(members) == 0 {
		return nil
	}
	if isOpen(d, set, members) {
		return Compose(d, f, nil).Groups
	}
	return oneOf(weightedMembers(members)).Groups
}
