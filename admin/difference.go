package admin

// DiffRequest asks what a configuration file would change.
type DiffRequest struct {
	// Path is that of the file, absolute; empty: the file that is served, as it is on disk now.
	Path string `json:"path"`
}

// Difference is what a configuration changes for clients.
type Difference struct {
	// From and To are the hashes of the configurations.
	From string `json:"from"`
	To   string `json:"to"`
	// Names are those whose answer changes for some client, in order, once for each type of record. One of which only the TTL changes is
	// among them, with shares of 0 and a note. What a wildcard, a delegation or a DNAME says of other names is told of its own name, and
	// of access domains the types A and AAAA are, also where the answer is a CNAME.
	Names []NameDifference `json:"names"`
	// Unchanged is how many names answer everybody as before.
	Unchanged int `json:"unchanged"`
	// Other are changes that are not of answers: listeners, health checks, alert groups.
	Other []string `json:"other,omitempty"`
	// Warnings of the new configuration.
	Warnings []string `json:"warnings,omitempty"`
}

// ReloadReply is the answer of POST /api/v1/reload: the state of the configuration that is served, and what it has changed.
type ReloadReply struct {
	ConfigStatus
	Difference Difference `json:"difference"`
}

// NameDifference is what changes for one name and type.
type NameDifference struct {
	Name string `json:"name"`
	Type string `json:"type"` // "A", "AAAA", ...
	// Change is "added", "removed" or "changed".
	Change string `json:"change"`
	// ShareIPv4 and ShareIPv6 are the part of the address space of each family of clients whose answer changes, from 0 to 1: of all of
	// IPv4, and of 2000::/3 without the addresses that hold an IPv4 address.
	ShareIPv4 float64 `json:"share_ipv4"`
	ShareIPv6 float64 `json:"share_ipv6"`
	// Examples are some clients, with what they get before and after.
	Examples []ClientDifference `json:"examples,omitempty"`
	// Note says what else changes: the TTL, a set that stands by.
	Note string `json:"note,omitempty"`
}

// ClientDifference is what one client gets.
type ClientDifference struct {
	Client string `json:"client"` // a prefix; a static answer is that of 0.0.0.0/0
	// Line is the request source by which the client gets what it gets, in the new configuration or, where it has none, in the old one.
	Line string `json:"line,omitempty"`
	// Before and After are records, or in words how one is chosen; "(NXDOMAIN)", "(no data)" or "(REFUSED)" where there is none.
	Before []string `json:"before"`
	After  []string `json:"after"`
}
