package config

import (
	"time"

	"gtmd/admin"
	"gtmd/alert"
	"gtmd/geo"
	"gtmd/healthcheck"
	"gtmd/policy"
	"gtmd/resolver"
	"gtmd/server"
)

// File is the whole configuration file, with the files that it includes.
type File struct {
	// Further files, as patterns relative to this file, such as "conf.d/*.toml". Their lists are appended in the order of the patterns and, within one, of the names. Only the main file may include others.
	Include []string `toml:"include"`
	// Load the configuration again when one of its files changes.
	Watch bool `toml:"watch" default:"false"`
	// The DNS listeners and their limits.
	DNS server.Options `toml:"dns"`
	// The API for operators and for monitoring.
	Admin admin.Options `toml:"admin"`
	// What is kept over a restart.
	State StateOptions `toml:"state"`
	// What is known about where clients are.
	Geo geo.Options `toml:"geo"`
	// How the names of domain pools are resolved.
	Resolver resolver.Options `toml:"resolver"`
	// How it is checked that business domains lead to the CDN.
	Business BusinessOptions `toml:"business"`
	// When this server's prober takes failures for its own.
	Blind healthcheck.BlindOptions `toml:"blind"`
	// The zones that this server is authoritative for. Zones may nest.
	Zones []server.ZoneOptions `toml:"zone"`
	// Keys that secondaries and this server sign with (TSIG, RFC 8945).
	Keys []server.KeyOptions `toml:"tsig_key"`
	// Templates of probes, used by any number of pools.
	HealthChecks []healthcheck.Options `toml:"health_check"`
	// Address pools.
	Pools []policy.PoolOptions `toml:"pool"`
	// Latencies between clients and pools, for instances with access_policy_type = "latency". Where the table has none for a client and a pool, what this server's own probes measure counts.
	Latency []policy.LatencyOptions `toml:"latency"`
	// Access domains with their access policies.
	Instances []policy.InstanceOptions `toml:"instance"`
	// Groups of people who are told of what happens, and how.
	AlertGroups []alert.GroupOptions `toml:"alert_group"`
}

// StateOptions is the [state] section of the configuration.
type StateOptions struct {
	// Directory for saved verdicts, overrides, switches and history.
	Dir string `toml:"dir" default:"/var/lib/gtmd"`
	// How long, on a first start without saved verdicts, serving waits for the first round of probes.
	StartupWait time.Duration `toml:"startup_wait" default:"10s" range:"0s..10m"`
}
