package node

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/policy"
)

// supposed is the world as it would be at a moment with some overrides more; w itself when there is none. Each supposition
// counts as the override that it stands for would: that on something more specific goes before it. Nothing is served from it.
func (w *world) supposed(texts []string, now time.Time) (*world, error) {
	if len(texts) == 0 {
		return w, nil
	}
	all := w.overrides
	var added []*override
	for _, text := range texts {
		target, kind, err := w.parseSupposition(text)
		if err != nil {
			return nil, err
		}
		o := &override{id: admin.SupposedID, target: target, kind: kind, reason: text, since: now}
		added = append(added, o)
		all = all.with(o)
	}
	before := *w
	before.overrides = all
	var due []slot
	for _, s := range w.slots {
		if slices.ContainsFunc(added, func(o *override) bool { return w.concerns(o, s) }) {
			due = append(due, s)
		}
	}
	next := before.redecide(due, w.status, nil, nil, now)
	v := *next.view
	v.Generation = w.view.Generation
	next.view = &v
	return next, nil
}

// supposable is something that can be supposed, as a supposition may name it.
type supposable struct {
	name   string // with what kind it is, as "pool:test1"
	target admin.OverrideTarget
}

// The kinds of what can be supposed, in the order in which a name without a kind is looked for.
const (
	supposedPool    = "pool:"
	supposedAddress = "address:"
	supposedSet     = "set:"
)

// parseSupposition reads "WHAT=STATE", where WHAT is pool:NAME, address:ADDRESS, set:INSTANCE/POLICY/SET or one of these names alone.
func (w *world) parseSupposition(text string) (admin.OverrideTarget, policy.OverrideKind, error) {
	cut := strings.LastIndexByte(text, '=')
	if cut < 1 {
		return admin.OverrideTarget{}, "", fmt.Errorf(`supposition %q: want WHAT=STATE, such as pool:test1=down or 192.0.2.1=up`, text)
	}
	what, state := strings.TrimSpace(text[:cut]), strings.TrimSpace(text[cut+1:])
	kinds := map[string]policy.OverrideKind{"up": policy.OverrideUp, "down": policy.OverrideDown, "drain": policy.OverrideDrain, "drained": policy.OverrideDrain}
	kind, isKnown := kinds[state]
	if !isKnown {
		return admin.OverrideTarget{}, "", fmt.Errorf("supposition %q: state %q: want up, down or drain%s", text, state, config.DidYouMean(state, []string{"up", "down", "drain"}))
	}
	all := w.supposables()
	for _, prefix := range []string{"", supposedPool, supposedAddress, supposedSet} {
		name := prefix + what
		if at, isAddress := strings.CutPrefix(name, supposedAddress); isAddress {
			if ip, err := netip.ParseAddr(at); err == nil {
				name = supposedAddress + ip.Unmap().String()
			} else {
				name = supposedAddress + plainName(strings.ToLower(at))
			}
		}
		if i := slices.IndexFunc(all, func(s supposable) bool { return s.name == name }); i >= 0 {
			return all[i].target, kind, nil
		}
	}
	return admin.OverrideTarget{}, "", fmt.Errorf("supposition %q: %s", text, w.unsupposable(what, all))
}

// supposables lists what can be supposed.
func (w *world) supposables() []supposable {
	var all []supposable
	seen := map[string]bool{}
	add := func(name string, target admin.OverrideTarget) {
		if !seen[name] {
			seen[name] = true
			all = append(all, supposable{name, target})
		}
	}
	for i, pool := range w.pools {
		add(supposedPool+pool.Name, admin.OverrideTarget{Pool: pool.Name})
		for a := range pool.Addresses {
			name := pool.Addresses[a].Name
			add(supposedAddress+plainName(name), admin.OverrideTarget{Address: name})
		}
		for _, o := range w.config.Pools[i].Addresses {
			t := canonical(admin.OverrideTarget{Address: o.Address})
			add(supposedAddress+plainName(t.Address), t)
		}
	}
	for _, s := range w.slots {
		k := w.key(s)
		for _, role := range rolesOf(w.policyOf(s)) {
			add(supposedSet+k.instance+"/"+k.policy+"/"+role, admin.OverrideTarget{Instance: k.instance, Policy: k.policy, Set: role})
		}
	}
	return all
}

// unsupposable says what is wrong with the name of something that is not there.
func (w *world) unsupposable(what string, all []supposable) string {
	kind, rest := "", what
	for _, prefix := range []string{supposedPool, supposedAddress, supposedSet} {
		if after, has := strings.CutPrefix(what, prefix); has {
			kind, rest = prefix, after
		}
	}
	var candidates []string
	for _, s := range all {
		if name, has := strings.CutPrefix(s.name, kind); has && kind != "" {
			candidates = append(candidates, name)
		} else if kind == "" {
			_, name, _ = strings.Cut(s.name, ":")
			candidates = append(candidates, name)
		}
	}
	said := map[string]string{
		"": "there is no pool, address or set %q", supposedPool: "there is no pool %q", supposedAddress: "no pool has an address %q",
		supposedSet: "there is no set %q: want INSTANCE/POLICY/SET, as in set:cdn-origin/Global/primary",
	}[kind]
	return fmt.Sprintf(said, rest) + config.DidYouMean(rest, candidates)
}
