package node

import (
	"fmt"
	"slices"

	"gtmd/policy"
)

// emptied returns an error when n would answer nothing where w answers something and nobody asked for that: every
// address of a policy was set offline. What answers is told by access domain, question family and request source, which
// clients see, and not by the names of policies. It is the last look before a new configuration is published.
func (w *world) emptied(n *world) error {
	before := make(map[string]int, len(w.instances))
	for i, in := range w.instances {
		before[in.AccessDomain] = i
	}
	for i, in := range n.instances {
		old, known := before[in.AccessDomain]
		if !known {
			continue
		}
		for p, access := range in.Policies {
			for _, f := range []policy.Family{policy.IPv4, policy.IPv6} {
				answered := func(source string) bool { return w.answered(old, w.policyFor(old, source, f), f) }
				if n.promises(i, p, f) && !n.answered(i, p, f) && slices.ContainsFunc(access.Sources, answered) {
					return fmt.Errorf("instance %q, policy %q (%s): every address is offline, so clients that get an answer now would get none; "+
						"set when_all_down = \"empty\" if that is meant", in.Name, access.Name, f)
				}
			}
		}
	}
	return nil
}

// promises reports whether a policy is there to answer questions of a family: what is in force in it, or everything when
// nothing is, has pools for them, and nobody asked for empty answers.
func (w *world) promises(instance, p int, f policy.Family) bool {
	decided := w.instances[instance].Policies[p].Decided[f]
	if decided == nil || decided.WhenAllDown == policy.AllDownEmpty {
		return false
	}
	sets := decided.Sets
	if inForce := w.decisions[instance][p][f].Set; inForce >= 0 {
		sets = sets[inForce : inForce+1]
	}
	for _, set := range sets {
		for _, m := range set.Members {
			if m.Pool.Type == policy.TypeDomain || (m.Pool.Type == policy.TypeIPv6) == (f == policy.IPv6) {
				return true
			}
		}
	}
	return false
}

// answered reports whether clients of a policy get records for questions of a family: from its own decision, or from the
// one that it falls through to. Without a policy, that is below 0, they get none.
func (w *world) answered(instance, p int, f policy.Family) bool {
	in := w.instances[instance]
	if p < 0 || in.Policies[p].Decided[f] == nil {
		return false
	}
	of := func(i int) *policy.Decision { return w.decisions[instance][i][f] }
	return len(policy.Compose(of(in.Answering(p, f, of)), f).Groups) > 0
}

// policyFor is the index of the policy that answers a request source: the one that has it, else the global one; -1 when
// there is neither. Where the policies of an instance share one table of sources, it need not have pools of the family.
func (w *world) policyFor(instance int, source string, f policy.Family) int {
	in := w.instances[instance]
	p := slices.IndexFunc(in.Policies, func(a policy.Access) bool {
		return slices.Contains(a.Sources, source) && (in.Together || a.Decided[f] != nil)
	})
	if p < 0 { // "global" and "default" come here when one was written for the other
		p = in.Global(f)
	}
	return p
}
