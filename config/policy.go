package config

import (
	"maps"
	"slices"

	"gtmd/policy"
)

// families says what a set answers, or a policy with any of its sets.
type families struct {
	ipv4, ipv6, domain bool
	isUnknown          bool // some pool is not known, or of unknown type
}

// with joins two.
func (f families) with(other families) families {
	return families{f.ipv4 || other.ipv4, f.ipv6 || other.ipv6, f.domain || other.domain, f.isUnknown || other.isUnknown}
}

// checkPolicy checks one policy but for its sources. It returns the families of all its sets. A policy of a joint
// instance may decide once for all types; one of an instance by latency leaves the balance of its sets to that.
func (k *checker) checkPolicy(p *policy.PolicyOptions, at string, joint, byLatency bool) families {
	k.checkName(at+".name", "policy", p.Name)
	var primary, backup families
	for set, name := range sets(p) {
		found := k.checkSet(set, at+"."+name, name+" of policy "+quote(p.Name), byLatency)
		if set == &p.Primary {
			primary = found
		} else {
			backup = backup.with(found)
		}
	}
	if p.Switch == policy.SwitchBackup {
		k.checkPinned(p, at+".switch", primary, backup, joint)
	}
	for i := range p.Backup {
		if samePools(&p.Primary, &p.Backup[i]) && len(p.Primary.Pools) > 0 {
			k.warnf(element(at+".backup", i), "the backup has the same pools as the primary: it is down when the primary is")
		}
	}
	return primary.with(backup)
}

// checkSlowStart warns of pools with a slow start in none of whose sets the weights of their addresses count.
func (k *checker) checkSlowStart() {
	counts, used := map[string]bool{}, map[string]bool{}
	for i := range k.config.File.Instances {
		for p := range k.config.File.Instances[i].Policies {
			for set := range sets(&k.config.File.Instances[i].Policies[p]) {
				for _, member := range set.Pools {
					used[member.Pool] = true
					if n, ok := k.pools.first[member.Pool]; ok && weighs(set.Balance, k.config.File.Pools[n].Balance) {
						counts[member.Pool] = true
					}
				}
			}
		}
	}
	for i, pool := range k.config.File.Pools {
		if pool.SlowStart > 0 && used[pool.Name] && !counts[pool.Name] {
			k.warnf(element("pool", i)+".slow_start", "slow_start of pool %s has no effect: the weights of its addresses count in none of its sets, want balance = \"weight\" in the pool, and in the set another than \"all\"",
				quote(pool.Name))
		}
	}
}

// weighs tells whether the weights of the addresses of a pool count in a set.
func weighs(set, pool policy.Balance) bool {
	switch set {
	case policy.BalanceAll, policy.BalanceLatency:
		return false
	case policy.BalanceSticky:
		return true
	default:
		return pool == policy.BalanceWeight || pool == policy.BalanceSticky
	}
}

// checkPinned checks that a policy which is pinned to its backup has one, for each family that the primary has and that
// is decided on its own.
func (k *checker) checkPinned(p *policy.PolicyOptions, path string, primary, backup families, joint bool) {
	switch {
	case len(p.Backup) == 0:
		k.errorf(path, "switch = \"backup\" and policy %s has no backup: add one, or pin the policy to its primary", quote(p.Name))
	case backup.isUnknown || joint:
	case primary.ipv4 && !backup.ipv4:
		k.errorf(path, "switch = \"backup\" and no backup of policy %s has IPv4 addresses, as its primary has: add a pool of type ipv4", quote(p.Name))
	case primary.ipv6 && !backup.ipv6:
		k.errorf(path, "switch = \"backup\" and no backup of policy %s has IPv6 addresses, as its primary has: add a pool of type ipv6", quote(p.Name))
	}
}

// samePools tells whether two sets have the same pools, in any order.
func samePools(a, b *policy.SetOptions) bool {
	names := func(set *policy.SetOptions) []string {
		var out []string
		for _, member := range set.Pools {
			out = append(out, member.Pool)
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(names(a), names(b))
}

// checkSet checks one set, which messages call shown, and fills in its balance. It returns its families.
func (k *checker) checkSet(set *policy.SetOptions, at, shown string, byLatency bool) families {
	var found families
	isFlat := false // then nobody knows how many addresses there are
	counts := map[policy.PoolType]count{}
	first := map[string]int{}
	for i, member := range set.Pools {
		path := element(at+".pools", i) + ".pool"
		n, ok := k.lookup(k.pools, "pool", "[[pool]]", member.Pool, path)
		if !ok {
			found.isUnknown = true
			continue
		}
		if j, isTwice := first[member.Pool]; isTwice {
			k.errorf(path, "pool %s is in this set already, as pools[%d]: want it once", quote(member.Pool), j)
			continue
		}
		first[member.Pool] = i
		pool := &k.config.File.Pools[n]
		found = found.with(families{
			ipv4: pool.Type == policy.TypeIPv4 || pool.Flatten, ipv6: pool.Type == policy.TypeIPv6 || pool.Flatten,
			domain: isCNAME(pool), isUnknown: pool.Type == "",
		})
		isFlat = isFlat || pool.Flatten
		of := counts[pool.Type]
		counts[pool.Type] = count{of.all + len(pool.Addresses), of.candidates + notOffline(pool)}
	}
	if found.domain && (found.ipv4 || found.ipv6) {
		k.errorf(at+".pools", "domain pools and address pools are mixed: a set answers either a CNAME or addresses, make it two policies or two sets")
	}
	if byLatency {
		k.balanceByLatency(set, at, found.domain)
	} else {
		k.checkBalance(set, at, shown, found.domain)
	}
	if !found.isUnknown && !isFlat {
		k.checkThreshold(set, at, counts)
	}
	return found
}

// checkBalance checks how a set balances, and fills it in.
func (k *checker) checkBalance(set *policy.SetOptions, at, shown string, isDomain bool) {
	if isDomain && set.Balance == policy.BalanceAll {
		k.errorf(at+".balance", "balance \"all\" in a set of domain pools: a CNAME cannot have several values, want \"weight\", \"sequence\", \"nearest\" or \"sticky\"")
	}
	if set.Balance == "" {
		set.Balance = defaultBalance(isDomain)
	}
	if set.MaxAnswers > 0 && set.Balance != policy.BalanceAll {
		k.errorf(at+".max_answers", "max_answers limits the answers of balance \"all\", and this is %q: remove it", set.Balance)
	}
	if set.Balance != policy.BalanceNearest {
		return
	}
	for i, member := range set.Pools {
		n, ok := k.pools.first[member.Pool]
		if !ok || k.config.File.Pools[n].Location != (policy.LocationOptions{}) || k.isWritten(element("pool", n)+".location") {
			continue // one that is written and zero has been refused
		}
		k.errorf(element(at+".pools", i)+".pool", "pool %s has no location, and %s has balance \"nearest\": give the pool at %s one, such as location = \"JP\"",
			quote(member.Pool), shown, k.where(element("pool", n)))
	}
}

// balanceByLatency makes a set balance by latency.
func (k *checker) balanceByLatency(set *policy.SetOptions, at string, isDomain bool) {
	if set.Balance != "" {
		k.errorf(at+".balance", "an instance with access_policy_type = \"latency\" chooses by latency: remove balance")
	}
	if isDomain && set.MaxAnswers > 1 {
		k.errorf(at+".max_answers", "max_answers is %d in a set of domain pools: an answer has one CNAME, want 1", set.MaxAnswers)
	}
	set.Balance, set.MaxAnswers = policy.BalanceLatency, max(set.MaxAnswers, 1)
}

// notOffline is the number of addresses of a pool that can become available.
func notOffline(pool *policy.PoolOptions) int {
	n := 0
	for _, address := range pool.Addresses {
		if address.Mode != policy.ModeOffline {
			n++
		}
	}
	return n
}

// count is how many addresses of one type a set has.
type count struct{ all, candidates int } // candidates are those that are not offline

// checkThreshold checks that a set can become available: for each type that it has, since each family has to reach the
// threshold by itself. Addresses are taken offline on purpose, so what they keep from being available is worth a warning.
func (k *checker) checkThreshold(set *policy.SetOptions, at string, counts map[policy.PoolType]count) {
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		n, of := counts[kind], addresses(kind)
		switch {
		case n.all > 0 && set.MinAvailable.Need(n.all) > n.all:
			k.errorf(at+".min_available", "min_available is %s, more than the set has %s: want at most %d", set.MinAvailable, of, n.all)
		case n.candidates == 0:
			k.warnf(at, "all %s of this set are offline: it is never available", of)
		case set.MinAvailable.Need(n.candidates) > n.candidates:
			k.warnf(at+".min_available", "min_available is %s and all but %d of the set's %d %s are offline, so the set is never available while they are offline",
				set.MinAvailable, n.candidates, n.all, of)
		}
	}
}

// addresses are the addresses of a pool type, for messages.
func addresses(t policy.PoolType) string {
	if t == policy.TypeDomain {
		return "domain names"
	}
	return string(t) + " addresses"
}
