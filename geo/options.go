package geo

import (
	"net/netip"
	"time"
)

// Options is the [geo] section of the configuration.
type Options struct {
	// Database files in the MaxMind DB format (mmdb): City, Country, ASN and ISP types of GeoLite2, GeoIP2 and DB-IP, flat ones such as IPinfo Lite, and those of "gtmd geo build". Where several know something of a client, the first in the list counts. A replaced file is picked up by itself.
	Databases []string `toml:"databases"`
	// Age of a database, counted from when it was built, from which on it is warned about. 0s: never.
	MaxAge time.Duration `toml:"max_age" default:"1440h" range:"0s..87600h"`
	// Custom lines: named lists of prefixes that policies use as request sources.
	Lines []LineOptions `toml:"line"`
	// Internet service providers, in addition to those that gtmd knows (gtmd lines --kind isp) or instead of them.
	ISPs []ISPOptions `toml:"isp"`
}

// LineOptions is one [[geo.line]]: a custom line, or one of the search engine and cloud provider lines of the catalogue,
// which have no prefixes until an operator fills them in.
type LineOptions struct {
	// Name of the line, as the sources of policies give it: a name of its own, or the code of a search engine or cloud provider (google, aliyun_r_cn-beijing).
	Name string `toml:"name" required:"true"`
	// The networks of the line, IPv4 and IPv6. Lines may nest: the longest prefix wins.
	Prefixes []netip.Prefix `toml:"prefixes" required:"true"`
}

// ISPOptions is one [[geo.isp]]: an Internet service provider, by its autonomous systems.
type ISPOptions struct {
	// Code of the provider: one that gtmd knows, such as telecom, or a new one, which sources name as isp:CODE.
	Name string `toml:"name" required:"true"`
	// The numbers of its autonomous systems.
	ASNs []int `toml:"asns" range:"1..4294967295"`
	// Its names in the "isp" or "organization" field of an ISP database, or of its autonomous systems where there is neither, compared without regard to case.
	Names []string `toml:"names"`
	// Replace what gtmd knows of the provider; otherwise this is added to it.
	Replace bool `toml:"replace" default:"false"`
}
