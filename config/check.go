package config

import (
	"fmt"
	"iter"
	"strings"
	"unicode"

	"gtmd/geo"
	"gtmd/policy"
)

// checker holds the sections of a configuration against each other, brings names and addresses to their canonical form,
// and reads the files that options name. A value that decoding refused is at its default by now and has its problem.
type checker struct {
	config   *Config
	from     *source
	problems Problems
	warnings Problems

	guesses int // for how many unknown names a long list was gone through

	zones, checks, pools, keys index
	alertGroups                index
	zoneRecords                []*zoneRecords // of each zone
	// isNameless is true when some [[geo.line]] or [[geo.isp]] lacks its name, so that an unknown source may be meant for it.
	isNameless bool
	sources    map[string]parsedSource // by text
	rowErrors  map[string]int          // problems in the rows of a latency file
}

// all runs every check. Later ones rely on what earlier ones made canonical.
func (k *checker) all() {
	k.listeners()
	k.files()
	k.checkDatabases()
	k.checkLines()
	k.checkISPs()
	k.checkKeys()
	k.checkTransfers()
	k.checkZones()
	k.checkHealthChecks()
	k.checkBlind()
	k.checkPools()
	k.checkInstances()
	k.checkAlerts()
	k.checkBusiness()
	k.checkLatency()
	k.checkUnused()
	k.checkSlowStart()
	k.checkHosts()
}

// errorf adds an error of the key at path in the merged file.
func (k *checker) errorf(path, format string, args ...any) {
	k.problems = append(k.problems, k.config.Problem(path, fmt.Sprintf(format, args...)))
}

// warnf adds a warning of the key at path in the merged file.
func (k *checker) warnf(path, format string, args ...any) {
	k.warnings = append(k.warnings, k.config.Problem(path, fmt.Sprintf(format, args...)))
}

// isWritten tells whether some file has the key at path in the merged file, whatever its value.
func (k *checker) isWritten(path string) bool {
	from := k.config.merged.locate(path)
	_, isWritten := from.doc.positions().nearest(from.path)
	return isWritten
}

// where is the position of the key at path in the merged file, as messages name it.
func (k *checker) where(path string) string {
	p := k.config.Problem(path, "")
	return (position{p.Line, p.Column}).in(p.File)
}

// index finds the members of a list by name.
type index struct {
	first map[string]int // the first of each name
	names []string       // in file order, each once
	// nameless is true when some member lacks its name, so that an unknown name may be meant for it.
	nameless bool
}

// unique indexes a list by names, and reports names that occur twice. The path is that of an element's name.
func (k *checker) unique(kind string, names []string, path func(i int) string) index {
	x := index{first: map[string]int{}}
	for i, name := range names {
		if name == "" {
			x.nameless = true
			continue
		}
		if first, ok := x.first[name]; ok {
			k.errorf(path(i), "%s %s is already defined at %s", kind, quote(strings.TrimSuffix(name, ".")), k.where(path(first)))
			continue
		}
		x.first[name] = i
		x.names = append(x.names, name)
	}
	return x
}

// lookup finds the member that the key at path refers to, or reports that there is none.
func (k *checker) lookup(x index, kind, section, name, path string) (int, bool) {
	i, ok := x.first[name]
	if !ok && !x.nameless && name != "" {
		k.errorf(path, "there is no %s %s%s", kind, quote(name), k.choices(name, x.names, section))
	}
	return i, ok
}

// mostGuesses is for how many unknown names the one that was meant is looked for in a long list. A file with more, such as one in
// which all names of a list were changed, has another error than that of a slip, and each guess compares with the whole list.
const mostGuesses = 200

// choices is the end of a message about an unknown name: the one it is like, or those there are.
func (k *checker) choices(name string, known []string, section string) string {
	const most, long = 8, 1000
	if len(known) == 0 {
		return ": define it in " + section
	}
	if len(known) > long {
		k.guesses++
	}
	if len(known) <= long || k.guesses <= mostGuesses {
		if near := suggest(name, known); near != "" {
			return ": did you mean " + quote(near) + "?"
		}
	}
	if len(known) > most {
		return ": define it in " + section
	}
	return ": want " + enumerate(quoted(known), "or")
}

// checkName reports a name that is no name: free text without control characters, at most 64 octets.
func (k *checker) checkName(path, kind, name string) {
	const limit = 64
	if len(name) > limit {
		k.errorf(path, "%s name %s has %d octets: want at most %d", kind, quote(name), len(name), limit)
	}
	if strings.ContainsFunc(name, unicode.IsControl) {
		k.errorf(path, "%s name %s has a control character: want plain text", kind, quote(name))
	}
}

// checkUnused warns of what is defined and not used.
func (k *checker) checkUnused() {
	file := &k.config.File
	pools, checks, sources := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range file.Instances {
		for pool := range members(&file.Instances[i]) {
			pools[pool] = true
		}
		for _, p := range file.Instances[i].Policies {
			for _, source := range p.Sources {
				sources[source] = true
			}
		}
	}
	for _, latency := range k.config.Latency {
		sources[latency.From] = true
	}
	for i, pool := range file.Pools {
		for _, name := range checksOf(&pool) {
			checks[name] = true
		}
		if !pools[pool.Name] {
			k.warnf(element("pool", i), "pool %s is not used by any policy", quote(pool.Name))
		}
	}
	checks[file.Blind.HealthCheck] = true
	for i, check := range file.HealthChecks {
		if !checks[check.Name] {
			k.warnf(element("health_check", i), "health check %s is not used by any pool", quote(check.Name))
		}
	}
	for i, line := range file.Geo.Lines {
		if !sources[line.Name] && !sources[geo.WiderLine(line.Name)] {
			k.warnf(element("geo.line", i), "line %s is not a source of any policy", quote(line.Name))
		}
	}
}

// sets yields the sets of a policy with the path of each in it: the primary, then the backups.
func sets(p *policy.PolicyOptions) iter.Seq2[*policy.SetOptions, string] {
	return func(yield func(*policy.SetOptions, string) bool) {
		if !yield(&p.Primary, "primary") {
			return
		}
		for i := range p.Backup {
			if !yield(&p.Backup[i], element("backup", i)) {
				return
			}
		}
	}
}

// members yields the name of every pool in every set of an instance. A pool in several sets comes several times.
func members(instance *policy.InstanceOptions) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range instance.Policies {
			for set := range sets(&instance.Policies[i]) {
				for _, member := range set.Pools {
					if !yield(member.Pool) {
						return
					}
				}
			}
		}
	}
}
