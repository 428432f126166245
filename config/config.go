// Package config turns a configuration file into a [Config], or into every problem in it at once.
//
// Each package owns the option struct of its own section, with the TOML keys, the defaults and the ranges in its tags.
// This package puts them together into a [File] and does what needs two sections, or a look at other files. Data moves
// one way:
//
//	text -> document (tree, positions) -> File (decoded, merged) -> Zones, Pools, Latency (checked) -> Config
//
// Each step adds the problems that it finds, with their positions, and goes on as far as it can. Nothing is served
// from here and nothing is changed: checking a file is loading it.
package config

import "gtmd/server"

// Config is a configuration without errors. It is immutable and safe for concurrent use.
type Config struct {
	// File holds the options of all files, with the defaults filled in. Domain names are in lower case and fully
	// qualified, addresses in their canonical text, and the paths of files that options name lead there from the working
	// directory.
	File File
	// Zones are the zones in file order, with their records.
	Zones []Zone
	// Pools are the pools in file order, with their addresses parsed.
	Pools []Pool
	// Keys are the TSIG keys with their secrets.
	Keys []*server.Key
	// Latency is the latency table in the order of the configuration, with the entries of each file in the place of that.
	Latency []Latency
	// Files are the files that were read: the main file first, included files, zone files and what those include, latency
	// tables. Files with secrets, the certificates of health checks and the databases of [geo] are not among them.
	Files []string
	// Texts are what Files had in them when they were read, in the same order, with whatever secrets they have: see [Mask]. Those
	// for which there was no room, more than 8 MiB in all, are empty.
	Texts []string
	// Hash is a SHA-256 over the contents of Files, in hexadecimal. Equal hashes mean equal contents.
	Hash string
	// Warnings are what looks wrong but can be served, sorted as [Problems] are.
	Warnings []Problem

	merged *merger
	hosts  map[string]string // by pool, see CheckHost
}

// Load reads the configuration file at path with all files that it names. The error is [Problems].
func Load(path string) (*Config, error) {
	from := newSource()
	text, err := from.read(path)
	if err != nil {
		return nil, Problems{{File: path, Message: err.Error()}}
	}
	return load(path, string(text), from)
}

// LoadText is [Load] for a text at hand. The text stands for a file called name, which need not exist: other files are
// found from its directory. The error is [Problems].
func LoadText(name string, text []byte) (*Config, error) {
	from := newSource()
	from.add(name, text)
	return load(name, string(text), from)
}

// load builds the configuration of a text that source knows already.
func load(name, text string, from *source) (*Config, error) {
	merged := &merger{}
	defer merged.settle()
	merged.load(name, text, from)
	if merged.unread {
		return nil, from.withLines(merged.problems.sorted())
	}
	config := &Config{File: merged.file, merged: merged}
	check := &checker{config: config, from: from, problems: merged.problems, sources: map[string]parsedSource{}, rowErrors: map[string]int{}}
	check.all()
	if len(check.problems) > 0 {
		return nil, from.withLines(check.problems.sorted())
	}
	config.Warnings = check.warnings.sorted()
	config.Files, config.Texts, config.Hash = from.files, from.texts, from.digest()
	return config, nil
}

// Problem returns a problem with the key at path in File, such as "pool[1].health_check", for checks that come after
// loading. It has the position of the key or, where the key is not written, of the nearest table around it.
func (c *Config) Problem(path, message string) Problem {
	from := c.merged.locate(path)
	at := from.position()
	return Problem{File: from.doc.name, Line: at.line, Column: at.column, Key: from.path, Message: message}
}

// CheckHost returns the host that the health check of a pool asks for when its template names none: the first business
// domain, without its trailing dot, of the first instance in file order that uses the pool and has one. It is "" when
// there is none.
func (c *Config) CheckHost(pool string) string {
	return c.hosts[pool]
}
