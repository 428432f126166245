package config

import (
	"fmt"
	"strings"

	"gtmd/geo"
	"gtmd/policy"
)

// Latency is one entry of the latency table: the round-trip time between clients and a pool. It is a value.
type Latency struct {
	// From is the request source of the clients, as it is written.
	From string
	// Pool is the name of the pool.
	Pool string
	// MS is in milliseconds.
	MS float64
	// At is where From is written, as a problem without a message.
	At Problem
}

// latencyEntry is an entry with the place of its pool, as a problem without a message.
type latencyEntry struct {
	Latency
	pool Problem
	// isRow is true for a row of a file, where messages have to name the column.
	isRow bool
}

// complain adds a problem of one column of the entry, unless its file has enough of them already.
func (k *checker) complain(e *latencyEntry, at Problem, message string) {
	if at.Message = message; e.isRow {
		at.Message = at.Key + ": " + message
		if k.rowErrors[at.File]++; k.rowErrors[at.File] > maxRowErrors {
			return
		}
	}
	k.problems = append(k.problems, at)
}

// latencyKey is what the table has one latency for.
type latencyKey struct {
	from geo.Selector
	pool string
}

// checkLatency puts the latency table together, and checks its entries against the sources and pools.
func (k *checker) checkLatency() {
	entries := k.latencyEntries()
	first := map[latencyKey]*latencyEntry{}
	for i := range entries {
		e := &entries[i]
		k.config.Latency = append(k.config.Latency, e.Latency)
		selector, complaint, ok := k.source(e.From)
		if complaint != "" {
			k.complain(e, e.At, complaint)
		}
		if _, isKnown := k.pools.first[e.Pool]; !isKnown {
			if !k.pools.nameless {
				k.complain(e, e.pool, fmt.Sprintf("there is no pool %s%s", quote(e.Pool), k.choices(e.Pool, k.pools.names, "[[pool]]")))
			}
			continue
		}
		if !ok {
			continue
		}
		key := latencyKey{selector, e.Pool}
		other, isTwice := first[key]
		if !isTwice {
			first[key] = e
			continue
		}
		means := ""
		if other.From != e.From {
			means = fmt.Sprintf(", which means the same clients as %s,", quote(other.From))
		}
		at := position{other.At.Line, other.At.Column}
		k.complain(e, e.At, fmt.Sprintf("the latency from %s%s to pool %s is given already at %s: want it once",
			quote(e.From), means, quote(e.Pool), at.in(other.At.File)))
	}
	k.warnOfLatency(entries)
}

// latencyEntries are the complete entries of the table in the order of the configuration.
func (k *checker) latencyEntries() []latencyEntry {
	var entries []latencyEntry
	files := map[string]int{}
	for i := range k.config.File.Latency {
		o, at := &k.config.File.Latency[i], element("latency", i)
		if o.File == "" {
			if o.From != "" && o.Pool != "" && o.MS != nil {
				entries = append(entries, latencyEntry{
					Latency: Latency{From: o.From, Pool: o.Pool, MS: *o.MS, At: k.config.Problem(at+".from", "")},
					pool:    k.config.Problem(at+".pool", ""),
				})
			}
			continue
		}
		k.resolve(&o.File, at+".file")
		if j, ok := files[o.File]; ok {
			k.errorf(at+".file", "file %s is listed already as latency[%d]: want it once", quote(o.File), j)
			continue
		}
		files[o.File] = i
		text, err := k.from.read(o.File)
		if err != nil {
			k.errorf(at+".file", "the file of the latency table: %v: want CSV with the header %q", err, strings.Join(latencyColumns, ","))
			continue
		}
		rows, problems := readLatency(o.File, text)
		entries, k.problems = append(entries, rows...), append(k.problems, problems...)
	}
	return entries
}

// warnOfLatency warns of entries that no instance looks at, and of pools whose latency nothing tells.
func (k *checker) warnOfLatency(entries []latencyEntry) {
	known := map[string]bool{}
	for _, e := range entries {
		known[e.Pool] = true
	}
	used, isUsed := map[string]bool{}, false
	for i := range k.config.File.Instances {
		instance := &k.config.File.Instances[i]
		if !byLatency(instance) {
			continue
		}
		isUsed = true
		for pool := range members(instance) {
			used[pool] = true
		}
		k.warnOfUnmeasured(instance, known)
	}
	if !isUsed && len(k.config.File.Latency) > 0 {
		k.warnf("latency[0]", "the latency table is not used: no instance has access_policy_type = \"latency\"")
		return
	}
	for i := range entries {
		e := &entries[i]
		if _, ok := k.pools.first[e.Pool]; ok && !used[e.Pool] {
			used[e.Pool] = true
			at := e.pool
			at.Message = fmt.Sprintf("no instance with access_policy_type = \"latency\" has pool %s: its latencies do not count", quote(e.Pool))
			k.warnings = append(k.warnings, at)
		}
	}
}

// warnOfUnmeasured warns of the pools of an instance whose latency is neither known nor measured, where there is a choice.
func (k *checker) warnOfUnmeasured(instance *policy.InstanceOptions, known map[string]bool) {
	for i := range instance.Policies {
		for set := range sets(&instance.Policies[i]) {
			for _, member := range set.Pools {
				n, ok := k.pools.first[member.Pool]
				if !ok || len(set.Pools) < 2 || known[member.Pool] || len(checksOf(&k.config.File.Pools[n])) > 0 {
					continue
				}
				k.warnf(element("pool", n), "pool %s has neither a [[latency]] nor a health check that would measure one: instance %s takes it last",
					quote(member.Pool), quote(instance.Name))
			}
		}
	}
}
