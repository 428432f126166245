package admin

import (
	"net/netip"
	"time"
)

// The states of a business domain.
const (
	Configured     = "configured"
	NotConfigured  = "not_configured"
	ConfigUnknown  = "unknown"   // it could not be resolved just now
	ConfigNotAsked = "not_asked" // not resolved yet, or not to be checked
	ConfigNone     = "none"      // it is no business domain
)

// BusinessDomainStatus is what a business domain resolves to.
type BusinessDomainStatus struct {
	Domain string `json:"domain"`
	// Instance is that whose business domain it is; empty for another name.
	Instance string `json:"instance,omitempty"`
	State    string `json:"state"`
	// Since is when the state began.
	Since *time.Time `json:"since,omitempty"`
	// Reason says why, for people.
	Reason string `json:"reason"`
	// Loop is whether the chain leads back into the access domain, or into itself.
	Loop bool `json:"loop,omitempty"`
	// Chain is from the business domain to the addresses; it ends before where they are not known.
	Chain []ChainLink `json:"chain"`
	// Checked is when resolvers last said where it leads.
	Checked *time.Time `json:"checked,omitempty"`
	// Milliseconds is how long that took.
	Milliseconds float64 `json:"milliseconds,omitempty"`
}

// ChainLink is one record of a chain.
type ChainLink struct {
	Name string `json:"name"`
	Type string `json:"type"` // "CNAME", "A" or "AAAA"
	Data string `json:"data"`
	TTL  uint32 `json:"ttl"`
	// Note says what the name is to us: "business domain", "CDN name", "access domain of cdn-origin".
	Note string `json:"note,omitempty"`
}

// BusinessDomainList is the answer of GET /api/v1/business-domains.
type BusinessDomainList struct {
	Domains []BusinessDomainStatus `json:"domains"`
	Part
}

// Asker is a resolver that has asked for an access domain lately.
type Asker struct {
	Instance string     `json:"instance"`
	Address  netip.Addr `json:"address"`
	// First and Last are when it was seen asking; the clock behind them is that of seconds.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Subnet is whether it sent a client subnet in the latest query.
	Subnet bool `json:"subnet"`
	// Proven is whether it has asked over TCP or with a valid cookie: its address is not forged.
	Proven bool `json:"proven"`
	// Facts are what the databases say of it: "AS JP AS4713".
	Facts string `json:"facts,omitempty"`
}

// AskerList is the answer of GET /api/v1/askers, the latest first.
type AskerList struct {
	Askers []Asker `json:"askers"`
	Part
	// Forgotten is whether there were more than fit in memory: those that asked longest ago are forgotten.
	Forgotten bool `json:"forgotten,omitempty"`
}
