package config

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"gtmd/geo"
)

// checkDatabases makes the paths of the databases lead there from the working directory. Whether there is a database
// shows when it is read.
func (k *checker) checkDatabases() {
	databases := k.config.File.Geo.Databases
	first := map[string]int{}
	for i := range databases {
		path := element("geo.databases", i)
		if databases[i] == "" {
			continue
		}
		k.resolve(&databases[i], path)
		name := filepath.Clean(databases[i])
		if j, ok := first[name]; ok {
			k.errorf(path, "database %s is listed already as databases[%d]: want it once", quote(databases[i]), j)
			continue
		}
		first[name] = i
	}
}

// checkLines checks the custom lines, and the lines of the catalogue that are filled with prefixes.
func (k *checker) checkLines() {
	lines := k.config.File.Geo.Lines
	names := make([]string, len(lines))
	prefixes := map[netip.Prefix][]written{}
	for i, line := range lines {
		at := element("geo.line", i)
		names[i] = line.Name
		k.checkName(at+".name", "line", line.Name)
		if line.Name != "" {
			if problem := geo.LineNameProblem(line.Name, k.config.File.Geo.ISPs); problem != "" {
				k.errorf(at+".name", "line name %s: %s", quote(line.Name), problem)
			}
		}
		for j, prefix := range line.Prefixes {
			key := element(at+".prefixes", j)
			if !prefix.IsValid() {
				continue
			}
			if prefix.Addr().Is4In6() {
				k.errorf(key, "%s is an IPv4 address mapped to IPv6: want the IPv4 prefix", prefix)
				continue
			}
			// A line of another rank may have it too: "office" comes before "google".
			isTwice := func(w written) bool { return geo.SameRank(w.line, line.Name) }
			if first := slices.IndexFunc(prefixes[prefix], isTwice); first >= 0 {
				k.errorf(key, "%s is already given at %s: a prefix belongs to one line", prefix, k.where(prefixes[prefix][first].key))
				continue
			}
			prefixes[prefix] = append(prefixes[prefix], written{line.Name, key})
		}
	}
	x := k.unique("line", names, func(i int) string { return element("geo.line", i) + ".name" })
	k.isNameless = k.isNameless || x.nameless
}

// written is where a prefix of a line stands.
type written struct{ line, key string }

// checkISPs checks the Internet service providers.
func (k *checker) checkISPs() {
	isps := k.config.File.Geo.ISPs
	names := make([]string, len(isps))
	for i, isp := range isps {
		at := element("geo.isp", i)
		names[i] = isp.Name
		k.checkName(at+".name", "isp", isp.Name)
		if strings.Contains(isp.Name, ":") {
			k.errorf(at+".name", "isp name %s has a colon: want a code such as \"telecom\", which sources name as \"isp:telecom\"", quote(isp.Name))
		}
		isRefused := isp.ASNs == nil && k.isWritten(at+".asns") || isp.Names == nil && k.isWritten(at+".names")
		if len(isp.ASNs) == 0 && len(isp.Names) == 0 && !isRefused {
			k.errorf(at, "isp %s has neither asns nor names: give it one of them", quote(isp.Name))
		}
	}
	x := k.unique("isp", names, func(i int) string { return element("geo.isp", i) + ".name" })
	k.isNameless = k.isNameless || x.nameless
}

// parsedSource is what a request source means, or why it means nothing.
type parsedSource struct {
	selector geo.Selector
	err      error
}

// source parses a request source, each text once. Where it means nothing, the complaint says why; it is empty where that
// has been said, or where a line or provider that lacks its name may be meant.
func (k *checker) source(text string) (selector geo.Selector, complaint string, ok bool) {
	parsed, isKnown := k.sources[text]
	if !isKnown {
		parsed.selector, parsed.err = geo.ParseSelector(text, k.config.File.Geo.Lines, k.config.File.Geo.ISPs)
		k.sources[text] = parsed
	}
	if parsed.err == nil {
		return parsed.selector, "", true
	}
	if text == "" || k.isNameless {
		return geo.Selector{}, "", false
	}
	return geo.Selector{}, parsed.err.Error(), false
}
