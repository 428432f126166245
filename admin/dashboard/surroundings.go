package dashboard

import (
	"slices"
	"strings"
	"time"

	"gtmd/admin"
)

// certificates are those that end soon, the first to end first.
func (s *state) certificates() []condition {
	ends := map[string]time.Time{}
	note := func(addr string, p *admin.ProbeStatus) {
		if at := p.CertificateExpires; at != nil && at.Sub(s.now) < soon {
			if known, ok := ends[addr]; !ok || at.Before(known) {
				ends[addr] = *at
			}
		}
	}
	for i := range s.Pools {
		for j := range s.Pools[i].Addresses {
			a := &s.Pools[i].Addresses[j]
			note(a.Address, &a.ProbeStatus)
			for k := range a.Checks {
				note(a.Address, &a.Checks[k].ProbeStatus)
			}
		}
	}
	if len(ends) == 0 {
		return nil
	}
	c := condition{Key: "certificates", Mark: mark{warn, "certificate"}, Title: plural(len(ends), "certificate ends soon", "certificates end soon"),
		URL: "/pools?state=attention", MoreURL: "/pools?state=attention"}
	for addr, at := range ends {
		it := item{link: link{addr, addressURL(addr)}, Until: &at}
		if !at.After(s.now) {
			it.Note = "it has ended"
		}
		if at.Sub(s.now) < verySoon {
			c.Mark.Tone = bad
		}
		c.Items = append(c.Items, it)
	}
	slices.SortFunc(c.Items, func(a, b item) int {
		if byTime := a.Until.Compare(*b.Until); byTime != 0 {
			return byTime
		}
		return strings.Compare(a.Text, b.Text)
	})
	return []condition{c}
}

// isStale reports whether a warning is that a database is too old.
func isStale(warning string) bool {
	return strings.Contains(warning, "geo database") && strings.Contains(warning, "(max_age)")
}

// databases are those that are refused or too old.
func (s *state) databases() (all []condition) {
	for i := range s.Databases {
		if db := &s.Databases[i]; db.State != admin.DatabaseServes {
			all = append(all, condition{Key: "database-" + db.Path, Mark: mark{warn, "refused"}, Title: "Geo database " + db.Path + " is " + db.State,
				URL: "/config", Since: db.Refused, Text: db.Error})
		}
	}
	for _, w := range s.Config.Warnings {
		if isStale(w) {
			all = append(all, condition{Key: "stale-" + w, Mark: mark{warn, "stale"}, Title: "A geo database is old", URL: "/config", Text: w})
		}
	}
	return all
}

// warnings are the others of the configuration.
func (s *state) warnings() []condition {
	var rest []string
	for _, w := range s.Config.Warnings {
		if !isStale(w) {
			rest = append(rest, w)
		}
	}
	if len(rest) == 0 {
		return nil
	}
	return []condition{{Key: "warnings", Mark: mark{warn, "warning"}, Title: plural(len(rest), "warning of the configuration", "warnings of the configuration"),
		URL: "/config", Text: firstLines(strings.Join(rest, "\n"), 3)}}
}

// names are those of domain pools that do not resolve.
func (s *state) names() []condition {
	c := condition{Key: "names", Mark: mark{warn, "no name"}, URL: "/pools?state=attention", MoreURL: "/pools?state=attention"}
	for i := range s.Pools {
		for _, r := range s.Pools[i].Resolved {
			if r.Error != "" {
				c.Items = append(c.Items, item{link: link{r.Name, addressURL(r.Name)}, Note: "pool " + s.Pools[i].Name + ": " + r.Error})
			}
		}
	}
	if len(c.Items) == 0 {
		return nil
	}
	c.Title = plural(len(c.Items), "name of a domain pool does not resolve", "names of domain pools do not resolve")
	return []condition{c}
}

// businesses are business domains that do not lead here.
func (s *state) businesses() (all []condition) {
	for _, kind := range []struct {
		state string
		mark
		title, titles string
	}{
		{admin.NotConfigured, mark{warn, "not configured"}, "business domain is not configured", "business domains are not configured"},
		{admin.ConfigUnknown, mark{warn, "unknown"}, "business domain cannot be resolved now", "business domains cannot be resolved now"},
	} {
		c := condition{Key: "business-" + kind.state, Mark: kind.mark, URL: "/business", MoreURL: "/business"}
		for i := range s.business {
			b := &s.business[i]
			if b.State != kind.state {
				continue
			}
			if b.Loop {
				c.Mark = mark{bad, "loop"}
			}
			c.Items = append(c.Items, item{link: link{host(b.Domain), address("/business", "domain", b.Domain)}, Note: b.Reason, Since: b.Since})
			if b.Since != nil && (c.Since == nil || b.Since.Before(*c.Since)) {
				c.Since = b.Since
			}
		}
		if len(c.Items) > 0 {
			c.Title = plural(len(c.Items), kind.title, kind.titles)
			all = append(all, c)
		}
	}
	return all
}

// deliveries are ways of telling people that do not work.
func (s *state) deliveries() []condition {
	c := condition{Key: "alerts", Mark: mark{bad, "not told"}, URL: "/alerts", MoreURL: "/alerts"}
	for i := range s.alerts.Groups {
		g := &s.alerts.Groups[i]
		for j := range g.Methods {
			m := &g.Methods[j]
			if m.Error == "" {
				continue
			}
			note := m.Error
			if m.Queued > 0 {
				note = plural(m.Queued, "message waits", "messages wait") + ": " + note
			}
			c.Items = append(c.Items, item{link: link{g.Name + ", " + m.Name, "/alerts"}, Note: note, Since: m.LastFailure})
		}
	}
	if len(c.Items) == 0 {
		return nil
	}
	c.Title = plural(len(c.Items), "way to tell people does not work", "ways to tell people do not work")
	return []condition{c}
}

// steered are overrides and drills: what operators want.
func (s *state) steered() (all []condition) {
	c := condition{Key: "drills", Mark: mark{steer, "drill"}, URL: "/steer", MoreURL: "/steer"}
	for i := range s.drills {
		if d := &s.drills[i]; d.State == admin.DrillRunning {
			c.Items = append(c.Items, item{link: link{d.OverrideTarget.String(), "/steer#" + d.ID}, Note: d.Author + ": " + d.Reason, Since: &d.Started, Until: &d.Ends})
		}
	}
	if len(c.Items) > 0 {
		c.Title = plural(len(c.Items), "drill runs", "drills run")
		all = append(all, c)
	}
	c = condition{Key: "overrides", Mark: mark{steer, "override"}, URL: "/steer", MoreURL: "/steer"}
	for i := range s.Overrides {
		o := &s.Overrides[i]
		if o.Drill != "" {
			continue // told as a drill
		}
		state := o.State
		if o.Phase != "" {
			state = o.Phase
		}
		c.Items = append(c.Items, item{link: link{o.OverrideTarget.String(), "/steer#" + o.ID}, Note: state + ", " + o.Author + ": " + o.Reason, Since: &o.Since, Until: o.Expires})
	}
	if len(c.Items) > 0 {
		c.Title = plural(len(c.Items), "override is in force", "overrides are in force")
		all = append(all, c)
	}
	return all
}
