package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gtmd/admin"
)

// severity is how bad something is that is not normal.
type severity int

const (
	notable  severity = iota // somebody should know: an override, a slow address
	troubled                 // something is lost, and what is served is still good
	critical                 // clients get nothing, or what is not healthy
)

// trouble is one thing that is not normal, on one line.
type trouble struct {
	severity severity
	text     string
}

// digest is a status in short: what is not normal, the worst first, then numbers.
type digest struct {
	head     []string
	troubles []trouble
	counts   []string
	switches []string // the latest first
}

// unsaved is that the state cannot be saved.
func unsaved(s *admin.Status) trouble {
	return trouble{troubled, fmt.Sprintf("the state is NOT SAVED for %s: %s. A restart would not know verdicts, overrides and sets in force", ageOf(s.StateFailed), s.StateError)}
}

// digestOf makes the digest of a status, and of more that is not normal.
func digestOf(s *admin.Status, more ...trouble) digest {
	d := digest{head: headOf(s), troubles: slices.Clone(more)}
	add := func(how severity, format string, args ...any) {
		d.troubles = append(d.troubles, trouble{how, fmt.Sprintf(format, args...)})
	}
	if s.Ready != "ready" {
		add(critical, "NOT READY: %s", s.Ready)
	}
	for _, b := range s.Blind {
		add(troubled, "BLIND for %s, for %s: %s", b.Family, age(b.Since), b.Reason)
	}
	if s.Config.Error != "" {
		first, rest, _ := strings.Cut(s.Config.Error, "\n")
		if more := strings.Count(rest, "\n") + 1; rest != "" {
			first += fmt.Sprintf(" (and %d more)", more)
		}
		add(troubled, "configuration REFUSED %s ago, the older one serves on: %s", ageOf(s.Config.Refused), first)
	}
	if s.StateError != "" {
		d.troubles = append(d.troubles, unsaved(s))
	}
	for i := range s.Databases {
		if db := &s.Databases[i]; db.Refused != nil {
			add(troubled, "database %s: %s, for %s: %s", db.Path, db.State, age(*db.Refused), db.Error)
		}
	}
	d.addPolicies(s)
	d.addAddresses(s)
	for i := range s.Overrides {
		o := &s.Overrides[i]
		add(notable, "override %s: %s is %s, %s, by %s: %s", o.ID, o.OverrideTarget, cmp.Or(o.Phase, o.State), left(o.Expires), o.Author, o.Reason)
	}
	slices.SortStableFunc(d.troubles, func(a, b trouble) int { return cmp.Compare(b.severity, a.severity) })
	if n := len(s.Config.Warnings); n > 0 {
		d.counts = append(d.counts, count(n, "warning")+" about the configuration (gtmd check)")
	}
	for _, sw := range s.Switches {
		d.switches = append(d.switches, fmt.Sprintf("%s  %s, %s %s: %s -> %s, %s", moment(sw.Time), sw.Instance, sw.Policy, sw.Family, sw.From, sw.To,
			strings.TrimSuffix(sw.Why+": "+sw.Reason, ": ")))
	}
	return d
}

func headOf(s *admin.Status) []string {
	return []string{
		fmt.Sprintf("gtmd %s, %s, up %s, listening on %s", s.Version.Version, s.Ready, age(s.Started), join(s.Listen)),
		fmt.Sprintf("configuration %s, hash %.12s, loaded %s ago", s.Config.File, s.Config.Hash, age(s.Config.Loaded)),
	}
}

// howBad is how bad it is that a policy answers as it does; false: it is normal.
func howBad(p *admin.PolicyStatus) (severity, bool) {
	switch p.Why {
	case "normal":
		return 0, false
	case "fail open", "empty", "degraded":
		return critical, true
	case "pinned":
		return notable, true
	default:
		return troubled, true
	}
}

// addPolicies adds the policies that do not answer as they should, and how many there are of each kind.
func (d *digest) addPolicies(s *admin.Status) {
	policies, byWhy := 0, map[string]int{}
	for i := range s.Instances {
		in := &s.Instances[i]
		for j := range in.Policies {
			p := &in.Policies[j]
			policies++
			byWhy[p.Why]++
			how, isOdd := howBad(p)
			if !isOdd {
				continue
			}
			text := fmt.Sprintf("%s, %s %s: %s in force, %s, for %s%s", in.Name, p.Name, p.Family, p.InForce, p.Why, age(p.Since), until(p.Until))
			if len(p.Sets) > 0 && !p.Sets[0].InForce {
				text += "; " + p.Sets[0].Role + " " + p.Sets[0].Verdict
			}
			d.troubles = append(d.troubles, trouble{how, text})
		}
	}
	d.counts = append(d.counts, fmt.Sprintf("%s, %s: %s", count(len(s.Instances), "instance"), plural(policies, "policy", "policies"), byCount(byWhy)))
}

// addAddresses adds the addresses that are down or show something, and how many there are of each kind.
func (d *digest) addAddresses(s *admin.Status) {
	addresses, byStanding := 0, map[string]int{}
	for i := range s.Pools {
		pool := &s.Pools[i]
		for j := range pool.Addresses {
			a := &pool.Addresses[j]
			addresses++
			byStanding[a.Standing]++
			how, text := notable, note(a)
			switch {
			case a.Standing == "down":
				how = troubled
			case a.Override != nil || text == "":
				continue // told of the override
			}
			d.troubles = append(d.troubles, trouble{how, fmt.Sprintf("%s of pool %s: %s for %s: %s", a.Address, pool.Name, a.Standing, ageOf(since(a)), text)})
		}
		for j := range pool.Resolved {
			if r := &pool.Resolved[j]; r.Error != "" {
				d.troubles = append(d.troubles, trouble{troubled, fmt.Sprintf("%s of pool %s: %s", r.Name, pool.Name, resolutionNote(r))})
			}
		}
	}
	d.counts = append(d.counts, fmt.Sprintf("%s, %s: %s", count(len(s.Pools), "pool"), plural(addresses, "address", "addresses"), byCount(byStanding)))
}

// byCount writes numbers of things, that of most first: "998 normal, 2 failover".
func byCount(numbers map[string]int) string {
	var names []string
	for name := range numbers {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(numbers[b], numbers[a]), cmp.Compare(a, b)) })
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", numbers[name], name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// lines are at most so many lines of the digest: of what is not normal as many as there is room for.
func (d *digest) lines(most int) []string {
	lines := append(slices.Clone(d.head), d.counts...)
	room := max(most-len(lines)-1, 1)
	lines = append(lines, "")
	switch n := len(d.troubles); {
	case n == 0:
		lines = append(lines, "everything is normal")
	case n > 1 && room == 1:
		lines = append(lines, fmt.Sprintf("%d things are not normal: %s", n, d.troubles[0].text))
	default:
		shown := n
		if n > room {
			shown = room - 1
		}
		for _, t := range d.troubles[:shown] {
			lines = append(lines, t.text)
		}
		if n > shown {
			lines = append(lines, fmt.Sprintf("and %d more that are not normal: gtmd status --all", n-shown))
		}
	}
	if room = most - len(lines) - 2; len(d.switches) > 0 && room > 0 {
		lines = append(lines, "", "LAST SWITCHES")
		lines = append(lines, d.switches[:min(len(d.switches), room, 5)]...)
	}
	return lines
}
