package resolver

import (
	"net/netip"
	"slices"
	"time"
)

// SavedAnswer is what survives a restart of one name: its last good answer. Its JSON form is stable.
type SavedAnswer struct {
	IPv4     []netip.Addr `json:"ipv4,omitempty"`
	IPv6     []netip.Addr `json:"ipv6,omitempty"`
	Since    time.Time    `json:"since"`
	Resolved time.Time    `json:"resolved"`
}

// Saved returns what to save of every name that has an answer. The map is the caller's; what the answers point to is
// shared and not to be written to.
func (r *Resolver) Saved() map[string]SavedAnswer {
	saved := make(map[string]SavedAnswer)
	for name, a := range r.Answers() {
		if a.Known {
			saved[name] = SavedAnswer{IPv4: a.IPv4, IPv6: a.IPv6, Since: a.Since, Resolved: a.Resolved}
		}
	}
	return saved
}

// answer returns the answer to go on with: the zero value when nothing usable was saved. The file of the state is not
// trusted to be one that was written here.
func (s SavedAnswer) answer() Answer {
	a := Answer{
		IPv4:     tidy(slices.DeleteFunc(slices.Clone(s.IPv4), netip.Addr.Is6)),
		IPv6:     tidy(slices.DeleteFunc(slices.Clone(s.IPv6), netip.Addr.Is4)),
		Since:    s.Since,
		Resolved: s.Resolved,
		Known:    true,
	}
	if len(a.IPv4)+len(a.IPv6) == 0 {
		return Answer{}
	}
	return a
}
