package dashboard

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"gtmd/admin"
)

// downs are addresses that are down, grouped by what is wrong with them. An address in many pools is one.
func (s *state) downs() []condition {
	groups := s.addressGroups(func(a *admin.AddressStatus) (string, *time.Time) {
		if a.Standing != "down" && !(a.Override != nil && a.Verdict == "down") {
			return "", nil
		}
		return cmp.Or(strings.ReplaceAll(a.Reason, a.Address, "the address"), "no reason is known"), a.Since
	})
	var all []condition
	for _, g := range bounded(groups) {
		title := plural(len(g.members), "address is down", "addresses are down")
		all = append(all, g.condition("down-", mark{bad, "down"}, title, "down"))
	}
	return all
}

// probing are addresses whose health is in doubt.
func (s *state) probing() []condition {
	var all []condition
	for _, kind := range []struct {
		key, word, title, titles string
		reason                   func(*admin.AddressStatus) (string, *time.Time)
	}{
		{"unable-", "cannot probe", "address cannot be probed from here", "addresses cannot be probed from here", func(a *admin.AddressStatus) (string, *time.Time) {
			if !a.CannotProbe {
				return "", nil
			}
			return cmp.Or(a.LastError, "no reason is known"), a.LastProbe
		}},
		{"flapping-", "flapping", "address turns too often", "addresses turn too often", func(a *admin.AddressStatus) (string, *time.Time) {
			if a.Flapping == nil {
				return "", nil
			}
			return "their verdicts are held until they keep still", a.Flapping
		}},
		{"degraded-", "degraded", "address passes, but not well", "addresses pass, but not well", func(a *admin.AddressStatus) (string, *time.Time) {
			if a.Standing != "up" || a.Degraded == "" || isCertificate(a.Degraded) {
				return "", nil
			}
			return "they are slow, or something else is amiss with them", nil
		}},
	} {
		for _, g := range bounded(s.addressGroups(kind.reason)) {
			all = append(all, g.condition(kind.key, mark{warn, kind.word}, plural(len(g.members), kind.title, kind.titles), "attention"))
		}
	}
	return all
}

// isCertificate reports whether what is amiss is the end of a certificate, which is told by itself.
func isCertificate(degraded string) bool { return strings.Contains(degraded, "certificate") }

// A cause is a group of addresses that have the same thing wrong with them.
type cause struct {
	reason  string
	since   *time.Time // of the first of them
	members []*member
}

type member struct {
	address string
	pools   []string
	since   *time.Time
}

// addressGroups groups addresses by a reason; those without one are left out. The largest group comes first.
func (s *state) addressGroups(reason func(*admin.AddressStatus) (string, *time.Time)) []*cause {
	byReason := map[string]*cause{}
	byAddress := map[[2]string]*member{}
	var all []*cause
	for i := range s.Pools {
		pool := &s.Pools[i]
		for j := range pool.Addresses {
			a := &pool.Addresses[j]
			why, since := reason(a)
			if why == "" {
				continue
			}
			if m := byAddress[[2]string{why, a.Address}]; m != nil {
				m.pools = append(m.pools, pool.Name)
				continue
			}
			m := &member{address: a.Address, pools: []string{pool.Name}, since: since}
			byAddress[[2]string{why, a.Address}] = m
			c := byReason[why]
			if c == nil {
				c = &cause{reason: why}
				byReason[why] = c
				all = append(all, c)
			}
			c.members = append(c.members, m)
			if since != nil && (c.since == nil || since.Before(*c.since)) {
				c.since = since
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *cause) int { return cmp.Compare(len(b.members), len(a.members)) })
	return all
}

// bounded joins the smallest causes when there are too many.
func bounded(all []*cause) []*cause {
	if len(all) <= maxCauses {
		return all
	}
	rest := &cause{reason: plural(len(all)-maxCauses+1, "other reason", "other reasons")}
	for _, c := range all[maxCauses-1:] {
		rest.members = append(rest.members, c.members...)
		if c.since != nil && (rest.since == nil || c.since.Before(*rest.since)) {
			rest.since = c.since
		}
	}
	return append(all[:maxCauses-1:maxCauses-1], rest)
}

func (c *cause) condition(key string, m mark, title, filter string) condition {
	url := address("/pools", "state", filter)
	made := condition{Key: key + c.reason, Mark: m, Title: title, Text: c.reason, Since: c.since, URL: url, MoreURL: url}
	for _, one := range c.members {
		note := "pool " + one.pools[0]
		if len(one.pools) > 1 {
			note = "in " + plural(len(one.pools), "pool", "pools")
		}
		made.Items = append(made.Items, item{link: link{one.address, addressURL(one.address)}, Note: note, Since: one.since})
	}
	return made
}
