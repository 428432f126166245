package node

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"gtmd/config"
	"gtmd/geo"
	"gtmd/healthcheck"
	"gtmd/policy"
	"gtmd/resolver"
	"gtmd/server"
	"gtmd/server/view"
)

// plan is a configuration compiled to what serving needs, before anything is known of health. Immutable.
type plan struct {
	config    *config.Config
	zones     []view.Zone
	transfers *server.Transfers // which zones secondaries may have
	pools     []*policy.Pool
	instances []*policy.Instance
	sources   [][][]geo.Selector // by instance and policy
	latency   []view.Latency     // the table, in order
	uses      []use              // where the configuration names sources
	places    bool               // whether some set asks for the nearest pool
	targets   []healthcheck.Target
	checks    map[string]*healthcheck.Check // by name
	probed    map[string]probe              // by target ID
	names     []string                      // those of domain pools to be resolved, in order
	answers   map[string]resolver.Answer    // what they resolve to
	users     map[string][]slot             // target ID -> the decisions that it takes part in
	members   map[string][]member           // target ID -> the addresses of pools that it is probed for
	slots     []slot                        // every decision, in order
	files     string                        // fingerprint of the files when they were read; empty for a plan that is not served
	measured  map[string][]slot             // pool -> the decisions of instances that go by its latency

	// What may be replaced while the rest stays: see refreshDatabases.
	databases     []*database
	geo           *geo.Map
	input         string        // what geo was compiled from
	buildDuration time.Duration // how long that took
	warnings      config.Problems
}

// probe is what a target probes.
type probe struct{ check, address string }

// slot names a decision: those of instances that decide together stand under IPv4 alone.
type slot = view.Slot

// compile does everything that can go wrong in a configuration short of opening sockets. Before are the databases that
// serve, and answers what names resolve to; there may be none of either. The error has every problem.
func compile(c *config.Config, prober *healthcheck.Prober, a *atlas, before []*database, answers map[string]resolver.Answer) (*plan, error) {
	p := &plan{config: c, checks: map[string]*healthcheck.Check{}, names: namesOf(c)}
	for _, z := range c.Zones {
		p.zones = append(p.zones, compileZone(z))
	}
	var failure error
	if p.transfers, failure = compileTransfers(c); failure != nil {
		return nil, failure
	}
	if err := p.compileSources(); err != nil {
		return nil, err
	}
	err := p.compileChecks(prober)
	if err = joinProblems(err, p.compileGeography(a, before)); err != nil {
		return nil, err
	}
	p.compileInstances(answers)
	return p, nil
}

// compileInstances compiles pools and instances, with the addresses that names resolve to. Nothing of it can fail.
func (p *plan) compileInstances(answers map[string]resolver.Answer) {
	p.answers, p.pools, p.instances, p.targets, p.slots = answers, nil, nil, nil, nil
	p.probed, p.users, p.measured = map[string]probe{}, map[string][]slot{}, map[string][]slot{}
	pools := p.compilePools()
	p.instances = make([]*policy.Instance, 0, len(p.config.File.Instances))
	for i := range p.config.File.Instances {
		p.compileInstance(&p.config.File.Instances[i], pools)
	}
	p.enroll()
}

// compileZone puts the apex records of a zone before those of its file.
func compileZone(z config.Zone) view.Zone {
	header := func(qtype uint16) dns.RR_Header {
		return dns.RR_Header{Name: z.Name, Rrtype: qtype, Class: dns.ClassINET, Ttl: uint32(z.TTL)}
	}
	records := []dns.RR{&dns.SOA{
		Hdr: header(dns.TypeSOA), Ns: z.Nameservers[0], Mbox: z.Mbox, Serial: z.Serial,
		Refresh: 3600, Retry: 600, Expire: 604800, Minttl: uint32(z.NegativeTTL),
	}}
	for _, ns := range z.Nameservers {
		records = append(records, &dns.NS{Hdr: header(dns.TypeNS), Ns: ns})
	}
	return view.Zone{Name: z.Name, Records: append(records, z.Records...), Exported: z.IsExported()}
}

// compileTransfers compiles what zones say of their secondaries.
func compileTransfers(c *config.Config) (*server.Transfers, error) {
	zones := make([]server.ZoneOptions, len(c.Zones))
	for i := range c.Zones {
		zones[i] = c.Zones[i].ZoneOptions
	}
	return server.NewTransfers(zones, c.Keys, c.File.DNS.Transfers)
}

// compileChecks compiles the health checks. Its error is config.Problems: files that they name cannot be used.
func (p *plan) compileChecks(prober *healthcheck.Prober) error {
	var problems config.Problems
	for i, o := range p.config.File.HealthChecks {
		check, err := prober.Compile(o)
		if err != nil {
			message := strings.ReplaceAll(err.Error(), "\n", "; ")
			problems = append(problems, p.config.Problem(fmt.Sprintf("health_check[%d]", i), message))
		}
		p.checks[o.Name] = check
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// compilePools compiles the pools, and lists the targets of their addresses and the canaries.
func (p *plan) compilePools() map[string]*policy.Pool {
	pools := make(map[string]*policy.Pool, len(p.config.Pools))
	p.pools = make([]*policy.Pool, 0, len(p.config.Pools))
	for _, o := range p.config.Pools {
		pool := p.compilePool(o)
		pools[o.Name] = pool
		p.pools = append(p.pools, pool)
	}
	for _, text := range p.config.File.Blind.Canaries {
		address := netip.MustParseAddr(text)
		t := p.checks[p.config.File.Blind.HealthCheck].Target(address, "")
		t.ID, t.Canary = canaryPrefix+t.ID, true // A pool may have the same address with the same check.
		p.targets = append(p.targets, t)
		p.probed[t.ID] = probe{p.config.File.Blind.HealthCheck, address.String()}
	}
	return pools
}

func (p *plan) compilePool(o config.Pool) *policy.Pool {
	checks := func(a *policy.AddressOptions) []string {
		if len(a.HealthCheck) > 0 {
			return a.HealthCheck
		}
		return o.HealthCheck
	}
	targets := func(a *policy.AddressOptions, ip netip.Addr, host string) []string {
		var ids []string
		for _, name := range checks(a) {
			ids = append(ids, p.target(name, ip, host))
		}
		return ids
	}
	switch {
	case o.Type != policy.TypeDomain:
		host := p.config.CheckHost(o.Name)
		return policy.NewPool(*o.PoolOptions, func(a *policy.AddressOptions) [][]string {
			if len(checks(a)) == 0 {
				return nil
			}
			return [][]string{targets(a, netip.MustParseAddr(a.Address), host)}
		})
	case o.Flatten:
		return policy.NewFlatPool(*o.PoolOptions, func(a *policy.AddressOptions) []netip.Addr { return p.resolved(a.Address) },
			func(a *policy.AddressOptions, ip netip.Addr) []string { return targets(a, ip, plainName(a.Address)) })
	default:
		return policy.NewPool(*o.PoolOptions, func(a *policy.AddressOptions) (all [][]string) {
			if len(checks(a)) == 0 {
				return nil
			}
			for _, ip := range p.resolved(a.Address) {
				all = append(all, targets(a, ip, plainName(a.Address)))
			}
			return all
		})
	}
}

// target is the identity of what a health check makes of an address, which is listed once.
func (p *plan) target(check string, address netip.Addr, host string) string {
	t := p.checks[check].Target(address, host)
	if _, known := p.probed[t.ID]; !known {
		p.probed[t.ID] = probe{check, address.String()}
		p.targets = append(p.targets, t)
	}
	return t.ID
}

func (p *plan) compileInstance(o *policy.InstanceOptions, pools map[string]*policy.Pool) {
	in := policy.NewInstance(*o, pools)
	for i, access := range in.Policies {
		for f, decided := range access.Decided {
			if decided == nil || decided.Family == policy.FamilyBoth && policy.Family(f) != policy.IPv4 {
				continue
			}
			s := slot{Instance: len(p.instances), Policy: i, Family: policy.Family(f)}
			p.slots = append(p.slots, s)
			p.use(decided, s)
			if o.AccessPolicyType == policy.PolicyLatency {
				p.measure(decided, s)
			}
		}
	}
	p.instances = append(p.instances, in)
}

// use notes that a decision depends on the targets of its policy.
func (p *plan) use(decided *policy.Policy, s slot) {
	for _, set := range decided.Sets {
		for _, member := range set.Members {
			for i := range member.Pool.Addresses {
				for id := range member.Pool.Addresses[i].Probed() {
					if users := p.users[id]; len(users) == 0 || users[len(users)-1] != s {
						p.users[id] = append(users, s)
					}
				}
			}
		}
	}
}

// policyOf is the policy that a slot decides.
func (p *plan) policyOf(s slot) *policy.Policy {
	return p.instances[s.Instance].Policies[s.Policy].Decided[s.Family]
}

// decisions of one instance, by policy and family.
type decisions [][2]*policy.Decision

// undecided makes room for the decisions of every instance.
func (p *plan) undecided() []decisions {
	all := make([]decisions, len(p.instances))
	for i, in := range p.instances {
		all[i] = make(decisions, len(in.Policies))
	}
	return all
}

// put returns the decisions of one instance with one of them replaced; the old ones stay as they are.
func (d decisions) put(s slot, decision *policy.Decision) decisions {
	next := slices.Clone(d)
	next.set(s, decision)
	return next
}

// set is for decisions that nobody else sees yet.
func (d decisions) set(s slot, decision *policy.Decision) {
	d[s.Policy][s.Family] = decision
	if decision.Policy.Family == policy.FamilyBoth {
		d[s.Policy][policy.IPv6] = decision
	}
}

// packed lists the slots of the view that a changed decision changes: its own, for both families when it is taken for both,
// and those of policies that fall through to it.
func (p *plan) packed(s slot) []slot {
	in := p.instances[s.Instance]
	families := []policy.Family{s.Family}
	if p.policyOf(s).Family == policy.FamilyBoth {
		families = []policy.Family{policy.IPv4, policy.IPv6}
	}
	var changed []slot
	for _, f := range families {
		changed = append(changed, slot{Instance: s.Instance, Policy: s.Policy, Family: f})
		if in.Global(f) != s.Policy {
			continue
		}
		for i, access := range in.Policies {
			if access.FallThrough && i != s.Policy && access.Decided[f] != nil {
				changed = append(changed, slot{Instance: s.Instance, Policy: i, Family: f})
			}
		}
	}
	return changed
}
