package node

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gtmd/config"
	"gtmd/geo"
	"gtmd/policy"
	"gtmd/server/view"
)

// use is a request source that the configuration names: in policies, or in a row of the latency table.
type use struct {
	text     string
	selector geo.Selector
	places   []usePlace
	row      *config.Problem // of a row: where it is, without a message
}

// usePlace is where a policy names a source.
type usePlace struct{ instance, policy, source int32 }

// problem is the problem that the place has with a message.
func (u usePlace) problem(c *config.Config, message string) config.Problem {
	return c.Problem(fmt.Sprintf("instance[%d].policy[%d].sources[%d]", u.instance, u.policy, u.source), message)
}

// compileSources parses the request sources of all policies and of the latency table. Policies with the same sources share
// the list of them.
func (p *plan) compileSources() error {
	file := &p.config.File
	known, lists := map[string]*use{}, map[string][]geo.Selector{}
	var order []*use
	p.sources = make([][][]geo.Selector, 0, len(file.Instances))
	for i := range file.Instances {
		o := &file.Instances[i]
		sources := make([][]geo.Selector, len(o.Policies))
		for j := range o.Policies {
			access := &o.Policies[j]
			for k, text := range access.Sources {
				u := known[text]
				if u == nil {
					selector, err := geo.ParseSelector(text, file.Geo.Lines, file.Geo.ISPs)
					if err != nil {
						return fmt.Errorf("instance %q, policy %q: %w", o.Name, access.Name, err)
					}
					u = &use{text: text, selector: selector}
					known[text] = u
					order = append(order, u)
				}
				u.places = append(u.places, usePlace{int32(i), int32(j), int32(k)})
			}
			id := strings.Join(access.Sources, "\n") // which no source has
			list, isKnown := lists[id]
			if !isKnown {
				for _, text := range access.Sources {
					list = append(list, known[text].selector)
				}
				lists[id] = list
			}
			sources[j] = list
			p.places = p.places || asksForPlaces(access)
		}
		p.sources = append(p.sources, sources)
	}
	for _, u := range order {
		p.uses = append(p.uses, *u)
	}
	for _, l := range p.config.Latency {
		selector, err := geo.ParseSelector(l.From, file.Geo.Lines, file.Geo.ISPs)
		if err != nil {
			return fmt.Errorf("latency from %q to pool %q: %w", l.From, l.Pool, err)
		}
		p.latency = append(p.latency, view.Latency{From: selector, Pool: l.Pool, MS: uint32(math.Round(l.MS))})
		p.uses = append(p.uses, use{text: l.From, selector: selector, row: &l.At})
	}
	return nil
}

// asksForPlaces reports whether some set of a policy goes by where clients are.
func asksForPlaces(access *policy.PolicyOptions) bool {
	isNearest := func(set policy.SetOptions) bool { return set.Balance == policy.BalanceNearest }
	return isNearest(access.Primary) || slices.ContainsFunc(access.Backup, isNearest)
}

// latencyOf are the entries of the latency table for the pools of an instance; nil when it goes by geography.
func (p *plan) latencyOf(instance int) []view.Latency {
	o := p.config.File.Instances[instance]
	if o.AccessPolicyType != policy.PolicyLatency {
		return nil
	}
	members := map[string]bool{}
	for _, access := range o.Policies {
		for _, set := range append([]policy.SetOptions{access.Primary}, access.Backup...) {
			for _, ref := range set.Pools {
				members[ref.Pool] = true
			}
		}
	}
	all := []view.Latency{}
	for _, l := range p.latency {
		if members[l.Pool] {
			all = append(all, l)
		}
	}
	return all
}

// tellUses returns a problem for each place that names a source which is to be told of. Of a source in several rows of the
// latency table the first is told.
func (p *plan) tellUses(isTold func(geo.Selector) bool, message func(use) string) config.Problems {
	var problems config.Problems
	inTable := map[string]bool{}
	for _, u := range p.uses {
		switch {
		case !isTold(u.selector) || u.row != nil && inTable[u.text]:
		case u.row != nil:
			inTable[u.text] = true
			problem := *u.row
			problem.Message = message(u)
			problems = append(problems, problem)
		default:
			for _, at := range u.places {
				problems = append(problems, at.problem(p.config, message(u)))
			}
		}
	}
	return problems
}

// unmatchable lists the sources that none of the databases can match.
func (p *plan) unmatchable(databases []*database) config.Problems {
	have, isps := knowledge(databases), p.config.File.Geo.ISPs
	return p.tellUses(func(s geo.Selector) bool { return s.Missing(have, isps) != "" }, func(u use) string {
		return fmt.Sprintf("source %q needs %s: %s", u.text, u.selector.Missing(have, isps), wanted(databases))
	})
}

// wanted says what to do about a database that is missing.
func wanted(databases []*database) string {
	const add = "add its file to databases in [geo], "
	if len(databases) == 0 {
		return add + "which has none"
	}
	var types []string
	for _, d := range databases {
		name := d.Type
		if d.refused != nil {
			name += fmt.Sprintf(" (in place of a file that is refused: %v)", d.refused)
		}
		types = append(types, name)
	}
	return add + "which has " + strings.Join(types, ", ")
}

// compileGeography reads the databases and compiles the Map. Before are the databases that serve; there may be none. Its
// error is config.Problems where it is about the configuration.
func (p *plan) compileGeography(a *atlas, before []*database) error {
	var problems config.Problems
	if p.databases, problems = a.load(p, before); len(problems) > 0 {
		return problems
	}
	return p.compileMap(a)
}

// compileMap lays the databases and lines over the address space, unless that has been done.
func (p *plan) compileMap(a *atlas) error {
	in := geo.Input{Lines: p.config.File.Geo.Lines, ISPs: p.config.File.Geo.ISPs, Places: p.places}
	for _, u := range p.uses {
		in.Selectors = append(in.Selectors, u.selector)
	}
	for _, d := range p.databases {
		in.Databases = append(in.Databases, d.Database)
	}
	p.input = inputID(in)
	if a.built == nil || a.input != p.input {
		begin := time.Now()
		built, err := geo.Compile(in)
		if err != nil {
			return fmt.Errorf("compile the geography: %w", err)
		}
		a.builds++
		a.built, a.input, a.duration = built, p.input, time.Since(begin)
	}
	p.geo, p.buildDuration = a.built, a.duration
	p.warnings = slices.Concat(p.config.Warnings, p.unmatched(), p.placeless())
	sortProblems(p.warnings)
	return nil
}

// inputID is the same for two inputs that compile to the same Map.
func inputID(in geo.Input) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n%q\n%t\n", fmt.Sprint(in.Lines), fmt.Sprint(in.ISPs), in.Places)
	for _, d := range in.Databases {
		fmt.Fprintf(h, "%q %s\n", d.Path, d.Hash)
	}
	var sources []string
	for _, s := range in.Selectors {
		sources = append(sources, s.String())
	}
	slices.Sort(sources)
	fmt.Fprintf(h, "%q", slices.Compact(sources))
	return string(h.Sum(nil))
}

// unmatched warns of sources that match no network at all.
func (p *plan) unmatched() config.Problems {
	found := map[geo.Selector]bool{geo.Global: true}
	for class := range p.geo.Classes() {
		for _, s := range p.geo.Chain(geo.Class(class)) {
			found[s] = true
		}
	}
	return p.tellUses(func(s geo.Selector) bool { return !found[s] }, func(u use) string {
		return fmt.Sprintf("source %q matches no network%s", u.text, p.inLoaded())
	})
}

func (p *plan) inLoaded() string {
	switch len(p.databases) {
	case 0:
		return ""
	case 1:
		return " of the database"
	default:
		return " of the databases"
	}
}

// placeless warns where the nearest pool is asked for and nothing says where clients are.
func (p *plan) placeless() config.Problems {
	if !p.places || knowledge(p.databases)&located != 0 {
		return nil
	}
	var warnings config.Problems
	for i, o := range p.config.File.Instances {
		for j, access := range o.Policies {
			key := fmt.Sprintf("instance[%d].policy[%d].", i, j)
			if access.Primary.Balance == policy.BalanceNearest {
				warnings = append(warnings, p.config.Problem(key+"primary.balance", noPlaces+wanted(p.databases)))
			}
			for k, set := range access.Backup {
				if set.Balance == policy.BalanceNearest {
					warnings = append(warnings, p.config.Problem(fmt.Sprintf("%sbackup[%d].balance", key, k), noPlaces+wanted(p.databases)))
				}
			}
		}
	}
	return warnings
}

const noPlaces = `balance "nearest" is the order of the pools as long as no City or Country database says where ` +
	"clients are: "

// old warns of databases that are older than max_age at a time.
func (p *plan) old(now time.Time) config.Problems {
	var warnings config.Problems
	for i, d := range p.databases {
		if limit := p.config.File.Geo.MaxAge; limit > 0 && now.Sub(d.Built) >= limit {
			warnings = append(warnings, p.config.Problem(fmt.Sprintf("geo.databases[%d]", i), d.ageWarning(now, limit)))
		}
	}
	return warnings
}

func (d *database) ageWarning(now time.Time, limit time.Duration) string {
	return fmt.Sprintf("geo database %q was built %s, %s ago: want a newer one, at most %s old (max_age)",
		d.path, day(d.Built), days(now.Sub(d.Built)), days(limit))
}

// days writes a length of time in whole days, or less than that as it is.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < day:
		return d.Round(time.Second).String()
	case d < 2*day:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", d/day)
	}
}

// refusals are warnings of databases whose files are not what serves.
func (p *plan) refusals() config.Problems {
	var warnings config.Problems
	for i, d := range p.databases {
		if d.refused != nil {
			warnings = append(warnings, p.config.Problem(fmt.Sprintf("geo.databases[%d]", i),
				fmt.Sprintf("%v: refused, %s serves", d.refused, d.serving())))
		}
	}
	return warnings
}

// oddities are what looks wrong in the configuration and in the databases that serve at a time, in the order of the text.
func (p *plan) oddities(now time.Time) config.Problems {
	all := slices.Concat(p.warnings, p.old(now))
	sortProblems(all)
	return all
}

// allWarnings are the oddities and the refusals at a time, in the order of the text.
func (p *plan) allWarnings(now time.Time) config.Problems {
	all := slices.Concat(p.refusals(), p.oddities(now))
	sortProblems(all)
	return all
}

func sortProblems(all config.Problems) {
	slices.SortStableFunc(all, func(a, b config.Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// joinProblems puts errors together so that those that are config.Problems become one.
func joinProblems(errs ...error) error {
	var problems config.Problems
	var others []error
	for _, err := range errs {
		if some := (config.Problems)(nil); errors.As(err, &some) {
			problems = append(problems, some...)
		} else if err != nil {
			others = append(others, err)
		}
	}
	if len(problems) > 0 {
		sortProblems(problems)
		others = append([]error{problems}, others...)
	}
	if len(others) == 1 {
		return others[0]
	}
	return errors.Join(others...)
}
