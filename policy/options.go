package policy

import (
	"fmt"
	"time"
)

// PoolType says what the addresses of a pool are. It is fixed for the life of a pool.
type PoolType string

// The pool types (Alibaba: IPV4, IPV6, DOMAIN).
const (
	TypeIPv4   PoolType = "ipv4"
	TypeIPv6   PoolType = "ipv6"
	TypeDomain PoolType = "domain"
)

// Values lists what a configuration may say.
func (PoolType) Values() []string { return []string{"ipv4", "ipv6", "domain"} }

// Balance says how a set, or a pool inside a set, shares its available addresses among queries.
type Balance string

// The ways to balance (Alibaba: ALL_RR is BalanceAll, RATIO is BalanceWeight, SOURCE_NEAREST is BalanceNearest).
const (
	BalanceAll      Balance = "all"
	BalanceWeight   Balance = "weight"
	BalanceSequence Balance = "sequence"
	// BalanceNearest is for sets only.
	BalanceNearest Balance = "nearest"
	BalanceSticky  Balance = "sticky"
	// BalanceLatency is that of every set of an instance which chooses by latency. A configuration cannot say it.
	BalanceLatency Balance = "latency"
)

// Values lists what a configuration may say.
func (Balance) Values() []string { return []string{"all", "weight", "sequence", "nearest", "sticky"} }

// Mode says who decides whether an address is available.
type Mode string

// The modes (Alibaba: SMART, ONLINE, OFFLINE).
const (
	ModeIntelligent Mode = "intelligent"
	ModeOnline      Mode = "online"
	ModeOffline     Mode = "offline"
)

// Values lists what a configuration may say.
func (Mode) Values() []string { return []string{"intelligent", "online", "offline"} }

// Switch pins a policy to one of its sets, or leaves the choice to availability (Alibaba: AccessMode).
type Switch string

// The switch positions (Alibaba: AUTO, DEFAULT, FAILOVER).
const (
	SwitchAuto    Switch = "auto"
	SwitchPrimary Switch = "primary"
	SwitchBackup  Switch = "backup"
)

// Values lists what a configuration may say.
func (Switch) Values() []string { return []string{"auto", "primary", "backup"} }

// Failback says whether a policy returns by itself to an earlier set that has recovered.
type Failback string

// The ways to fail back.
const (
	FailbackAuto   Failback = "auto"
	FailbackManual Failback = "manual"
)

// Values lists what a configuration may say.
func (Failback) Values() []string { return []string{"auto", "manual"} }

// WhenAllDown says what a policy answers when no set has an available address.
type WhenAllDown string

// The choices when everything is down.
const (
	AllDownOpen  WhenAllDown = "open"
	AllDownEmpty WhenAllDown = "empty"
)

// Values lists what a configuration may say.
func (WhenAllDown) Values() []string { return []string{"open", "empty"} }

// PoolOptions is one [[pool]] of the configuration.
type PoolOptions struct {
	// Name of the pool, by which sets refer to it.
	Name string `toml:"name" required:"true"`
	// What the addresses are. A pool holds one type; a dual-stack origin is two pools.
	Type PoolType `toml:"type" required:"true"`
	// How one address of the pool is chosen where the set leaves that to the pool; nearest is for sets only. Default: all, for a domain pool weight.
	Balance Balance `toml:"balance"`
	// Where the addresses are, for sets with balance nearest: the code of a place, or a table with its coordinates.
	Location LocationOptions `toml:"location"`
	// The health check that probes every intelligent address, by name, or a list of them. Empty: the addresses are not probed and count as available.
	HealthCheck []string `toml:"health_check" single:"true"`
	// Of several health checks, how many must pass: all, any, or a share such as "50%" (Alibaba: HealthJudgement).
	Judge Judge `toml:"judge" default:"all"`
	// An address that has recovered gets its weight in steps over this time, where weights count. 0s: at once.
	SlowStart time.Duration `toml:"slow_start" default:"0s" range:"0s..24h"`
	// domain: a name is available while at least this many of its resolved addresses are up: a count, or a share ("50%").
	MinUp Threshold `toml:"min_up" default:"1"`
	// domain: answer A and AAAA with the resolved addresses that are up, instead of a CNAME.
	Flatten bool `toml:"flatten" default:"false"`
	// The addresses, in order: a bare address, or a table with more options.
	Addresses []AddressOptions `toml:"addresses" required:"true"`
}

// Validate reports keys that have no meaning together.
func (o *PoolOptions) Validate(problem func(key, message string)) {
	isDomain, minUp := o.Type == TypeDomain, o.MinUp != Threshold{} && o.MinUp != Count(1)
	if o.Flatten && !isDomain && o.Type != "" {
		problem("flatten", fmt.Sprintf("has no meaning for a pool of type %q, whose addresses are the answer already: remove it", o.Type))
	}
	switch {
	case minUp && !isDomain && o.Type != "":
		problem("min_up", fmt.Sprintf("has no meaning for a pool of type %q, only for domain: remove it", o.Type))
	case minUp && o.Flatten:
		problem("min_up", "counts the addresses behind a name that is answered as a CNAME, and with flatten they are answered themselves: remove it, and use min_available of the set")
	}
	probed, several := len(o.HealthCheck) > 0, len(o.HealthCheck) > 1
	for i := range o.Addresses {
		probed = probed || len(o.Addresses[i].HealthCheck) > 0
		several = several || len(o.Addresses[i].HealthCheck) > 1
	}
	if minUp && !probed {
		problem("min_up", "nothing is probed: add a health_check, or remove it")
	}
	if o.SlowStart > 0 && !probed {
		problem("slow_start", "nothing is probed, so nothing recovers: add a health_check, or remove it")
	}
	if o.Judge != (Judge{}) && !several {
		problem("judge", "judges several health checks of an address, and there is at most one: make health_check a list, or remove judge")
	}
}

// LocationOptions is where a pool is: a place, or the coordinates of one. The zero value: nowhere.
type LocationOptions struct {
	// A country by its ISO 3166-1 code ("JP": its principal city), or a province of China by its ISO 3166-2 code ("CN-GD": its capital). A line that is one of these does as well: "os_asia_jp", "internal", "cn_region_guangdong".
	Place string `toml:"place" short:"true"`
	// Degrees north of the equator; negative: south. It needs longitude.
	Latitude *float64 `toml:"latitude" range:"-90..90"`
	// Degrees east of Greenwich; negative: west. It needs latitude.
	Longitude *float64 `toml:"longitude" range:"-180..180"`
}

// Point is the point that the coordinates give; nil without them. Whoever knows geography sets those of a Place before.
func (o LocationOptions) Point() *Location {
	if o.Latitude == nil || o.Longitude == nil {
		return nil
	}
	return &Location{Latitude: *o.Latitude, Longitude: *o.Longitude}
}

// Validate reports what the keys of a location do not have to do with each other.
func (o *LocationOptions) Validate(problem func(key, message string)) {
	const want = `want a place such as "JP", or latitude and longitude`
	switch {
	case o.Place != "" && o.Latitude != nil:
		problem("latitude", "the place says where the pool is: remove place, or latitude and longitude")
	case o.Place != "" && o.Longitude != nil:
		problem("longitude", "the place says where the pool is: remove place, or latitude and longitude")
	case o.Place == "" && o.Latitude == nil && o.Longitude == nil:
		problem("place", "the location says nothing: "+want)
	case o.Place == "" && o.Latitude == nil:
		problem("longitude", "the latitude is missing: "+want)
	case o.Place == "" && o.Longitude == nil:
		problem("latitude", "the longitude is missing: "+want)
	}
}

// AddressOptions is one address of a pool.
type AddressOptions struct {
	// IPv4 address, IPv6 address or domain name, as the type of the pool says.
	Address string `toml:"address" required:"true" short:"true"`
	// Who decides whether the address is available: intelligent (its health check), online (always), offline (never).
	Mode Mode `toml:"mode" default:"intelligent"`
	// Share of the answers where weights count. 0: never, unless nothing else is left.
	Weight int `toml:"weight" default:"1" range:"0..1000000"`
	// The health check of this address, by name, or a list of them, in place of those of the pool.
	HealthCheck []string `toml:"health_check" single:"true"`
	// Free text for people.
	Remark string `toml:"remark"`
}

// PoolRefOptions is a pool as a member of a set.
type PoolRefOptions struct {
	// Name of the pool.
	Pool string `toml:"pool" required:"true" short:"true"`
	// Share of the answers of a set with balance weight or sticky, and among equally near pools with balance nearest. 0: never, unless nothing else is left.
	Weight int `toml:"weight" default:"1" range:"0..1000000"`
}

// SetOptions is an address pool set: the primary of a policy, or one of its backups.
type SetOptions struct {
	// The pools, in order. IPv4 and IPv6 pools may be mixed, each answers its own type; domain pools stand alone.
	Pools []PoolRefOptions `toml:"pools" required:"true"`
	// How the set shares its available addresses: all (every address, rotated), weight (one by weight), sequence (first pool with an available address), nearest (the pool that is nearest to the client, by location), sticky (one by the client's network). Default: all, for domain pools weight. Not in an instance with access_policy_type = "latency", which chooses by latency.
	Balance Balance `toml:"balance"`
	// The set is available while at least this many of its addresses, of each family that it has, are: a count, or a share of those that are not offline ("50%").
	MinAvailable Threshold `toml:"min_available" default:"1"`
	// At most this many addresses in one answer of balance all; 0: no limit. In an instance with access_policy_type = "latency" this many addresses of the lowest latency; 0: one.
	MaxAnswers int `toml:"max_answers" default:"0" range:"0..1000"`
}

// PolicyOptions is one [[instance.policy]], an access policy.
type PolicyOptions struct {
	// Name of the policy, unique in its instance.
	Name string `toml:"name" required:"true"`
	// Request sources: "global" or "default" for everybody, names of custom lines, codes of the catalogue (gtmd lines), or selectors such as "country:JP". Required, but for an instance with access_policy_type = "latency", where it is ["global"] by default.
	Sources []string `toml:"sources"`
	// The set that answers while it is available.
	Primary SetOptions `toml:"primary" required:"true"`
	// The sets that take over, in order: one table, or a list of them.
	Backup []SetOptions `toml:"backup"`
	// auto (by availability), or pinned to the primary or the first backup.
	Switch Switch `toml:"switch" default:"auto"`
	// auto returns to an earlier set that has recovered; manual stays where it is.
	Failback Failback `toml:"failback" default:"auto"`
	// How long an earlier set must have been available before failback = "auto" returns to it.
	FailbackDelay time.Duration `toml:"failback_delay" default:"0s" range:"0s..168h"`
	// open answers with addresses that are down rather than with none; empty answers NODATA.
	WhenAllDown WhenAllDown `toml:"when_all_down" default:"open"`
	// When no set has an available address, answer as the policy of the global source does.
	FallThrough bool `toml:"fall_through" default:"false"`
}

// AccessPolicyType says by what an instance chooses the policy for a client.
type AccessPolicyType string

// The types (Alibaba: GEO, LATENCY). Latency chooses among the pools of a set; it leaves everything else as it is.
const (
	PolicyGeography AccessPolicyType = "geography"
	PolicyLatency   AccessPolicyType = "latency"
)

// Values lists what a configuration may say.
func (AccessPolicyType) Values() []string { return []string{"geography", "latency"} }

// Unmatched says what a client gets that no policy of the instance matches.
type Unmatched string

// The choices for clients that no policy matches.
const (
	UnmatchedError  Unmatched = "error"
	UnmatchedNodata Unmatched = "nodata"
)

// Values lists what a configuration may say.
func (Unmatched) Values() []string { return []string{"error", "nodata"} }

// InstanceOptions is one [[instance]]: an access domain and the policies that answer it.
type InstanceOptions struct {
	// Name of the instance.
	Name string `toml:"name" required:"true"`
	// The CNAME access domain: the name that a CDN takes as its origin. It lies in one of the zones.
	AccessDomain string `toml:"access_domain" required:"true"`
	// Further names that answer exactly as access_domain does: they share its policies, what is in force in them, and its counters. Each lies in one of the zones, and is the access domain of no other instance.
	Aliases []string `toml:"aliases"`
	// The names that users ask for. The first is the Host header and the TLS name of health checks that name none.
	BusinessDomains []string `toml:"business_domains"`
	// The names of the CDN: its name for a business domain is one of them, or lies below the rest of one that begins with "*.". The check of business domains then wants their CNAME chains to pass such a name. Empty: any other name will do.
	CDNNames []string `toml:"cdn_names"`
	// Global TTL of the answers, in seconds.
	TTL int `toml:"ttl" default:"60" range:"1..86400"`
	// Lowest TTL, in seconds, for answers that may soon change: while a failure streak is open, and before a failback, the end of an override or a step of slow_start, the TTL is the time until then, but not less than this. 0: always ttl.
	TTLMin int `toml:"ttl_min" default:"0" range:"0..86400"`
	// By what a client's answer is chosen: geography (the policy of its request source, as its sets say), or latency (of the set in force the pools with the lowest latency to the client, from [[latency]] or else as this server's own probes measure it).
	AccessPolicyType AccessPolicyType `toml:"access_policy_type" default:"geography"`
	// What a client gets that matches no policy: error (the configuration must have a global policy for each address family), or nodata.
	Unmatched Unmatched `toml:"unmatched" default:"error"`
	// The alert groups that are told of all that concerns this instance. Without this key and [[instance.alert]]: those with default = true; [] is nobody.
	AlertGroups []string `toml:"alert_groups" single:"true"`
	// Alert groups that are told of some of it, or by some of their methods (Alibaba: AlertConfig).
	Alerts []AlertOptions `toml:"alert"`
	// The access policies.
	Policies []PolicyOptions `toml:"policy" required:"true"`
}

// Validate reports a lowest TTL that is above the TTL.
func (o *InstanceOptions) Validate(problem func(key, message string)) {
	if o.TTL > 0 && o.TTLMin > o.TTL {
		problem("ttl_min", fmt.Sprintf("%d s is more than the ttl of %d s: want less", o.TTLMin, o.TTL))
	}
}

// LatencyOptions is one [[latency]], an entry of the latency table, or the file of a part of it.
type LatencyOptions struct {
	// Request source of the clients, as in the sources of policies.
	From string `toml:"from"`
	// Name of the pool.
	Pool string `toml:"pool"`
	// Round-trip time between them, in milliseconds.
	MS *float64 `toml:"ms" range:"0..60000"`
	// CSV file with such entries, in place of from, pool and ms. Its first line is "from,pool,ms"; blank lines and lines that begin with # do not count.
	File string `toml:"file"`
}

// Validate reports keys that are missing, or too many.
func (o *LatencyOptions) Validate(problem func(key, message string)) {
	if o.File != "" {
		if o.From != "" || o.Pool != "" || o.MS != nil {
			problem("file", "the entries are in the file: remove from, pool and ms, or make them a [[latency]] of their own")
		}
		return
	}
	const want = "is missing: want from, pool and ms, or file"
	if o.From == "" {
		problem("from", want)
	}
	if o.Pool == "" {
		problem("pool", want)
	}
	if o.MS == nil {
		problem("ms", want)
	}
}

// AlertOptions is one [[instance.alert]]: what one alert group is told of the instance.
type AlertOptions struct {
	// The alert group, by its name.
	Group string `toml:"group" required:"true"`
	// Kinds of events that are told, such as address_down. Empty: all that the group has.
	Events []string `toml:"events" single:"true"`
	// Methods of the group by which they are told, by name. Empty: all.
	Methods []string `toml:"methods" single:"true"`
	// Tell also the end of what was told. false: only the ends that events names, such as address_up.
	Resolved bool `toml:"resolved" default:"true"`
}
