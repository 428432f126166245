package admin

import (
	"net/netip"
	"time"
)

// PoolStatus is the state of one pool.
type PoolStatus struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// HealthChecks probe its addresses, but for those that have their own. Judge says how many must pass, where there are several.
	HealthChecks []string        `json:"health_checks,omitempty"`
	Judge        string          `json:"judge,omitempty"`
	Addresses    []AddressStatus `json:"addresses"`
	// Resolved is what the names of a domain pool resolve to, in the order of the pool.
	Resolved []ResolvedStatus `json:"resolved,omitempty"`
}

// ResolvedStatus is what a name of a domain pool resolves to.
type ResolvedStatus struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses"`
	// At is when they were found. Nil: never yet.
	At *time.Time `json:"at,omitempty"`
	// Error is why the latest attempt failed. The addresses are then the last that were found.
	Error string `json:"error,omitempty"`
}

// AddressStatus is the state of one address.
type AddressStatus struct {
	Pool    string `json:"pool,omitempty"` // only in explanations
	Address string `json:"address"`
	Remark  string `json:"remark,omitempty"`
	Mode    string `json:"mode"`
	Weight  uint32 `json:"weight"`
	// Share is how much of the weight counts now, in per cent: less than 100 in a slow start or a drain.
	Share int `json:"share"`
	// Available is whether the address counts; Standing why: "up", "down", "no result yet", "not probed", "always online",
	// "always offline", or "up by override", "down by override", "draining", "drained".
	Available bool   `json:"available"`
	Standing  string `json:"standing"`
	Served    bool   `json:"served,omitempty"` // only in explanations
	// Override is the one that counts for the address. Verdict stays that of the health checks.
	Override *OverrideNote `json:"override,omitempty"`
	ProbeStatus
	// Checks are what ProbeStatus is joined from, where that is more than one.
	Checks []CheckStatus `json:"checks,omitempty"`
}

// CheckStatus is what one health check knows of one address.
type CheckStatus struct {
	HealthCheck string `json:"health_check"`
	// Address is the one that is probed: one of those that the name resolves to, in a domain pool.
	Address string `json:"address"`
	ProbeStatus
}

// ProbeStatus is what the health checks know. It is empty for what is not probed.
type ProbeStatus struct {
	// Verdict is "up", "down" or "unknown".
	Verdict          string     `json:"verdict,omitempty"`
	Since            *time.Time `json:"since,omitempty"`
	Reason           string     `json:"reason,omitempty"`
	Good             int        `json:"good,omitempty"`
	Bad              int        `json:"bad,omitempty"`
	LastProbe        *time.Time `json:"last_probe,omitempty"`
	LastMilliseconds float64    `json:"last_milliseconds,omitempty"`
	// Phases are the parts of the last probe.
	Phases    *Phases `json:"phases,omitempty"`
	LastError string  `json:"last_error,omitempty"`
	// CannotProbe: the latest attempt failed for a lack of this machine, which LastError names; the verdict stays as it was.
	CannotProbe bool `json:"cannot_probe,omitempty"`
	// Degraded is what is amiss with what passes: it is slow, or its certificate is near its end.
	Degraded string `json:"degraded,omitempty"`
	// Flapping is since when the verdict is held because it turned too often.
	Flapping           *time.Time `json:"flapping,omitempty"`
	Warning            string     `json:"warning,omitempty"`
	CertificateExpires *time.Time `json:"certificate_expires,omitempty"`
}

// Phases are the times that the parts of a probe took, in milliseconds. What a probe has not come to, or does not have, is 0.
type Phases struct {
	ConnectMS   float64 `json:"connect_milliseconds,omitempty"`
	TLSMS       float64 `json:"tls_milliseconds,omitempty"`
	FirstByteMS float64 `json:"first_byte_milliseconds,omitempty"`
	BodyMS      float64 `json:"body_milliseconds,omitempty"`
}

// BlindStatus says that this prober takes failures for its own: no verdict of the family turns down.
type BlindStatus struct {
	Family string    `json:"family"` // "ipv4" or "ipv6"
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
}
