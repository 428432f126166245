package config

import (
	"slices"

	"github.com/miekg/dns"

	"gtmd/server"
)

// Zone is one zone with its records. It is immutable.
type Zone struct {
	// Name and Nameservers are canonical; File leads to the zone file from the working directory.
	server.ZoneOptions
	// Mbox is the contact as the domain name in the SOA record (RFC 1035 section 3.3.13), dots of the local part escaped.
	Mbox string
	// Serial of the SOA record: that of the options or, where that is 0, the last change of any configuration file.
	Serial uint32
	// Records are those of the zone file in its order, as it writes them, without SOA and apex NS. Nil without a file.
	// They are shared by all users of the Config: copy before changing.
	Records []dns.RR
}

// maxFailoverTTL is the number of seconds above which a TTL that failover waits for is worth a warning.
const maxFailoverTTL = 300

// checkZones makes the names of zones canonical, and reads and checks their files.
func (k *checker) checkZones() {
	options := k.config.File.Zones
	names := make([]string, len(options))
	for i := range options {
		names[i] = k.zoneOptions(&options[i], element("zone", i))
	}
	k.zones = k.unique("zone", names, func(i int) string { return element("zone", i) + ".name" })
	for i := range options {
		records := &zoneRecords{name: names[i]}
		if options[i].File != "" && names[i] != "" {
			k.zoneFile(records, &options[i], element("zone", i)+".file")
		}
		k.zoneRecords = append(k.zoneRecords, records)
		zone := Zone{ZoneOptions: options[i], Serial: uint32(options[i].Serial)}
		zone.Mbox, _ = mailbox(options[i].Contact)
		for _, r := range records.all {
			zone.Records = append(zone.Records, r.rr)
		}
		k.config.Zones = append(k.config.Zones, zone)
	}
	for i, name := range names {
		k.checkRedirected(name, element("zone", i)+".name")
	}
	for i := range k.config.Zones {
		if k.config.Zones[i].Serial == 0 {
			k.config.Zones[i].Serial = k.from.serial()
		}
	}
}

// checkRedirected reports a zone below a DNAME of the zone of ours that it lies in.
func (k *checker) checkRedirected(name, path string) {
	next, end := dns.NextLabel(name, 0)
	if name == "" || end {
		return
	}
	if outer := k.closestZone(name[next:]); outer >= 0 {
		if above, ok := k.zoneRecords[outer].redirect(name); ok {
			k.errorf(path, "zone %s lies below %s, whose DNAME record at %s redirects it: remove one of the two (RFC 6672 section 2.4)",
				quote(plainName(name)), quote(plainName(above.owner)), above.at())
		}
	}
}

// zoneOptions checks the options of one zone but for its file. It returns the canonical name, or "" for none.
func (k *checker) zoneOptions(zone *server.ZoneOptions, at string) string {
	k.canonical(&zone.Name, at+".name", canonicalName)
	first := map[string]int{}
	for i := range zone.Nameservers {
		key := element(at+".nameservers", i)
		if !k.canonical(&zone.Nameservers[i], key, canonicalHost) {
			continue
		}
		if j, ok := first[zone.Nameservers[i]]; ok {
			k.errorf(key, "%s is listed already as nameservers[%d]", quote(zone.Nameservers[i]), j)
			continue
		}
		first[zone.Nameservers[i]] = i
	}
	if _, err := mailbox(zone.Contact); err != nil && zone.Contact != "" {
		k.errorf(at+".contact", "%v", err)
	}
	if zone.NegativeTTL > maxFailoverTTL {
		k.warnf(at+".negative_ttl", "negative_ttl is %d s: resolvers remember for as long that a name has no address, want at most %d",
			zone.NegativeTTL, maxFailoverTTL)
	}
	if _, err := canonicalName(zone.Name); err != nil {
		return ""
	}
	return zone.Name
}

// canonical brings a name to its canonical form, or reports why it has none. An empty name has its problem already.
func (k *checker) canonical(name *string, path string, form func(string) (string, error)) bool {
	if *name == "" {
		return false
	}
	text, err := form(*name)
	if err != nil {
		k.errorf(path, "%v", err)
		return false
	}
	*name = text
	return true
}

// zoneFile reads and checks the file of one zone.
func (k *checker) zoneFile(records *zoneRecords, zone *server.ZoneOptions, path string) {
	k.resolve(&zone.File, path)
	reader := &zoneReader{from: k.from, zone: zone, key: k.config.merged.locate(path).path}
	if err := reader.open(); err != nil {
		k.errorf(path, "%v", err)
		return
	}
	problems := reader.parse()
	if len(problems) > 0 {
		k.problems = append(k.problems, problems...)
		records.isBroken = true
		return
	}
	records.fill(reader.records)
	for _, p := range records.problems() {
		p.Key = reader.key
		k.problems = append(k.problems, p)
	}
	for _, p := range records.warnings() {
		p.Key = reader.key
		k.warnings = append(k.warnings, p)
	}
}

// closestZone is the number of the most specific zone that a canonical name lies in, or -1.
func (k *checker) closestZone(name string) int {
	for label, end := 0, false; !end; label, end = dns.NextLabel(name, label) {
		if i, ok := k.zones.first[name[label:]]; ok {
			return i
		}
	}
	return -1
}

// checkNameservers warns of name servers inside a zone of ours whose address nobody can find. Access domains are the
// names that instances answer.
func (k *checker) checkNameservers(accessDomains map[string]string) {
	for i := range k.config.Zones {
		for j, host := range k.config.Zones[i].Nameservers {
			if !dns.IsSubDomain(k.config.Zones[i].Name, host) || accessDomains[host] != "" {
				continue
			}
			closest := k.closestZone(host)
			if closest < 0 || k.zoneRecords[closest].isBroken || k.zoneRecords[closest].has(host, dns.TypeA, dns.TypeAAAA) {
				continue
			}
			k.warnf(element(element("zone", i)+".nameservers", j), "name server %s lies in zone %s and has no address there: add its A or AAAA record to the zone file",
				quote(plainName(host)), quote(plainName(k.config.Zones[closest].Name)))
		}
	}
}

// zoneNames are the names of all zones as messages list them.
func (k *checker) zoneNames() []string {
	names := slices.Clone(k.zones.names)
	for i := range names {
		names[i] = plainName(names[i])
	}
	return names
}
