package server

import (
	"net/netip"
	"time"

	"gtmd/server/querylog"
)

// Options is the [dns] section of the configuration.
type Options struct {
	// Addresses to answer on, each over UDP and TCP.
	Listen []netip.AddrPort `toml:"listen" default:"0.0.0.0:53,[::]:53"`
	// UDP workers for each address. 0: one for each core.
	Workers int `toml:"workers" default:"0" range:"0..256"`
	// Largest UDP answer in octets, whatever the client offers (RFC 9715).
	MaxUDPPayload int `toml:"max_udp_payload" default:"1232" range:"512..4096"`
	// How long a TCP connection may stay idle before it is closed (RFC 7766 section 6.2.3).
	TCPIdleTimeout time.Duration `toml:"tcp_idle_timeout" default:"10s" range:"1s..10m"`
	// TCP connections at one time, over all addresses. At the limit, new ones wait.
	TCPConnections int `toml:"tcp_connections" default:"1000" range:"1..1000000"`
	// Answered queries as lines of JSON in a file.
	QueryLog querylog.Options `toml:"query_log"`
	// Answered queries for a dnstap collector.
	Dnstap querylog.DnstapOptions `toml:"dnstap"`
}

// ZoneOptions is one [[zone]] of the configuration.
type ZoneOptions struct {
	// Name of the zone: the part of the name space delegated to this server.
	Name string `toml:"name" required:"true"`
	// Host names of the zone's name servers, the first is the primary of the SOA record (RFC 1035 section 3.3.13).
	Nameservers []string `toml:"nameservers" required:"true"`
	// Mail address of the person responsible.
	Contact string `toml:"contact" required:"true"`
	// TTL of the SOA and NS records at the apex, and of records in the file that give none, in seconds.
	TTL int `toml:"ttl" default:"3600" range:"1..604800"`
	// Seconds for which resolvers may remember that a name or type does not exist (RFC 2308). For a name that follows health it is failover time: keep it short.
	NegativeTTL int `toml:"negative_ttl" default:"30" range:"0..10800"`
	// Serial number of the SOA record. 0: the time of the last change of the configuration files, in seconds since 1970.
	Serial int `toml:"serial" default:"0" range:"0..4294967295"`
	// RFC 1035 master file with the zone's other records; relative to the configuration file. SOA and apex NS come from the options above.
	File string `toml:"file"`
}
