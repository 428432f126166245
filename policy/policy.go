// Package policy decides which addresses an access policy serves, and why.
//
// Data moves one way. Options, read from the configuration, are compiled to an Instance with its policies; Decide
// takes a policy, the health of its addresses and what was in force before, and says which set is in force; Compose
// turns that decision into the Answer for one address family and, where the set looks at how far its pools are, for the
// clients that are equally far. The view packs the answer, and PickWeight and PickSticky choose from it, query by query.
// Everything here is pure: no clock, no lock, nothing remembered, and no geography.
package policy

import (
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Family says for which question types a policy is decided.
type Family uint8

// The families. A policy in which any set of the instance is a domain set takes one decision for both: FamilyBoth.
const (
	IPv4 Family = iota
	IPv6
	FamilyBoth
)

// String is the family as metrics, logs and the API write it.
func (f Family) String() string {
	switch f {
	case IPv4:
		return "ipv4"
	case IPv6:
		return "ipv6"
	default:
		return "both"
	}
}

// holds reports whether addresses of a pool of type t count for f.
func (f Family) holds(t PoolType) bool {
	switch t {
	case TypeIPv4:
		return f != IPv6
	case TypeIPv6:
		return f != IPv4
	default:
		return true
	}
}

// Address is one address of a pool. Immutable.
type Address struct {
	// Name is the address as text: the canonical IP address, or the domain name with its trailing dot.
	Name string
	// IP is the address; the zero Addr for a domain name.
	IP netip.Addr
	// Mode says who decides whether the address is available.
	Mode Mode
	// Weight is its share where weights count.
	Weight uint32
	// Remark is free text for people.
	Remark string
	// From is the domain name that the address was resolved from; empty for one that the configuration gives.
	From string
	// Targets are the identities of the health-check targets whose verdicts count: those of each health check, for the
	// address itself or, of a domain name, for each address that it resolves to. Empty: not probed.
	Targets [][]string
	// Judge says how many health checks of one address must be up.
	Judge Judge
	// MinUp says how many of the addresses of a domain name must be up.
	MinUp Threshold
	// SlowStart is how long its weight takes to come back once it has recovered; zero: no time.
	SlowStart time.Duration
}

// Health joins the verdicts of the targets: of each address those of its health checks, and of a name those of its
// addresses. It is unknown for an address that is not probed.
func (a *Address) Health(verdict func(target string) Health) Health {
	if len(a.Targets) == 1 && len(a.Targets[0]) == 1 && a.MinUp.Need(1) == 1 {
		return verdict(a.Targets[0][0])
	}
	judged := make([]Health, len(a.Targets))
	for i, checks := range a.Targets {
		verdicts := make([]Health, len(checks))
		for j, target := range checks {
			verdicts[j] = verdict(target)
		}
		judged[i] = a.Judge.Of(verdicts)
	}
	return enough(judged, a.MinUp.Need(len(judged)))
}

// Recovered is when the joined verdict of an address that is up came up from being down: when as many of its targets had as are
// wanted. Zero: it was never down. The functions tell of a target.
func (a *Address) Recovered(verdict func(target string) Health, recovered func(target string) time.Time) time.Time {
	var up []time.Time // of the addresses behind it
	for _, checks := range a.Targets {
		var passing []time.Time
		for _, target := range checks {
			if verdict(target) != Down {
				passing = append(passing, recovered(target))
			}
		}
		if need := a.Judge.need(len(checks)); len(passing) >= need {
			up = append(up, nth(passing, need))
		}
	}
	return nth(up, a.MinUp.Need(len(a.Targets)))
}

// nth is the n-th earliest of some times, which it sorts; zero when there are fewer.
func nth(times []time.Time, n int) time.Time {
	if n > len(times) {
		return time.Time{}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times[n-1]
}

// Probed yields the targets of the address, each once.
func (a *Address) Probed() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, checks := range a.Targets {
			for _, target := range checks {
				if !yield(target) {
					return
				}
			}
		}
	}
}

// Location is a point on the Earth, in degrees (WGS 84): latitude north positive, longitude east positive.
type Location struct {
	Latitude, Longitude float64
}

// Pool is an address pool. Immutable.
type Pool struct {
	Name    string
	Type    PoolType
	Balance Balance
	// Location is where the addresses are; nil when the configuration does not say.
	Location  *Location
	Addresses []Address
	// Flat are the forms of a domain pool that answers with the addresses behind its names: of type ipv4 and of type ipv6.
	// Nil for every other pool. Addresses has those of both then.
	Flat *[2]*Pool
}

// forms are the pools that count for a family in place of p: itself, its flat forms, or none.
func (p *Pool) forms(f Family) []*Pool {
	switch {
	case p.Flat == nil && f.holds(p.Type):
		return []*Pool{p}
	case p.Flat == nil:
		return nil
	case f == FamilyBoth:
		return p.Flat[:]
	default:
		return p.Flat[f : f+1]
	}
}

// isCNAME reports whether the pool answers with a CNAME.
func (p *Pool) isCNAME() bool { return p.Type == TypeDomain && p.Flat == nil }

// Member is a pool as a member of a set.
type Member struct {
	Pool   *Pool
	Weight uint32
}

// Set is an address pool set of a policy. Immutable.
type Set struct {
	// Role is "primary", "backup", or "backup 2" and so on, as the configuration orders them.
	Role string
	// Members are the pools that count for the policy's family, in order.
	Members []Member
	Balance Balance
	// MinAvailable is the number of available addresses that make the set available.
	MinAvailable Threshold
	// MaxAnswers limits the addresses in one answer of balance all, where 0 is no limit, and is their number in one of
	// balance latency, where 0 is 1.
	MaxAnswers int
}

// Policy is an access policy for one family. Immutable.
type Policy struct {
	Name   string
	Family Family
	// Sets are the primary and the backups in order, without those that have no pool of the family. Never empty.
	Sets          []Set
	Switch        Switch
	Failback      Failback
	FailbackDelay time.Duration
	WhenAllDown   WhenAllDown
	// TTL of the answers, in seconds, and the lowest one while they may soon change; 0: the TTL never changes.
	TTL, MinTTL uint32
}

// SetID names set i by its pools, so that what is remembered of it survives a reload that moves it. No two sets of a
// policy have the same: the second set with the same pools has "#2" behind them, and so on.
func (p *Policy) SetID(i int) string {
	pools, nth := p.Sets[i].pools(), 1
	for j := range i {
		if p.Sets[j].pools() == pools {
			nth++
		}
	}
	if nth > 1 {
		pools += "#" + strconv.Itoa(nth)
	}
	return pools
}

// index is the set that SetID names id; -1 when there is none.
func (p *Policy) index(id string) int {
	for i := range p.Sets {
		if p.SetID(i) == id {
			return i
		}
	}
	return -1
}

// pools joins the names of the pools by "+"; what stands between names is escaped inside one.
func (s *Set) pools() string {
	if len(s.Members) == 1 {
		return escaped(s.Members[0].Pool.Name)
	}
	names := make([]string, len(s.Members))
	for i, m := range s.Members {
		names[i] = escaped(m.Pool.Name)
	}
	return strings.Join(names, "+")
}

// escaped is the name of a pool, inside which what stands between names is escaped.
func escaped(name string) string {
	if !strings.ContainsAny(name, `\+#`) {
		return name
	}
	return strings.NewReplacer(`\`, `\\`, "+", `\+`, "#", `\#`).Replace(name)
}
