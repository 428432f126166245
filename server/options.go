package server

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
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
	// How long one message may take over TCP: a query from its first octet to its last, a TLS handshake, and a reply until the client has taken it. A client that sends an octet now and then does not gain time.
	TCPMessageTimeout time.Duration `toml:"tcp_message_timeout" default:"5s" range:"100ms..2m"`
	// TCP connections at one time, over all addresses, those of TLS too. At the limit, a new one takes the place of the one that has been idle longest. No more than half of the process's descriptors are used.
	TCPConnections int `toml:"tcp_connections" default:"1000" range:"1..1000000"`
	// TCP connections of one client at one time: of an IPv4 address, or of an IPv6 network of 64 bits. At the limit, a new one takes the place of the client's own that has been idle longest.
	TCPConnectionsPerClient int `toml:"tcp_connections_per_client" default:"100" range:"1..1000000"`
	// Zone transfers at one time. Further ones are refused with SERVFAIL, and secondaries try again.
	Transfers int `toml:"transfers" default:"10" range:"1..1000"`
	// DNS over TLS.
	TLS TLSOptions `toml:"tls"`
	// Answered queries as lines of JSON in a file.
	QueryLog querylog.Options `toml:"query_log"`
	// Answered queries for a dnstap collector.
	Dnstap querylog.DnstapOptions `toml:"dnstap"`
	// Name of this server, sent to who asks which of several it is (RFC 5001): at most 128 octets. Empty: it is not told.
	NSID string `toml:"nsid"`
	// What version.bind and version.server answer in class CH (RFC 4892): at most 255 octets. Empty: they are refused.
	Version string `toml:"version"`
	// What id.server and hostname.bind answer in class CH (RFC 4892): at most 255 octets. Empty: they are refused.
	Identity string `toml:"identity"`
	// Networks of clients that are told why an answer is what it is (extended errors, RFC 8914).
	ExtendedErrors []netip.Prefix `toml:"extended_errors"`
	// DNS cookies (RFC 7873, RFC 9018), by which a client shows that its address is not forged.
	Cookies CookieOptions `toml:"cookies"`
	// Limits on the replies over UDP to the network of a client, against queries with forged addresses.
	RateLimit RateLimitOptions `toml:"rate_limit"`
}

// CookieOptions is [dns.cookies].
type CookieOptions struct {
	// Whether clients that send a cookie get one.
	Enabled bool `toml:"enabled" default:"true"`
	// File with the secret of the cookies, a line of 32 hexadecimal digits, for servers that share an address: one takes the cookies of the other. Of several lines the first issues cookies and all verify them, so put a new secret first and remove the old one an hour later. It is read at start and at a reload. Empty: a random secret, until gtmd ends.
	SecretFile string `toml:"secret_file"`
}

// RateLimitOptions is [dns.rate_limit]. Clients with a valid cookie, and all over TCP, are not limited.
type RateLimitOptions struct {
	// Replies per second of the same answer to the same network. 0: no limit.
	ResponsesPerSecond int `toml:"responses_per_second" default:"0" range:"0..100000"`
	// Replies per second to the same network that there is no such name or record in the same zone, or that it is delegated. 0: as responses_per_second.
	NXDomainsPerSecond int `toml:"nxdomains_per_second" default:"0" range:"0..100000"`
	// Replies per second to the same network that a query is refused or malformed. 0: as responses_per_second.
	ErrorsPerSecond int `toml:"errors_per_second" default:"0" range:"0..100000"`
	// Replies per second of any kind to the same network. 0: no limit.
	AllPerSecond int `toml:"all_per_second" default:"0" range:"0..100000"`
	// For how long a network that was quiet may save up replies, to get them at once.
	Window time.Duration `toml:"window" default:"5s" range:"1s..1h"`
	// Of the replies over a limit one in so many is sent after all, by chance: truncated, so that a real client asks over TCP, or with BADCOOKIE to a client with cookies. 1: all of them. 0: none.
	Slip int `toml:"slip" default:"2" range:"0..100"`
	// Length of the IPv4 networks that share a limit.
	IPv4Prefix int `toml:"ipv4_prefix" default:"24" range:"1..32"`
	// Length of the IPv6 networks that share a limit.
	IPv6Prefix int `toml:"ipv6_prefix" default:"56" range:"1..128"`
	// Networks of clients without limits.
	Exempt []netip.Prefix `toml:"exempt"`
	// How many answers to networks are remembered, at 8 octets each, rounded up to a power of two. When it is full, who asked least lately is forgotten, and has no limit until it asks more.
	TableSize int `toml:"table_size" default:"131072" range:"1024..16777216"`
}

// Validate calls problem for everything in o that the ranges of its tags do not catch: the TOML key that is at fault,
// and what is wrong and what would be right.
func (o *Options) Validate(problem func(key, message string)) {
	for _, text := range []struct {
		key, value string
		longest    int
	}{{"nsid", o.NSID, 128}, {"version", o.Version, 255}, {"identity", o.Identity, 255}} {
		if n := len(text.value); n > text.longest {
			problem(text.key, fmt.Sprintf("has %d octets: want at most %d", n, text.longest))
		}
	}
}

// TLSOptions is the [dns.tls] section of the configuration: DNS over TLS (RFC 7858).
type TLSOptions struct {
	// Addresses to answer on over TLS, usually with port 853. Empty: none.
	Listen []netip.AddrPort `toml:"listen"`
	// PEM file with the certificate and those between it and the root. A changed file is read anew without a reload.
	CertificateFile string `toml:"certificate_file"`
	// PEM file with the private key of the certificate.
	KeyFile string `toml:"key_file"`
}

// Validate reports what is missing for TLS.
func (o *TLSOptions) Validate(problem func(key, message string)) {
	if len(o.Listen) == 0 {
		return
	}
	if o.CertificateFile == "" {
		problem("certificate_file", "listen needs it: want the path of a PEM file with the certificate")
	}
	if o.KeyFile == "" {
		problem("key_file", "listen needs it: want the path of a PEM file with the private key of the certificate")
	}
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
	// Serial number of the SOA record. 0: the time of the last change of the configuration files, in seconds since 1970. In a zone with secondaries it moves whenever a transfer would give something else, a change of health included; what is set here is where it starts.
	Serial int `toml:"serial" default:"0" range:"0..4294967295"`
	// RFC 1035 master file with the zone's other records; relative to the configuration file. SOA and apex NS come from the options above.
	File string `toml:"file"`
	// Networks whose secondaries may transfer the zone, such as "192.0.2.1" or "2001:db8::/64". Without this and transfer_keys nobody may. With both, a secondary needs both: an address in a network and a key.
	TransferTo []Network `toml:"transfer_to"`
	// Names of the [[tsig_key]]s by which secondaries may transfer the zone (RFC 8945).
	TransferKeys []string `toml:"transfer_keys"`
	// Secondaries that are told of each change of the zone (RFC 1996), such as "192.0.2.1" or "192.0.2.2:5353".
	Notify []Peer `toml:"notify"`
	// Name of the [[tsig_key]] that signs what they are told; without, it is not signed.
	NotifyKey string `toml:"notify_key"`
}

// IsExported reports whether secondaries have to do with the zone.
func (o *ZoneOptions) IsExported() bool {
	return len(o.TransferTo) > 0 || len(o.TransferKeys) > 0 || len(o.Notify) > 0
}

// Network is one address, or all of a prefix.
type Network netip.Prefix

// UnmarshalText reads an address or a prefix.
func (n *Network) UnmarshalText(text []byte) error {
	if address, err := netip.ParseAddr(string(text)); err == nil && address.Zone() == "" {
		address = address.Unmap()
		*n = Network(netip.PrefixFrom(address, address.BitLen()))
		return nil
	}
	prefix, err := netip.ParsePrefix(string(text))
	switch {
	case err != nil || prefix.Addr().Is4In6():
		return fmt.Errorf("%q is no address or prefix: want one such as \"192.0.2.1\" or \"2001:db8::/64\"", text)
	case prefix != prefix.Masked():
		return fmt.Errorf("%q has bits set beyond its length: want %q", text, prefix.Masked())
	}
	*n = Network(prefix)
	return nil
}

// Peer is the address of another name server.
type Peer netip.AddrPort

// UnmarshalText reads an address with a port; without, it is port 53.
func (p *Peer) UnmarshalText(text []byte) error {
	if address, err := netip.ParseAddr(string(text)); err == nil {
		*p = Peer(netip.AddrPortFrom(address.Unmap(), 53))
		return nil
	}
	target, err := netip.ParseAddrPort(string(text))
	if err != nil || target.Port() == 0 {
		return fmt.Errorf("%q is no address: want one such as \"192.0.2.1\", \"192.0.2.2:5353\" or \"[2001:db8::1]:53\"", text)
	}
	*p = Peer(netip.AddrPortFrom(target.Addr().Unmap(), target.Port()))
	return nil
}

// String is the address with its port.
func (p Peer) String() string { return netip.AddrPort(p).String() }

// KeyOptions is one [[tsig_key]] of the configuration.
type KeyOptions struct {
	// Name of the key, which both sides must have alike.
	Name string `toml:"name" required:"true"`
	// How it signs.
	Algorithm KeyAlgorithm `toml:"algorithm" default:"hmac-sha256"`
	// File with the secret in base64. It is read at start and at each reload.
	SecretFile string `toml:"secret_file" required:"true"`
}

// KeyAlgorithm is how a key signs (RFC 8945 section 6).
type KeyAlgorithm string

// The algorithms.
const (
	HMACSHA224 KeyAlgorithm = "hmac-sha224"
	HMACSHA256 KeyAlgorithm = "hmac-sha256"
	HMACSHA384 KeyAlgorithm = "hmac-sha384"
	HMACSHA512 KeyAlgorithm = "hmac-sha512"
)

// Values are the algorithms that a configuration may name.
func (KeyAlgorithm) Values() []string {
	return []string{string(HMACSHA224), string(HMACSHA256), string(HMACSHA384), string(HMACSHA512)}
}

// UnmarshalText reads the name of an algorithm.
func (a *KeyAlgorithm) UnmarshalText(text []byte) error {
	name := strings.TrimSuffix(strings.ToLower(string(text)), ".")
	switch {
	case slices.Contains(a.Values(), name):
		*a = KeyAlgorithm(name)
		return nil
	case strings.HasPrefix(name, "hmac-md5") || name == "hmac-sha1":
		return fmt.Errorf("%q is too weak (RFC 8945 section 6): want \"hmac-sha256\", or another of %s", text, strings.Join(a.Values(), ", "))
	}
	return fmt.Errorf("%q is unknown: want one of %s", text, strings.Join(a.Values(), ", "))
}
