package view

import (
	"slices"

	"gtmd/geo"
	"gtmd/policy"
)

// Origin says which policy decided an answer, and why.
type Origin struct {
	Instance string
	Family   policy.Family
	// Policy is that of the client, Line its request source that the client matched by. Both are empty, and so is the rest, when
	// no policy matched.
	Policy, Line string
	// FellThrough is the policy that answered in its place; empty: it answered itself.
	FellThrough string
	// Set is the role of the set that answered, "none" when there was none; empty when the policy has no pool of the family.
	Set string
	Why policy.Why
}

// IsDecided reports whether access policies decided the answer.
func (h *Hit) IsDecided() bool { return h.access != nil }

// Origin tells where the answer came from; false when no access policy decided it. It is for logs: it allocates.
func (h *Hit) Origin() (Origin, bool) {
	if !h.IsDecided() {
		return Origin{}, false
	}
	o := Origin{Instance: h.access.instance.Name, Family: h.family}
	if h.region < 0 {
		return o, true
	}
	policies := h.access.instance.Policies
	p := int(h.access.regions[h.family].list[h.region].policy)
	o.Policy, o.Line = policies[p].Name, h.line(h.access.sources[p])
	if b := h.decidedBy; b != nil {
		o.Set, o.Why = b.role(), b.Decision.Why
		if b.Answering != p {
			o.FellThrough = policies[b.Answering].Name
		}
	}
	return o, true
}

// line is the source by which the client came to the policy that has these: the first in match order.
func (h *Hit) line(sources []geo.Selector) string {
	class, _ := h.access.geo.Lookup(h.client)
	for _, source := range h.access.geo.Chain(class) {
		if slices.Contains(sources, source) {
			return source.String()
		}
	}
	return geo.Global.String()
}
