package geo

import "net/netip"

// Options is the [geo] section of the configuration.
type Options struct {
	// Custom lines: named lists of prefixes that policies use as request sources.
	Lines []LineOptions `toml:"line"`
}

// LineOptions is one [[geo.line]]: a custom line.
type LineOptions struct {
	// Name of the line, as the sources of policies give it.
	Name string `toml:"name" required:"true"`
	// The networks of the line, IPv4 and IPv6. Lines may nest: the longest prefix wins.
	Prefixes []netip.Prefix `toml:"prefixes" required:"true"`
}
