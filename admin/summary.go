package admin

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Summary is the answer of GET /api/v1/summary: how much there is, and what is not normal.
type Summary struct {
	Version    Version       `json:"version"`
	Started    time.Time     `json:"started"`
	Ready      string        `json:"ready"` // as in [Status]
	Generation uint64        `json:"generation"`
	Counts     SummaryCounts `json:"counts"`
	// Findings are what is not normal, the worst first, at most [MaxFindings].
	Findings []Finding `json:"findings"`
	// More is how many further ones there are.
	More int `json:"more"`
}

// SummaryCounts are how many there are. Policies and sets count once for each family that they are decided for.
type SummaryCounts struct {
	Instances         int `json:"instances"`
	Policies          int `json:"policies"`
	PoliciesOnBackup  int `json:"policies_on_backup"` // another set than the primary is in force
	PoliciesEmpty     int `json:"policies_empty"`     // none is
	Sets              int `json:"sets"`
	SetsUnavailable   int `json:"sets_unavailable"`
	Pools             int `json:"pools"`
	Addresses         int `json:"addresses"`
	AddressesDown     int `json:"addresses_down"` // not available, but for those that are always offline
	Overrides         int `json:"overrides"`
	DrillsRunning     int `json:"drills_running"`
	AlertsFiring      int `json:"alerts_firing"`
	AlertsUndelivered int `json:"alerts_undelivered"` // messages that wait
}

// MaxFindings is how many findings are sent.
const MaxFindings = 100

// Finding is one thing that is not normal.
type Finding struct {
	Kind string `json:"kind"` // one of the constants below
	// Message says it in one line, for people.
	Message string     `json:"message"`
	Since   *time.Time `json:"since,omitempty"`
	// What it is about; empty where it is about nothing of the kind.
	Instance string `json:"instance,omitempty"`
	Policy   string `json:"policy,omitempty"`
	Family   string `json:"family,omitempty"`
	Pool     string `json:"pool,omitempty"`
	Address  string `json:"address,omitempty"`
}

// The kinds of findings, the worst first.
const (
	FindingNotReady       = "not_ready"
	FindingPolicyEmpty    = "policy_empty"
	FindingConfigRejected = "config_rejected"
	FindingBlind          = "prober_blind"
	FindingDatabase       = "geo_database_refused"
	FindingOnBackup       = "policy_on_backup"
	FindingAddressDown    = "address_down"
	FindingNotConfigured  = "instance_unconfigured"
	FindingUndelivered    = "alert_undelivered"
	FindingDrill          = "drill"
	FindingOverride       = "override"
)

// Summarize makes the summary of what a backend says. It is never nil anywhere.
func Summarize(b Backend) Summary {
	status, drills, alerts, domains := b.Status(), b.Drills(), b.Alerts(), b.BusinessDomains()
	s := Summary{Version: status.Version, Started: status.Started, Ready: status.Ready, Generation: status.Config.Generation, Findings: []Finding{}}
	if status.Ready != "ready" {
		s.find(Finding{Kind: FindingNotReady, Message: "no query is answered: " + status.Ready})
	}
	policies := s.ofPolicies(status.Instances)
	s.findWhere(policies, FindingPolicyEmpty)
	if status.Config.Error != "" {
		first, _, _ := strings.Cut(status.Config.Error, "\n")
		s.find(Finding{Kind: FindingConfigRejected, Message: "the configuration was refused and an older one serves: " + first, Since: status.Config.Refused})
	}
	for _, blind := range status.Blind {
		s.find(Finding{Kind: FindingBlind, Message: "no verdict turns down: " + blind.Reason, Since: &blind.Since, Family: blind.Family})
	}
	for _, d := range status.Databases {
		if d.State != DatabaseServes {
			s.find(Finding{Kind: FindingDatabase, Message: d.Path + ": " + d.State + ": " + d.Error, Since: d.Refused})
		}
	}
	s.findWhere(policies, FindingOnBackup)
	s.ofPools(status.Pools)
	for _, d := range domains {
		if d.State == NotConfigured {
			s.find(Finding{Kind: FindingNotConfigured, Message: d.Domain + " does not lead to the access domain: " + d.Reason, Since: d.Since, Instance: d.Instance})
		}
	}
	s.ofAlerts(alerts)
	for _, d := range drills {
		if d.State == DrillRunning {
			s.Counts.DrillsRunning++
			s.find(Finding{Kind: FindingDrill, Message: fmt.Sprintf("drill %s on %s until %s: %s", d.ID, d.OverrideTarget, d.Ends.UTC().Format(time.RFC3339), d.Reason), Since: &d.Started})
		}
	}
	for _, o := range status.Overrides {
		s.Counts.Overrides++
		s.find(Finding{Kind: FindingOverride, Message: fmt.Sprintf("override %s: %s %s by %s: %s", o.ID, o.OverrideTarget, o.State, o.Author, o.Reason),
			Since: &o.Since, Instance: o.Instance, Policy: o.Policy, Pool: o.Pool, Address: o.Address})
	}
	return s
}

func (s *Summary) find(f Finding) {
	if len(s.Findings) == MaxFindings {
		s.More++
		return
	}
	s.Findings = append(s.Findings, f)
}

func (s *Summary) findWhere(all []Finding, kind string) {
	for _, f := range all {
		if f.Kind == kind {
			s.find(f)
		}
	}
}

func (s *Summary) ofPolicies(instances []InstanceStatus) (found []Finding) {
	s.Counts.Instances = len(instances)
	each(instances, "", func(i *InstanceStatus, p *PolicyStatus) {
		s.Counts.Policies++
		s.Counts.Sets += len(p.Sets)
		for _, set := range p.Sets {
			if !set.Available {
				s.Counts.SetsUnavailable++
			}
		}
		f := Finding{Since: &p.Since, Instance: i.Name, Policy: p.Name, Family: p.Family}
		switch p.InForce {
		case "primary":
			return
		case "none":
			s.Counts.PoliciesEmpty++
			f.Kind, f.Message = FindingPolicyEmpty, fmt.Sprintf("%s, policy %s (%s): nothing is answered: %s", i.Name, p.Name, p.Family, p.Why)
		default:
			s.Counts.PoliciesOnBackup++
			f.Kind, f.Message = FindingOnBackup, fmt.Sprintf("%s, policy %s (%s): the %s set is in force: %s", i.Name, p.Name, p.Family, p.InForce, p.Why)
		}
		found = append(found, f)
	})
	return found
}

func (s *Summary) ofPools(pools []PoolStatus) {
	s.Counts.Pools = len(pools)
	for _, p := range pools {
		s.Counts.Addresses += len(p.Addresses)
		for _, a := range p.Addresses {
			if a.Available || a.Standing == "always offline" {
				continue
			}
			s.Counts.AddressesDown++
			message := fmt.Sprintf("%s of pool %s: %s", a.Address, p.Name, a.Standing)
			if a.Reason != "" {
				message += ": " + a.Reason
			}
			s.find(Finding{Kind: FindingAddressDown, Message: message, Since: a.Since, Pool: p.Name, Address: a.Address})
		}
	}
}

func (s *Summary) ofAlerts(alerts AlertStatus) {
	s.Counts.AlertsFiring = len(alerts.Firing)
	for _, g := range alerts.Groups {
		for _, m := range g.Methods {
			s.Counts.AlertsUndelivered += m.Queued
			if m.Error != "" {
				s.find(Finding{Kind: FindingUndelivered, Message: fmt.Sprintf("alert group %s is not told by %s (%s): %s", g.Name, m.Name, m.To, m.Error), Since: m.LastFailure})
			}
		}
	}
}

// summary asks for everything, and sends little: for a program that looks often.
func (s *Server) summary(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, Summarize(s.backend))
}
