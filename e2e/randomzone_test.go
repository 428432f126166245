//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// randomZone is a zone of a made-up world, as a master file has it.
type randomZone struct {
	name        string // with the final dot
	nameservers []string
	ttl, negTTL int
	lines       []string // all records but SOA and apex NS; owners are relative to the zone
	owners      []string // of lines, and some that have none
}

// randomGroup is a zone with those of ours below it. What it refers to lies mostly in it, so it is an example by itself.
type randomGroup []*randomZone

// master is the zone as a master file for a name server that takes all of it from there. The SOA is what gtmd makes of its options.
func (z *randomZone) master() string {
	var b strings.Builder
	fmt.Fprintf(&b, "$ORIGIN %s\n@ %d IN SOA %s hostmaster.example.net. 1 3600 600 604800 %d\n", z.name, z.ttl, z.nameservers[0], z.negTTL)
	for _, ns := range z.nameservers {
		fmt.Fprintf(&b, "@ %d IN NS %s\n", z.ttl, ns)
	}
	return b.String() + z.records()
}

// records is the zone file for gtmd.
func (z *randomZone) records() string { return strings.Join(append(z.lines, ""), "\n") }

// options is the [[zone]] of gtmd.
func (z *randomZone) options(file string) string {
	return fmt.Sprintf("[[zone]]\nname = %q\nnameservers = [\"%s\"]\ncontact = \"hostmaster@example.net\"\nttl = %d\nnegative_ttl = %d\nserial = 1\nfile = %q\n",
		z.name, strings.Join(z.nameservers, `", "`), z.ttl, z.negTTL, file)
}

func (g randomGroup) String() string {
	var b strings.Builder
	for _, z := range g {
		b.WriteString(z.master())
	}
	return b.String()
}

// zoneMaker draws zones over few labels, so that names meet.
type zoneMaker struct {
	*rand.Rand
	groups int
}

func (r zoneMaker) pick(list ...string) string { return list[r.IntN(len(list))] }

func (r zoneMaker) chance(percent int) bool { return r.IntN(100) < percent }

// label is mostly one of a few plain ones.
func (r zoneMaker) label() string {
	switch {
	case r.chance(80):
		return r.pick("a", "b", "c", "d")
	case r.chance(60):
		return "*"
	}
	return r.pick("A", "_sip", `\000`, `x\.y`, `\255\128`, "-", "xn--bcher-kva", `sp\032ace`, `\(p\)`, `q\"\;`, `\$\@`, `a\*`, strings.Repeat("l", 63))
}

func (r zoneMaker) owner() string {
	labels := []string{r.label()}
	for range r.pick("", "x", "xx") {
		labels = append(labels, r.label())
	}
	return strings.Join(labels, ".")
}

// group draws the i-th zone and those below it.
func (r zoneMaker) group(i int) randomGroup {
	name := fmt.Sprintf("g%d.test.", i)
	nested := ""
	if r.chance(40) {
		nested = r.pick("b.", "a.b.", "c.") + name
	}
	g := randomGroup{r.zone(name, nested)}
	if nested != "" {
		below := ""
		if r.chance(20) {
			below = "b." + nested
		}
		if g = append(g, r.zone(nested, below)); below != "" {
			g = append(g, r.zone(below, ""))
		}
	}
	return g
}

// zone draws one zone; below is the name of one of ours that lies in it, or empty.
func (r zoneMaker) zone(name, below string) *randomZone {
	z := &randomZone{name: name, ttl: max(1, r.pickTTL()), negTTL: r.IntN(600), nameservers: []string{"ns1.example.net."}}
	for range 3 + r.IntN(8) {
		z.owners = append(z.owners, r.owner())
	}
	inside := strings.TrimSuffix(below, "."+name)
	if below != "" {
		z.owners = append(z.owners, inside, "ns."+inside)
	}
	m := &recordMaker{zoneMaker: r, zone: z, kinds: map[string]string{}}
	if r.chance(30) {
		z.nameservers = append(z.nameservers, "ns."+name)
		m.kinds["ns"] = "data"
		m.add("ns", "A", "192.0.2.53")
	}
	if r.chance(30) {
		m.add("@", r.pick("A", "MX", "TXT", "CAA"), "")
	}
	// Not in a zone below another: NSD refuses it when that has glue below the DNAME.
	if r.chance(8) && below == "" && len(z.lines) == 0 && strings.Count(name, ".") == 2 {
		m.add("@", "DNAME", m.target())
		return z
	}
	for range 2 + r.IntN(10) {
		owner := r.pick(z.owners...)
		if inside != "" && (owner == inside || strings.HasSuffix(owner, "."+inside)) {
			if owner == inside && r.chance(70) {
				m.cut(owner)
			}
			continue
		}
		m.name(owner)
	}
	m.prune(below)
	return z
}

func (r zoneMaker) pickTTL() int { return []int{0, 1, 60, 300, 3600, 86400}[r.IntN(6)] }

// recordMaker draws the records of one zone.
type recordMaker struct {
	zoneMaker
	zone  *randomZone
	kinds map[string]string // by owner in lower case; a name has one
}

// name gives a name some records.
func (m *recordMaker) name(owner string) {
	key := strings.ToLower(owner)
	kind := m.kinds[key]
	if kind == "" {
		kind = m.pick("data", "data", "data", "alias", "alias", "cut", "redirect")
		if strings.HasPrefix(owner, "*") && kind != "alias" {
			kind = "data"
		}
		m.kinds[key] = kind
	} else if kind != "data" {
		return
	}
	switch kind {
	case "data":
		for range 1 + m.IntN(2) {
			m.add(owner, m.pick(dataTypes...), "")
		}
	case "alias":
		m.add(owner, "CNAME", m.target())
	case "redirect":
		m.add(owner, "DNAME", m.target())
		if m.chance(50) {
			m.add(owner, m.pick(dataTypes...), "")
		}
	case "cut":
		m.cut(owner)
	}
}

// cut delegates a name, with and without glue, of its own and of its siblings.
func (m *recordMaker) cut(owner string) {
	m.kinds[strings.ToLower(owner)] = "cut"
	var hosts []string
	for range 1 + m.IntN(2) {
		host := m.pick("ns."+owner, owner, m.target(), "ns."+m.pick(m.zone.owners...), "ns.example.org.")
		if !slices.Contains(hosts, strings.ToLower(host)) {
			hosts = append(hosts, strings.ToLower(host))
		}
	}
	m.add(owner, "NS", hosts...)
	if m.chance(70) {
		if glue := "ns." + owner; m.kinds[strings.ToLower(glue)] == "" && !strings.HasPrefix(glue, "*") {
			m.kinds[strings.ToLower(glue)] = "glue"
			m.add(glue, m.pick("A", "AAAA"), "")
		}
	}
	if m.chance(40) {
		m.add(owner, "DS", "1 8 2 "+strings.Repeat("0A", 32))
	}
}

// target is a name that something leads to.
func (m *recordMaker) target() string {
	owner := m.pick(m.zone.owners...)
	switch n := m.IntN(20); {
	case n < 11:
		return owner
	case n < 14:
		return m.label() + "." + owner
	case n < 15:
		return "@"
	case n < 16:
		return fmt.Sprintf("%s.g%d.test.", m.label(), m.IntN(m.groups))
	case n < 17:
		return m.label() + "." + m.zone.name[strings.IndexByte(m.zone.name, '.')+1:] // beside or above the zone
	case n < 18:
		return "."
	}
	return m.pick("www.example.org.", "Out.Example.", `\000.example.`)
}

// dataTypes are the types of a name with data.
var dataTypes = []string{"A", "A", "A", "AAAA", "AAAA", "TXT", "TXT", "MX", "MX", "SRV", "PTR", "CAA", "TLSA", "SSHFP", "HTTPS", "SVCB", "NAPTR", "LOC",
	"HINFO", "RP", "URI", "OPENPGPKEY", "TYPE65534", "AFSDB", "SPF", "CERT"}

// add adds an RRset unless it is there; without data it draws some.
func (m *recordMaker) add(owner, qtype string, data ...string) {
	prefix := owner + " "
	for _, line := range m.zone.lines {
		if fields := strings.Fields(line); strings.EqualFold(fields[0], owner) && fields[3] == qtype {
			return
		}
	}
	if len(data) == 1 && data[0] == "" {
		data = m.data(qtype)
	}
	ttl := m.pickTTL()
	for _, d := range data {
		m.zone.lines = append(m.zone.lines, fmt.Sprintf("%s%d IN %s %s", prefix, ttl, qtype, d))
	}
}

// data draws the data of an RRset.
func (m *recordMaker) data(qtype string) []string {
	n := m.IntN(200)
	switch qtype {
	case "A":
		if m.chance(3) {
			var many []string
			for i := range 90 { // BIND takes 100
				many = append(many, fmt.Sprintf("198.51.100.%d", i))
			}
			return many
		}
		return []string{fmt.Sprintf("192.0.2.%d", n), fmt.Sprintf("198.51.100.%d", n)}[:1+n%2]
	case "AAAA":
		return []string{fmt.Sprintf("2001:db8::%x", n)}
	case "TXT", "SPF":
		if m.chance(10) {
			return []string{strings.Repeat(`"`+strings.Repeat("x", 255)+`" `, 6)}
		}
		return []string{m.pick(`"Some Text" second`, `"quote\" back\\slash \000\255;" ""`, `unquoted`, `"(" ")"`)}
	case "MX":
		return []string{fmt.Sprintf("%d %s", n, m.target()), fmt.Sprintf("%d mail.example.org.", n+1)}[:1+n%2]
	case "SRV":
		return []string{fmt.Sprintf("1 2 %d %s", n, m.target())}
	case "PTR":
		return []string{m.target()}
	case "CAA":
		return []string{m.pick(`0 issue "ca.example"`, `128 iodef "mailto:a@example.org"`)}
	case "TLSA":
		return []string{"3 1 1 " + strings.Repeat("aB", 32)}
	case "SSHFP":
		return []string{"4 2 " + strings.Repeat("12", 32)}
	case "HTTPS", "SVCB":
		return []string{m.pick("0 "+m.target(), "1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1", "1 "+m.target()+" mandatory=alpn alpn=h2 key65000=abc")}
	case "NAPTR":
		return []string{`100 10 "S" "SIP+D2U" "!^.*$!sip:a@example.org!" ` + m.target()}
	case "LOC":
		return []string{m.pick("52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m", "1 0 0.000 S 179 59 59.999 W 100.00m 1m 100m 2m")}
	case "HINFO":
		return []string{`"A CPU" "An OS"`}
	case "RP":
		return []string{m.target() + " " + m.target()}
	case "URI":
		return []string{fmt.Sprintf(`10 %d "https://www.example.org/%d"`, n, n)}
	case "OPENPGPKEY":
		return []string{"AQIDBAUGBwg="}
	case "AFSDB":
		return []string{"1 " + m.target()}
	case "CERT":
		return []string{"1 2 8 AQIDBA=="}
	}
	return []string{m.pick(`\# 4 0A000001`, `\# 0`)} // RFC 3597
}

// prune takes away what lies below a DNAME (RFC 6672 section 2.4), and a DNAME above a zone of ours.
func (m *recordMaker) prune(below string) {
	name := func(line string) string {
		owner := strings.Fields(line)[0]
		if owner == "@" {
			return m.zone.name
		}
		return strings.ToLower(owner) + "." + m.zone.name
	}
	isBelow := func(k, top string) bool { return k != top && strings.HasSuffix(k, "."+top) }
	m.zone.lines = slices.DeleteFunc(m.zone.lines, func(line string) bool {
		return strings.Fields(line)[3] == "DNAME" && (below != "" && isBelow(below, name(line)) || isBelow("ns."+m.zone.name, name(line)))
	})
	var redirects []string
	for _, line := range m.zone.lines {
		if strings.Fields(line)[3] == "DNAME" {
			redirects = append(redirects, name(line))
		}
	}
	m.zone.lines = slices.DeleteFunc(m.zone.lines, func(line string) bool {
		return slices.ContainsFunc(redirects, func(top string) bool { return isBelow(name(line), top) })
	})
}

// questionTypes are those that are asked for.
var questionTypes = append([]string{"A", "A", "A", "AAAA", "CNAME", "CNAME", "DNAME", "DNAME", "NS", "NS", "SOA", "DS", "DS", "MX", "TXT", "NSEC", "DNSKEY", "TYPE999"}, dataTypes...)

// question draws one question about a group: a name that exists, one below or beside it, or a target, in any case.
func (r zoneMaker) question(g randomGroup) dns.Question {
	z := g[r.IntN(len(g))]
	name := r.pick(z.owners...) + "." + z.name
	switch n := r.IntN(20); {
	case n < 8:
	case n < 13:
		name = r.label() + "." + name
	case n < 15:
		name = r.label() + "." + r.label() + "." + name
	case n < 16:
		name = z.name
	case n < 17:
		name = r.label() + "." + z.name
	case n < 18:
		labels := dns.SplitDomainName(name)
		name = strings.Join(labels[min(1, len(labels)-1):], ".") + "."
	case n < 19:
		name = "ns." + name
	default:
		for len(name) < 180 {
			name = strings.Repeat("l", 1+r.IntN(63)) + "." + name
		}
	}
	qtype := r.pick(questionTypes...)
	if len(z.lines) > 0 && r.chance(60) { // one that the zone has
		fields := strings.Fields(z.lines[r.IntN(len(z.lines))])
		if qtype = fields[3]; r.chance(60) {
			name = strings.Replace(fields[0]+"."+z.name, "@.", "", 1)
		}
	}
	var number uint16
	if known, ok := dns.StringToType[qtype]; ok {
		number = known
	} else {
		fmt.Sscanf(qtype, "TYPE%d", &number)
	}
	return dns.Question{Name: r.mixed(name), Qtype: number, Qclass: dns.ClassINET}
}

// mixed is a name in another case.
func (r zoneMaker) mixed(name string) string {
	if r.chance(60) {
		return name
	}
	mixed := []byte(name)
	for i, c := range mixed {
		if ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') && r.chance(50) {
			mixed[i] = c ^ 0x20
		}
	}
	return string(mixed)
}
