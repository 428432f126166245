package config

import (
	"fmt"
	"net/netip"
	"slices"

	"gtmd/geo"
	"gtmd/policy"
)

// Pool is one address pool with its addresses parsed and its location, if it has one, as coordinates. It is immutable.
type Pool struct {
	*policy.PoolOptions
	// Addrs[i] is the address of Addresses[i]. Nil for a domain pool.
	Addrs []netip.Addr
}

// checkPools checks the pools and parses their addresses.
func (k *checker) checkPools() {
	options := k.config.File.Pools
	names := make([]string, len(options))
	for i := range options {
		names[i] = options[i].Name
	}
	k.pools = k.unique("pool", names, func(i int) string { return element("pool", i) + ".name" })
	k.config.Pools = make([]Pool, 0, len(options))
	for i := range options {
		k.checkPool(&options[i], element("pool", i))
	}
}

// checkPool checks one pool. A pool without a type has its problem already, and its addresses cannot be judged.
func (k *checker) checkPool(pool *policy.PoolOptions, at string) {
	k.checkName(at+".name", "pool", pool.Name)
	k.checkNames(pool.HealthCheck, at+".health_check")
	isDomain := pool.Type == policy.TypeDomain
	if isCNAME(pool) && pool.Balance == policy.BalanceAll {
		k.errorf(at+".balance", "balance \"all\" in domain pool %s: a CNAME cannot have several values, want \"weight\", \"sequence\" or \"sticky\", or flatten = true", quote(pool.Name))
	}
	if pool.Balance == policy.BalanceNearest {
		k.errorf(at+".balance", "balance \"nearest\" in pool %s: nearest chooses among the pools of a set, want another for the addresses of one pool", quote(pool.Name))
	}
	if pool.Balance == "" {
		pool.Balance = defaultBalance(isCNAME(pool))
	}
	k.locatePool(&pool.Location, at+".location")
	parsed := Pool{PoolOptions: pool}
	first := make(map[string]int, len(pool.Addresses))
	if !isDomain {
		parsed.Addrs = make([]netip.Addr, 0, len(pool.Addresses))
	}
	for i := range pool.Addresses {
		address, key := &pool.Addresses[i].Address, element(at+".addresses", i)+".address"
		k.checkNames(pool.Addresses[i].HealthCheck, element(at+".addresses", i)+".health_check")
		if mode := pool.Addresses[i].Mode; mode != policy.ModeIntelligent && len(pool.Addresses[i].HealthCheck) > 0 {
			k.warnf(element(at+".addresses", i)+".health_check", "address %s has mode %q, so it is not probed", plainName(*address), mode)
		}
		addr, ok := k.address(pool, address, key)
		if !ok {
			continue
		}
		if j, isKnown := first[*address]; isKnown {
			k.errorf(key, "address %s is already given at %s: a pool has an address once", quote(plainName(*address)),
				k.where(element(at+".addresses", j)+".address"))
			continue
		}
		first[*address] = i
		if !isDomain {
			parsed.Addrs = append(parsed.Addrs, addr)
		}
	}
	k.config.Pools = append(k.config.Pools, parsed)
}

// checkNames finds the health checks that the key at path names, each once.
func (k *checker) checkNames(names []string, path string) {
	for i, name := range names {
		at := path
		if len(names) > 1 {
			at = element(path, i)
		}
		k.lookup(k.checks, "health check", "[[health_check]]", name, at)
		if slices.Contains(names[:i], name) {
			k.errorf(at, "health check %s is in this list already: want it once", quote(name))
		}
	}
}

// checksOf lists the names of the health checks that some address of a pool has.
func checksOf(pool *policy.PoolOptions) []string {
	names := slices.Clone(pool.HealthCheck)
	for i := range pool.Addresses {
		names = append(names, pool.Addresses[i].HealthCheck...)
	}
	return names
}

// locatePool gives a location that is a place its coordinates.
func (k *checker) locatePool(location *policy.LocationOptions, path string) {
	if location.Place == "" {
		return
	}
	point, err := geo.ParsePlace(location.Place)
	if err != nil {
		k.errorf(path+".place", "there is no place %s: %v", quote(location.Place), err)
		return
	}
	location.Latitude, location.Longitude = &point.Latitude, &point.Longitude
}

// defaultBalance is the balance of a set or pool that names none.
func defaultBalance(isDomain bool) policy.Balance {
	if isDomain {
		return policy.BalanceWeight
	}
	return policy.BalanceAll
}

// address brings an address to its canonical text, or reports that it is none for this pool. The address is invalid
// for a domain pool.
func (k *checker) address(pool *policy.PoolOptions, text *string, key string) (netip.Addr, bool) {
	switch {
	case *text == "" || pool.Type == "":
		return netip.Addr{}, false
	case pool.Type == policy.TypeDomain:
		if addr, err := netip.ParseAddr(*text); err == nil {
			k.errorf(key, "%s is an %s address; pool %s is domain", *text, family(addr), quote(pool.Name))
			return netip.Addr{}, false
		}
		return netip.Addr{}, k.canonical(text, key, canonicalHost)
	}
	addr, err := netip.ParseAddr(*text)
	if err != nil {
		k.errorf(key, "%s is no address: want one such as %q, without port or prefix length", quote(*text), exampleAddress(pool.Type))
		return netip.Addr{}, false
	}
	if complaint := unfit(addr); complaint != "" {
		k.errorf(key, "%s %s", *text, complaint)
		return netip.Addr{}, false
	}
	if addr.Is4() != (pool.Type == policy.TypeIPv4) {
		k.errorf(key, "%s is an %s address; pool %s is %s", *text, family(addr), quote(pool.Name), pool.Type)
		return netip.Addr{}, false
	}
	*text = addr.String()
	return addr, true
}

// unfit says why an address cannot be answered, or "".
func unfit(addr netip.Addr) string {
	switch {
	case addr.Is4In6():
		return fmt.Sprintf("is an IPv4 address mapped to IPv6: want %q in a pool of type ipv4", addr.Unmap())
	case addr.Zone() != "":
		return "has a zone, which an answer cannot carry: want an address without"
	case addr.IsUnspecified():
		return "is the unspecified address: want that of an origin"
	case addr.IsMulticast():
		return "is a multicast address: want that of an origin"
	}
	return ""
}

// family is the name of an address's family.
func family(addr netip.Addr) string {
	if addr.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// exampleAddress is an address of the pool type, for messages.
func exampleAddress(t policy.PoolType) string {
	if t == policy.TypeIPv4 {
		return "192.0.2.1"
	}
	return "2001:db8::1"
}
