//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompliance is the tables of RFC 8906 section 8 and of the EDNS compliance tester that reports go by, asked with dig, whose
// parser would complain about a malformed reply. The names in capitals are those of that tester.
func TestCompliance(t *testing.T) {
	dig := need(t, "dig")["dig"]
	l := newLab(t, shop)
	l.write(t, "zone", "$TTL 60\nns1 A 127.0.0.53\nbig TXT "+strings.Repeat(`"`+strings.Repeat("x", 200)+`" `, 10)+"\n")
	l.write(t, "gtmd.toml", fmt.Sprintf(`[dns]
listen = [%q]
nsid = "ns1.lab"
version = "a name server"
identity = "ns1.lab"
extended_errors = ["127.0.0.0/8"]
[admin]
listen = ""
socket = %q
[state]
dir = %q
[[zone]]
name = "gtm.test"
nameservers = ["ns1.gtm.test"]
contact = "hostmaster@gtm.test"
file = "zone"
`, l.GTMD, l.Socket, filepath.Join(l.dir, "state")))
	l.gtmd = start(t, l.dir, l.program, "run", "--config", filepath.Join(l.dir, "gtmd.toml"))
	l.answers(t, l.GTMD, "ns1.gtm.test")
	const (
		soa     = `(?m)^gtm\.test\.\s+3600\s+IN\s+SOA\s`
		noEDNS  = "ADDITIONAL: 0"
		edns0   = `EDNS: version: 0, flags:;`
		bare    = `(?m)^; EDNS: version: 0, flags:; udp: \d+\n;; QUESTION` // no option comes back
		plain   = `flags: qr aa; QUERY: 1, ANSWER: 1`
		nothing = `ANSWER: 0, AUTHORITY: 0`
	)
	rows := []struct {
		name, args string
		want       []string
	}{
		// RFC 8906 section 8.1: without EDNS.
		{"8.1.1 DNS", "+noedns gtm.test SOA", []string{"status: NOERROR", plain, soa, noEDNS}},
		{"8.1.2 TYPE666", "+noedns gtm.test TYPE1000", []string{"status: NOERROR", `flags: qr aa; QUERY: 1, ANSWER: 0, AUTHORITY: 1`, noEDNS}},
		{"8.1.3.1 CD (RFC 4035 3.1.6)", "+noedns +cdflag gtm.test SOA", []string{"status: NOERROR", plain, soa}},
		{"8.1.3.2 AD", "+noedns +adflag gtm.test SOA", []string{"status: NOERROR", plain, soa}},
		{"8.1.3.3 Z", "+noedns +zflag gtm.test SOA", []string{"status: NOERROR", plain, soa}},
		{"AA", "+noedns +aaflag gtm.test SOA", []string{"status: NOERROR", plain, soa}},
		{"RA", "+noedns +raflag gtm.test SOA", []string{"status: NOERROR", plain, soa}},
		{"TC", "+noedns +tcflag gtm.test SOA", []string{"status: NOERROR", plain, soa}},
		{"RD", "+noedns +rdflag gtm.test SOA", []string{"status: NOERROR", `flags: qr aa rd; QUERY: 1, ANSWER: 1`, soa}},
		{"8.1.4 OPCODE", "+noedns +opcode=15 +header-only", []string{"opcode: RESERVED15, status: NOTIMP", `flags: qr; QUERY: 0, ANSWER: 0`}},
		{"OPCODEFLG", "+noedns +opcode=15 +header-only +tcflag +rdflag +raflag +cdflag +adflag +aaflag +zflag", []string{"status: NOTIMP", `flags: qr; QUERY: 0, ANSWER: 0`}},
		{"8.1.5 TCP", "+noedns +tcp gtm.test SOA", []string{"status: NOERROR", plain, soa}},
		// Section 8.2: with EDNS.
		{"8.2.1 EDNS", "+edns=0 gtm.test SOA", []string{"status: NOERROR", plain, edns0, soa}},
		{"8.2.2 EDNS1", "+edns=1 +noednsneg gtm.test SOA", []string{"status: BADVERS", edns0, nothing}},
		{"8.2.3 EDNSOPT", "+edns=0 +ednsopt=100 gtm.test SOA", []string{"status: NOERROR", plain, edns0, soa, bare}},
		{"8.2.4 EDNSFLAGS", "+edns=0 +ednsflags=0x40 gtm.test SOA", []string{"status: NOERROR", plain, edns0, soa}},
		{"8.2.5 EDNS1 with flags", "+edns=1 +noednsneg +ednsflags=0x40 gtm.test SOA", []string{"status: BADVERS", edns0, nothing}},
		{"8.2.6 EDNS1OPT", "+edns=1 +noednsneg +ednsopt=100 gtm.test SOA", []string{"status: BADVERS", edns0, nothing}},
		{"8.2.7 truncated", "+edns=0 +bufsize=512 +ignore big.gtm.test TXT", []string{"status: NOERROR", `flags: qr aa tc; QUERY: 1, ANSWER: 0`, edns0}},
		{"EDNS@512", "+edns=0 +bufsize=512 gtm.test SOA", []string{"status: NOERROR", plain, edns0, soa}},
		{"8.2.8 DO", "+edns=0 +dnssec gtm.test SOA", []string{"status: NOERROR", plain, "EDNS: version: 0, flags: do;", soa}},
		{"DOCD", "+edns=0 +dnssec +cdflag gtm.test SOA", []string{"status: NOERROR", plain, "EDNS: version: 0, flags: do;", soa}},
		{"8.2.9 EDNS1DO", "+edns=1 +noednsneg +dnssec gtm.test SOA", []string{"status: BADVERS", "EDNS: version: 0, flags: do;", nothing}},
		{"8.2.10 OPTLIST", "+edns=0 +nsid +subnet=0.0.0.0/0 +expire +cookie gtm.test SOA", []string{
			"status: NOERROR", plain, soa, `NSID: .*ns1\.lab`, `COOKIE: [0-9a-f]{48} \(good\)`, `CLIENT-SUBNET: 0\.0\.0\.0/0/0`,
		}},
		{"EDNSNSID (RFC 5001)", "+edns=0 +nsid gtm.test SOA", []string{"status: NOERROR", soa, `NSID: .*ns1\.lab`}},
		{"EDNSCOOKIE (RFC 7873 5.2.3)", "+edns=0 +cookie=0102030405060708 gtm.test SOA", []string{"status: NOERROR", soa, `COOKIE: 010203040506070801000000[0-9a-f]{24} \(good\)`}},
		{"EDNSEXPIRE (RFC 7314)", "+edns=0 +expire gtm.test SOA", []string{"status: NOERROR", plain, edns0, soa}},
		{"EDNSSUBNET (RFC 7871 7.2.1)", "+edns=0 +subnet=0.0.0.0/0 gtm.test SOA", []string{"status: NOERROR", soa, `CLIENT-SUBNET: 0\.0\.0\.0/0/0`}},
		{"EDNS1NSID", "+edns=1 +noednsneg +nsid gtm.test SOA", []string{"status: BADVERS", edns0, nothing}},
		{"EDNS1COOKIE", "+edns=1 +noednsneg +cookie gtm.test SOA", []string{"status: BADVERS", edns0, nothing}},
		{"EDNS1EXPIRE", "+edns=1 +noednsneg +expire gtm.test SOA", []string{"status: BADVERS", edns0, nothing}},
		{"EDNS1SUBNET", "+edns=1 +noednsneg +subnet=0.0.0.0/0 gtm.test SOA", []string{"status: BADVERS", edns0, nothing}},
		{"EDNSTCP", "+edns=0 +tcp gtm.test SOA", []string{"status: NOERROR", plain, edns0, soa}},
		{"BIND11", "+edns=0 +dnssec +cookie +bufsize=1232 gtm.test SOA", []string{"status: NOERROR", plain, soa, `\(good\)`}},
		{"DIG11", "+edns=0 +cookie +rdflag +adflag gtm.test SOA", []string{"status: NOERROR", `flags: qr aa rd;`, soa, `\(good\)`}},
		// What the server says of itself, and of what it will not answer.
		{"Q05 version.bind (RFC 4892)", "version.bind TXT -c CH", []string{"status: NOERROR", `"a name server"`}},
		{"Q06 id.server", "id.server TXT -c CH", []string{"status: NOERROR", `"ns1\.lab"`}},
		{"Q06 hostname.bind", "hostname.bind TXT -c CH", []string{"status: NOERROR", `"ns1\.lab"`}},
		{"Q04 another name of class CH", "authors.bind TXT -c CH", []string{"status: REFUSED", nothing}},
		{"E20 extended error (RFC 8914 4.21)", "example.com A", []string{"status: REFUSED", nothing, `EDE: 20 \(Not Authoritative\)`}},
		{"E19 keepalive over TCP (RFC 7828 3.2.1)", "+tcp +keepalive gtm.test SOA", []string{"status: NOERROR", soa, `TCP[- ]KEEPALIVE: \d`}},
		{"E18 keepalive over UDP (RFC 7828 3.2.1)", "+keepalive gtm.test SOA", []string{"status: NOERROR", soa, edns0}},
		{"H11 ID 0", "+qid=0 gtm.test SOA", []string{`(?m)status: NOERROR, id: 0$`, soa}},
		{"H11 ID 65535", "+qid=65535 gtm.test SOA", []string{`(?m)status: NOERROR, id: 65535$`, soa}},
		{"A19 octets of any value", `a\000\255b.gtm.test A`, []string{"status: NXDOMAIN"}},
		{"A20 the longest name", strings.Repeat(strings.Repeat("a", 61)+".", 3) + strings.Repeat("b", 57) + ".gtm.test A", []string{"status: NXDOMAIN"}},
	}
	for _, n := range []int{1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14} {
		rows = append(rows, struct {
			name, args string
			want       []string
		}{fmt.Sprintf("H05.%d (RFC 8906 8.1.5)", n), fmt.Sprintf("+noedns +opcode=%d +header-only", n), []string{"status: NOTIMP", "flags: qr;"}})
	}
	// The types of the tester: each is answered, none with an error that a resolver would hold against the server.
	for _, qtype := range []string{
		"A", "NS", "MD", "MF", "CNAME", "SOA", "MB", "MG", "MR", "NULL", "WKS", "PTR", "HINFO", "MINFO", "MX", "TXT", "RP", "AFSDB", "X25", "ISDN", "RT",
		"NSAP", "NSAP-PTR", "SIG", "KEY", "PX", "GPOS", "AAAA", "LOC", "NXT", "SRV", "NAPTR", "KX", "CERT", "A6", "DNAME", "APL", "DS", "SSHFP",
		"IPSECKEY", "RRSIG", "NSEC", "DNSKEY", "DHCID", "NSEC3", "NSEC3PARAM", "TLSA", "SMIMEA", "HIP", "CDS", "CDNSKEY", "OPENPGPKEY", "CSYNC", "ZONEMD",
		"SVCB", "HTTPS", "SPF", "NID", "L32", "L64", "LP", "EUI48", "EUI64", "URI", "CAA", "AVC", "TA", "DLV", "TYPE1000", "TYPE65535",
	} {
		rows = append(rows, struct {
			name, args string
			want       []string
		}{"Q09 type " + qtype, "gtm.test " + qtype, []string{"status: NOERROR", "flags: qr aa;", `ANSWER: [01], AUTHORITY: [01],`}})
	}
	for _, row := range rows {
		args := append([]string{"@" + gtmdIP, "-p", portOf(l.GTMD), "+norecurse", "+noadflag", "+nocookie", "+retry=0", "+time=2"}, strings.Fields(row.args)...)
		expect(t, "dig", row.name, dig, args, row.want)
	}
	t.Logf("%d rows", len(rows))
}
