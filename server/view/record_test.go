package view_test

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"gtmd/server/view"
)

// recordTypes is the data of each type that zone files have in practice.
var recordTypes = []string{
	"A 192.0.2.1", "AAAA 2001:db8::1", "MX 10 mail", "MX 0 .", "TXT text", `TXT "two words" "" "quote\" back\\slash \000\255;"`,
	"TXT ( one\n two ) ; in two lines", "SRV 1 2 5060 www", "SRV 0 0 0 .", "PTR www", `CAA 0 issue "ca.example; policy=ev"`, `CAA 128 iodef "mailto:a@example.org"`,
	"TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "SMIMEA 3 1 1 01234567", "SSHFP 4 2 0123456789abcdef",
	"HTTPS 1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1,192.0.2.2 ech=AAA= ipv6hint=2001:db8::1", "HTTPS 0 www", "SVCB 1 www mandatory=alpn alpn=dot key65000=abc", `SVCB 16 www alpn="f\\\092oo\\,bar,h2"`,
	`NAPTR 100 10 "S" "SIP+D2U" "!^.*$!sip:info@example.org!" _sip._udp`, "DS 60485 8 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "CDS 0 0 0 00",
	"LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m", `HINFO "A CPU" "An OS"`, "RP host.master info.www", `URI 10 1 "ftp://ftp.example.org/public"`,
	"OPENPGPKEY AQIDBAUGBwg=", "AFSDB 1 www", "CERT PGP 0 0 AQIDBA==", "DNSKEY 256 3 8 AwEAAcw=", "CSYNC 66 3 A NS AAAA", "EUI48 00-00-5e-00-53-2a", `SPF "v=spf1 -all"`,
	"ZONEMD 2018031500 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "KX 10 www", "APL 1:192.0.2.0/24 !2:2001:db8::/32", "DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
	`TYPE65534 \# 4 0A000001`, `TYPE65534 \# 0`, `TYPE65280 \# 3 ( 01 02 03 )`,
}

// TestRecordTypes answers each type of record at its name, for a wildcard, and behind an alias and a DNAME: what a client unpacks is
// what the zone says.
func TestRecordTypes(t *testing.T) {
	for _, data := range recordTypes {
		text := apex + "exact.at " + data + "\n*.wild.at " + data + "\nalias CNAME exact.at\n*.walias CNAME exact.at\nmoved DNAME at\n"
		z := zone(t, "g.test.", text)
		record := z.Records[3] // the first after the apex
		v := (&world{zones: []view.Zone{z}}).build(t)
		for _, ways := range []struct{ name, owner string }{
			{"exact.at.g.test.", ""}, {"x.y.wild.at.g.test.", ""}, {"alias.g.test.", "exact.at.g.test."}, {"q.walias.g.test.", "exact.at.g.test."},
			{"exact.moved.g.test.", "exact.at.g.test."}, {"x.wild.moved.g.test.", "x.wild.at.g.test."},
		} {
			want := dns.Copy(record)
			want.Header().Name = ways.name
			if ways.owner != "" {
				want.Header().Name = ways.owner
			}
			m := ask(t, v, query{name: ways.name, qtype: record.Header().Rrtype})
			if len(m.Answer) == 0 {
				t.Errorf("%s: %s: no answer", data, ways.name)
				continue
			}
			if got := m.Answer[len(m.Answer)-1]; !strings.EqualFold(got.String(), want.String()) || m.Rcode != dns.RcodeSuccess {
				t.Errorf("%s: got %v\nwant %v", ways.name, got, want)
			}
		}
	}
}
