package admin

import (
	"errors"
	"time"
)

// TargetStatus is one target: an address as a health check probes it, once, whatever pools it is in.
type TargetStatus struct {
	ID          string `json:"id"`
	HealthCheck string `json:"health_check"`
	Protocol    string `json:"protocol"`
	Address     string `json:"address"`
	// Host is the name that is asked of it; empty where none is.
	Host string `json:"host,omitempty"`
	// Pools are those with the address; empty for a canary.
	Pools  []string `json:"pools"`
	Canary bool     `json:"canary,omitempty"`
	ProbeStatus
	// Results are the last ones, the latest first, at most [MaxResults]; only in the answer for one target.
	Results []ProbeResult `json:"results,omitempty"`
}

// MaxResults is how many results of each target are kept.
const MaxResults = 100

// ProbeResult is one result of a probe.
type ProbeResult struct {
	Time         time.Time `json:"time"`
	Good         bool      `json:"good"`
	Reason       string    `json:"reason,omitempty"` // why it is not good
	Milliseconds float64   `json:"milliseconds"`
	Phases       *Phases   `json:"phases,omitempty"`
	// Verdict is that after the result, where the result turned it.
	Verdict string `json:"verdict,omitempty"`
}

// Check says everything that makes no sense in a request. It writes an address as the configuration does.
func (r *ProbeRequest) Check() error {
	target := OverrideTarget{Address: r.Address, Pool: r.Pool}
	if target == (OverrideTarget{}) {
		return errors.New("want what to probe: an address, a pool, or an address of a pool")
	}
	problems := target.check()
	r.Address = target.Address
	if r.Author != "" {
		problems = append(problems, checkText("author", r.Author, maxName)...)
	}
	return joinProblems(problems)
}

// TargetQuery asks for targets. The zero value asks for all.
type TargetQuery struct {
	Pool, Address, HealthCheck string
	Verdict                    string // "up", "down" or "unknown"
}

// TargetList is the answer of GET /api/v1/targets.
type TargetList struct {
	Targets []TargetStatus `json:"targets"`
	Part
}

// MaxProbes is how many probes one request may ask for.
const MaxProbes = 200

// ProbeRequest asks for probes now: of an address, of all addresses of a pool, or of an address of a pool. Of a name, those that it
// resolves to are probed.
type ProbeRequest struct {
	Address string `json:"address,omitempty"`
	Pool    string `json:"pool,omitempty"`
	// Author is who asks.
	Author string `json:"author,omitempty"`
}

// ProbeReply is the answer of POST /api/v1/probe. These probes change no verdict.
type ProbeReply struct {
	Probes []ProbeNow `json:"probes"`
}

// ProbeNow is what one probe has found.
type ProbeNow struct {
	HealthCheck string `json:"health_check"`
	Address     string `json:"address"`
	Host        string `json:"host,omitempty"`
	ProbeResult
	// Void is whether the result says nothing of the address: the reason is a fault of this server, or there is nothing to say yet.
	Void bool `json:"void,omitempty"`
	// Note says what is special about this probe: of a push check, nothing is sent.
	Note string `json:"note,omitempty"`
	// Degraded is what is amiss with a good result.
	Degraded           string     `json:"degraded,omitempty"`
	CertificateExpires *time.Time `json:"certificate_expires,omitempty"`
	// Standing is the verdict that the scheduled probes have come to.
	Standing string `json:"standing"`
}
