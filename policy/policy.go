// Package policy decides which addresses an access policy serves, and why.
//
// Data moves one way. Options, read from the configuration, are compiled to an Instance with its policies; Decide
// takes a policy, the health of its addresses and what was in force before, and says which set is in force; Compose
// turns that decision into the Answer for one address family and, where the set looks at how far its pools are, for the
// clients that are equally far. The view packs the answer, and PickWeight and PickSticky choose from it, query by query.
// Everything here is pure: no clock, no lock, nothing remembered, and no geography.
package policy

import (
	"net/netip"
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
	// Target is the identity of the health-check target whose verdict counts; empty: not probed.
	Target string
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
}

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
	escape := strings.NewReplacer(`\`, `\\`, "+", `\+`, "#", `\#`)
	names := make([]string, len(s.Members))
	for i, m := range s.Members {
		names[i] = escape.Replace(m.Pool.Name)
	}
	return strings.Join(names, "+")
}
