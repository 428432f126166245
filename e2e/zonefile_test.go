//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// zoneFileText uses whatever a zone file may, as far as gtmd and BIND have it in common. INCLUDED is a path.
const zoneFileText = `
$TTL 5m
; a comment
www		A	192.0.2.1
		AAAA	2001:db8::1 ; the same owner
	1h30m IN MX	10 Mail.Example.NET.
Mixed.Case 60 IN TXT ( "in several" ; with a comment
	"lines; no comment"
	unquoted\032text "quote\" backslash\\ \000\255" )
_sip._tcp SRV 1 2 5060 www
ptr PTR www.types.test.
caa CAA 128 issue "ca.example; policy=ev"
_25._tcp TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
sshfp SSHFP 4 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
https HTTPS 1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1
https2 HTTPS 0 www
_dns SVCB 1 www mandatory=alpn alpn=dot key65000=abc
naptr NAPTR 100 10 "S" "SIP+D2U" "!^.*$!sip:info@example.org!" _sip._udp
loc LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
hinfo HINFO "A CPU" "An OS"
rp RP host.master info.www
uri URI 10 1 "ftp://ftp.example.org/public"
openpgp OPENPGPKEY AQIDBAUGBwg=
generic TYPE65534 \# 4 0A000001
known TYPE1 \# 4 C0000201
afsdb AFSDB 1 www
cert CERT PGP 0 0 AQIDBA==
apl APL 1:192.0.2.0/24 !2:2001:db8::/32
dnskey DNSKEY 256 3 8 AwEAAcw=
eui EUI48 00-00-5e-00-53-2a
kx KX 10 www
oct\000\255\.\@\(\$ A 192.0.2.2
cname CNAME WWW
dname DNAME www2
a.www2 A 192.0.2.3
*.wild TXT "wild"
sub.wild NS ns.sub.wild
ns.sub.wild A 192.0.2.4
deep.*.wild A 192.0.2.5
*.wcname CNAME cname
secure NS ns.example.net.
secure DS 60485 8 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
sibling NS ns.secure
ns.secure A 192.0.2.6
nested NS ns.nested
nested DS 1 8 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
ns.nested A 192.0.2.7
$GENERATE 1-3 host$ A 192.0.2.$
$GENERATE 10-20/5 h-${0,3,d} CNAME host$
$ORIGIN inner.types.test.
@ A 192.0.2.8
x TXT "below another origin"
$ORIGIN types.test.
$INCLUDE INCLUDED part.types.test.
after A 192.0.2.9
$INCLUDE INCLUDED
`

// TestZoneFile serves one zone file, and a zone inside it, from gtmd and BIND. For each of the questions dig prints the same.
func TestZoneFile(t *testing.T) {
	dig := need(t, "dig")["dig"]
	included := filepath.Join(t.TempDir(), "part.zone")
	if err := os.WriteFile(included, []byte("included A 192.0.2.10\n@ TXT \"of its origin\"\n$ORIGIN far\nx CNAME included\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	zone := func(name string, text string) *randomZone {
		return &randomZone{name: name, ttl: 3600, negTTL: 30, nameservers: []string{"ns1.example.net.", "ns2.example.net."}, lines: []string{text}}
	}
	peers := startPeers(t, []*randomZone{
		zone("types.test.", strings.ReplaceAll(zoneFileText, "INCLUDED", included)), zone("nested.types.test.", "www A 192.0.2.11\nup CNAME www.types.test.\nout DNAME types.test.\n"),
	}, "named")
	questions := `
types.test SOA
types.test NS
www A
wWw.TYPES.test AAAA
www MX
www TXT
mixed.case TXT
MIXED.CASE.types.test TXT
_sip._tcp SRV
ptr PTR
caa CAA
_25._tcp TLSA
sshfp SSHFP
https HTTPS
https2 HTTPS
_dns SVCB
naptr NAPTR
loc LOC
hinfo HINFO
rp RP
uri URI
openpgp OPENPGPKEY
generic TYPE65534
generic TYPE65533
known A
afsdb AFSDB
cert CERT
apl APL
dnskey DNSKEY
eui EUI48
kx KX
oct\000\255\.\@\(\$ A
cname A
cname CNAME
dname DNAME
dname A
a.dname A
b.dname A
x.wild TXT
x.y.wild TXT
x.wild A
sub.wild TXT
x.sub.wild TXT
x.deep.*.wild A
deep.*.wild A
x.*.wild TXT
x.wcname A
x.wcname CNAME
secure A
secure DS
x.secure DS
x.sibling A
nested NS
nested DS
www.nested A
nothing.nested A
up.nested A
www.out.nested A
host1 A
host3 A
host4 A
h-010 CNAME
h-20 CNAME
h-015 CNAME
inner A
x.inner TXT
included.part A
part TXT
x.far.part A
x.far A
after A
included A
types.test TXT
nothing A
a.b.c.nothing A
far A
`
	for question := range strings.Lines(strings.TrimSpace(questions)) {
		name, qtype, _ := strings.Cut(strings.TrimSpace(question), " ")
		if !strings.Contains(name, ".test") && !strings.Contains(name, ".TYPES") {
			name += ".types.test"
		}
		var printed []string
		for _, p := range peers {
			out, err := exec.Command(dig, "@"+p.address[:strings.LastIndexByte(p.address, ':')], "-p", portOf(p.address), "+norecurse", "+retry=0", "+time=5",
				"+noall", "+comments", "+answer", "+authority", "+nocookie", name, qtype).CombinedOutput()
			if err != nil {
				t.Fatalf("dig %s %s of %s: %v\n%s", name, qtype, p.name, err, out)
			}
			printed = append(printed, essence(string(out)))
		}
		if printed[0] != printed[1] {
			t.Errorf("%s %s\n-- gtmd\n%s\n-- named\n%s", name, qtype, printed[0], printed[1])
		}
	}
}

// essence is the status, the AA flag and the records that dig printed, sorted; owners in lower case, because those that follow
// the question's name repeat its case.
func essence(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if i := strings.Index(line, "status: "); i >= 0 {
			status, _, _ := strings.Cut(line[i:], ",")
			lines = append(lines, status)
		}
		switch {
		case strings.HasPrefix(line, ";; flags:"):
			lines = append(lines, fmt.Sprint("aa ", strings.Contains(line, " aa")))
		case len(fields) > 3 && line[0] != ';':
			fields[0] = strings.ToLower(fields[0])
			if slices.Contains([]string{"CNAME", "DNAME", "PTR"}, fields[3]) {
				fields[4] = strings.ToLower(fields[4])
			}
			lines = append(lines, strings.Join(fields, " "))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
