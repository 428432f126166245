package policy

import (
	"iter"
	"net/netip"
	"slices"
	"strconv"
)

// Instance is an access domain with its policies. Immutable.
type Instance struct {
	Name string
	// AccessDomain is the canonical name: lower case, with its trailing dot.
	AccessDomain string
	// Aliases are further names that get the same answers, in the same form.
	Aliases []string
	// TTL of the answers, in seconds.
	TTL uint32
	// Together is true when some set is a domain set: then one table of request sources serves all question types, so that a
	// name is never a CNAME for one type and an address for another.
	Together bool
	Policies []Access
}

// Names yields the access domain and its aliases.
func (in *Instance) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(in.AccessDomain) {
			return
		}
		for _, alias := range in.Aliases {
			if !yield(alias) {
				return
			}
		}
	}
}

// Access is one access policy of an instance in the forms it is decided in.
type Access struct {
	Name        string
	Sources     []string
	FallThrough bool
	// Decided holds the policy for IPv4 and IPv6 questions; nil where the policy has no pool for that family. Both are
	// the same one when the policy decides once for both: it has a domain set, or falls through to one that has.
	Decided [2]*Policy
}

// NewPool compiles a pool. The targets function gives what [Address.Targets] of an address are to be; it is asked for
// intelligent addresses only, and may be nil where nothing is probed. Addresses must be valid for the type, and a place have
// its coordinates.
func NewPool(o PoolOptions, targets func(*AddressOptions) [][]string) *Pool {
	p := o.empty(o.Type)
	p.Addresses = make([]Address, 0, len(o.Addresses))
	for i := range o.Addresses {
		a := &o.Addresses[i]
		address := o.address(a, a.Address)
		if o.Type != TypeDomain {
			address.IP = netip.MustParseAddr(a.Address)
			if canonical := address.IP.String(); canonical != address.Name {
				address.Name = canonical
			}
		}
		if a.Mode == ModeIntelligent && targets != nil {
			address.Targets = targets(a)
		}
		p.Addresses = append(p.Addresses, address)
	}
	return p
}

// NewFlatPool compiles a domain pool that answers with the addresses behind its names. The resolved function lists those of
// a name, targets gives the targets of one of them as for NewPool. An address of two names is that of the first.
func NewFlatPool(o PoolOptions, resolved func(*AddressOptions) []netip.Addr, targets func(*AddressOptions, netip.Addr) []string) *Pool {
	p := o.empty(o.Type)
	p.Flat = &[2]*Pool{o.empty(TypeIPv4), o.empty(TypeIPv6)}
	known := map[netip.Addr]bool{}
	for i := range o.Addresses {
		a := &o.Addresses[i]
		for _, ip := range resolved(a) {
			if known[ip] {
				continue
			}
			known[ip] = true
			address := o.address(a, ip.String())
			address.IP, address.From = ip, a.Address
			if a.Mode == ModeIntelligent {
				if checks := targets(a, ip); len(checks) > 0 {
					address.Targets = [][]string{checks}
				}
			}
			flat := p.Flat[0]
			if ip.Is6() {
				flat = p.Flat[1]
			}
			flat.Addresses = append(flat.Addresses, address)
		}
	}
	p.Addresses = slices.Concat(p.Flat[0].Addresses, p.Flat[1].Addresses)
	return p
}

func (o *PoolOptions) empty(t PoolType) *Pool {
	return &Pool{Name: o.Name, Type: t, Balance: o.Balance, Location: o.Location.Point()}
}

func (o *PoolOptions) address(a *AddressOptions, name string) Address {
	return Address{
		Name: name, Mode: a.Mode, Weight: uint32(a.Weight), Remark: a.Remark, Judge: o.Judge, MinUp: o.MinUp, SlowStart: o.SlowStart,
	}
}

// NewInstance compiles an instance. Every pool that it names must be in pools.
func NewInstance(o InstanceOptions, pools map[string]*Pool) *Instance {
	in := &Instance{Policies: make([]Access, 0, len(o.Policies)), Name: o.Name, AccessDomain: o.AccessDomain, Aliases: o.Aliases, TTL: uint32(o.TTL)}
	joint := newJoint(o, pools)
	for _, p := range o.Policies {
		in.Together = in.Together || joint.hasDomain(p)
		access := Access{Name: p.Name, Sources: p.Sources, FallThrough: p.FallThrough}
		if joint.decides(p) {
			both := newPolicy(&o, p, FamilyBoth, pools)
			access.Decided = [2]*Policy{both, both}
		} else {
			access.Decided = [2]*Policy{newPolicy(&o, p, IPv4, pools), newPolicy(&o, p, IPv6, pools)}
		}
		in.Policies = append(in.Policies, access)
	}
	return in
}

// joint tells which policies of an instance take one decision for both families: those with a domain set, and those that
// fall through to, or are fallen through to by, one that does.
type joint struct {
	pools  map[string]*Pool
	global bool // whether the global policy is one of them
}

func newJoint(o InstanceOptions, pools map[string]*Pool) joint {
	j := joint{pools: pools}
	for _, p := range o.Policies {
		if j.hasDomain(p) && (isGlobal(p.Sources) || p.FallThrough) {
			j.global = true
		}
	}
	return j
}

func (j joint) decides(p PolicyOptions) bool {
	return j.hasDomain(p) || j.global && (isGlobal(p.Sources) || p.FallThrough)
}

func (j joint) hasDomain(p PolicyOptions) bool {
	isCNAME := func(ref PoolRefOptions) bool { return j.pools[ref.Pool].isCNAME() }
	return slices.ContainsFunc(p.Primary.Pools, isCNAME) ||
		slices.ContainsFunc(p.Backup, func(set SetOptions) bool { return slices.ContainsFunc(set.Pools, isCNAME) })
}

func isGlobal(sources []string) bool {
	return slices.Contains(sources, "global") || slices.Contains(sources, "default")
}

// newPolicy compiles a policy for one family; nil when no set has a pool of it.
func newPolicy(of *InstanceOptions, o PolicyOptions, family Family, pools map[string]*Pool) *Policy {
	p := &Policy{
		Name: o.Name, Family: family, Switch: o.Switch, Failback: o.Failback,
		FailbackDelay: o.FailbackDelay, WhenAllDown: o.WhenAllDown, TTL: uint32(of.TTL), MinTTL: uint32(of.TTLMin),
	}
	p.Sets = make([]Set, 0, 1+len(o.Backup))
	for i := range 1 + len(o.Backup) {
		so := &o.Primary
		if i > 0 {
			so = &o.Backup[i-1]
		}
		set := Set{Role: role(i), Balance: so.Balance, MinAvailable: so.MinAvailable, MaxAnswers: so.MaxAnswers}
		for _, ref := range so.Pools {
			for _, pool := range pools[ref.Pool].forms(family) {
				set.Members = append(set.Members, Member{Pool: pool, Weight: uint32(ref.Weight)})
			}
		}
		if len(set.Members) > 0 {
			p.Sets = append(p.Sets, set)
		}
	}
	if len(p.Sets) == 0 {
		return nil
	}
	return p
}

func role(i int) string {
	switch i {
	case 0:
		return "primary"
	case 1:
		return "backup"
	default:
		return "backup " + strconv.Itoa(i)
	}
}

// Global is the index of the policy for clients that no other policy matches, for one family; -1 when there is none.
func (in *Instance) Global(f Family) int {
	return slices.IndexFunc(in.Policies, func(a Access) bool {
		return a.Decided[f] != nil && isGlobal(a.Sources)
	})
}

// Answering is the index of the policy whose decision answers clients of policy i: i itself, or the global policy
// when i falls through because every set of it is down. decided gives the decision of a policy of this instance for
// the same family; it must not return nil for one that has it.
func (in *Instance) Answering(i int, f Family, decided func(i int) *Decision) int {
	if !in.Policies[i].FallThrough || !decided(i).AllDown() {
		return i
	}
	global := in.Global(f)
	if global < 0 || decided(global).Why == Empty {
		return i
	}
	return global
}
