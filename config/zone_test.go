package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// zoneToml is a zone with the file z.zone, and one instance with the access domain and primary pool given.
func zoneToml(accessDomain, primary string) string {
	return "-- gtmd.toml --\n" + strings.Replace(policies(`policy = { name = "G", sources = ["global"], primary = { pools = ["`+primary+`"] } }`),
		"contact", "file = \"z.zone\"\ncontact", 1) + "\n-- z.zone --\n"
}

func TestZoneFile(t *testing.T) {
	origin := zoneToml("a", "p4")
	origin = strings.ReplaceAll(origin, "a.gtm.example.com", "ACCESS.gtm.example.com")
	for _, row := range []struct{ name, zone, want string }{
		{"good", "@ MX 10 mail.example.com.\nwww CNAME www.example.com.\n* A 192.0.2.1\nx.access A 192.0.2.1\n$GENERATE 1-3 h$ A 192.0.2.$\n", ""},
		{"byte order mark and ends of lines of another system", "\ufeffok A 192.0.2.1\r\nok CNAME x\r\n", `z.zone:2: CNAME at "ok.gtm.example.com" beside the A at z.zone:1: a CNAME stands alone (RFC 1034 section 3.6.2)`},
		{"every error of syntax", "www A 192.0.2\nok A 192.0.2.1\nwww BAD x\nmx MX mail\n\n; comment\nwww\n mx MX 10 mail (\n", `z.zone:1:13: bad A A: "192.0.2"
z.zone:3:8: not a TTL: "BAD"
z.zone:4:10: bad MX Pref: "mail"
z.zone:7:3: no blank before TTL: "\n"
z.zone:8:7: bad MX Pref: "MX"`},
		{"an error among braces ends the list", "txt TXT (\n \"a\" ) )\nwww A 1\n", `z.zone:2:8: bad TXT Txt: "extra closing brace"`},
		{"no such include", "$INCLUDE no.zone\nwww A 1", `z.zone:1:16: $INCLUDE: stat no.zone: no such file or directory
z.zone:2:7: bad A A: "1"`},
		{"no data", "a A\nb MX ; nothing\nc TXT", `z.zone:1:3: unexpected newline: "\n"
z.zone:2:14: bad MX Pref: "\n"
z.zone:3:5: unexpected newline: "\n"`},
		{"no data, as the parser allows, and data that is none", "apl APL \nx TYPE999 \\# 0\ntxt TXT \nkey DNSKEY 256 3 8 !!!", `z.zone:3: record "txt.gtm.example.com" TXT has no data
z.zone:4: record "key.gtm.example.com" DNSKEY has data that no message can carry: illegal base64 data at input byte 0`},
		{"cut short", "www A 192.0.2.1\na A", `z.zone:2:3: unexpected newline: "\n"`},
		{"apex and class", "@ SOA ns.example.com. h.example.com. 1 2 3 4 5\n@ NS ns.example.com.\n@ CNAME x.example.\nwww CH A 192.0.2.1\nsub SOA ns.example.com. h.example.com. 1 2 3 4 5", `z.zone:1: SOA at "gtm.example.com": remove it, the SOA and NS records of a zone come from nameservers and contact
z.zone:2: NS at "gtm.example.com": remove it, the SOA and NS records of a zone come from nameservers and contact
z.zone:3: CNAME at the apex "gtm.example.com": the SOA and NS records are there, and a CNAME stands alone (RFC 1034 section 3.6.2)
z.zone:4: record "www.gtm.example.com" A has a class other than IN: want IN
z.zone:5: SOA at "sub.gtm.example.com": remove it, the SOA and NS records of a zone come from nameservers and contact`},
		{"outside", "www.example.com. A 192.0.2.1\n$ORIGIN example.com.\nx A 192.0.2.1", `z.zone:1: record "www.example.com" A lies outside zone "gtm.example.com"
z.zone:3: record "x.example.com" A lies outside zone "gtm.example.com"`},
		{"beside a CNAME", `WWW CNAME x.example.

; A record of several lines is where it begins.
www TXT ( "a"
  "b" )
two A 192.0.2.1
two CNAME x.example.
c CNAME x.example.
c CNAME y.example.
d CNAME x.example.
d NSEC e CNAME RRSIG NSEC`, `z.zone:4: TXT at "www.gtm.example.com" beside the CNAME at z.zone:1: a CNAME stands alone (RFC 1034 section 3.6.2)
z.zone:7: CNAME at "two.gtm.example.com" beside the A at z.zone:6: a CNAME stands alone (RFC 1034 section 3.6.2)
z.zone:9: second CNAME at "c.gtm.example.com", the first is at z.zone:8: want one (RFC 2181 section 10.1)`},
		{"static record of the access domain", "\n$TTL 60\naccess TXT x\n", `gtmd.toml:24:1: access domain "access.gtm.example.com" has a TXT record in the zone file at z.zone:3: remove one of the two`},
		{"generated record of the access domain", "$GENERATE 1-2 h$ A 192.0.2.$\n$GENERATE 1-1 access A 192.0.2.$\nb A 192.0.2.1\nb CNAME c", `gtmd.toml:24:1: access domain "access.gtm.example.com" has a A record in the zone file at z.zone:2: remove one of the two
z.zone:4: CNAME at "b.gtm.example.com" beside the A at z.zone:3: a CNAME stands alone (RFC 1034 section 3.6.2)`},
		{"delegated access domain", "access NS ns.example.net.", `gtmd.toml:24:1: access domain "access.gtm.example.com" lies at or below "access.gtm.example.com", whose NS record at z.zone:1 gives it away: want another name`},
		{"DNAME", "d DNAME x.example.\nd DNAME X.example.\nd A 192.0.2.1\nsub NS ns.sub\nx.sub DNAME y.sub\nns.x.sub A 192.0.2.1\n", ""},
		{"DNAME of a wildcard", "*.d DNAME x.example.", `z.zone:1: DNAME at the wildcard "*.d.gtm.example.com": want a name of its own, or a wildcard CNAME (RFC 6672 section 3.3)`},
		{"second DNAME", "d DNAME x.example.\nd DNAME y.example.", `z.zone:2: second DNAME at "d.gtm.example.com", the first is at z.zone:1: want one (RFC 6672 section 2.4)`},
		{"DNAME beside a CNAME", "d DNAME x.example.\nd CNAME y.example.", `z.zone:2: CNAME at "d.gtm.example.com" beside the DNAME at z.zone:1: a CNAME stands alone (RFC 1034 section 3.6.2)`},
		{"types of queries", "x TYPE41 \\# 0\nx TYPE255 \\# 0\nx TYPE128 \\# 0\nx TYPE127 \\# 0\nx TYPE256 \\# 5 0001000261", `z.zone:1: record "x.gtm.example.com" OPT has a type that is for queries and not for data (RFC 6895 section 3.1)
z.zone:2: record "x.gtm.example.com" ANY has a type that is for queries and not for data (RFC 6895 section 3.1)
z.zone:3: record "x.gtm.example.com" NXNAME has a type that is for queries and not for data (RFC 6895 section 3.1)`},
		{"TTL", "x 2147483647 A 192.0.2.1\ny 2147483648 A 192.0.2.1", `z.zone:2: record "y.gtm.example.com" A has TTL 2147483648: want at most 2147483647 (RFC 2181 section 8)`},
		{"an unknown type beside a CNAME", "x CNAME y\nx TYPE65534 \\# 0", `z.zone:2: TYPE65534 at "x.gtm.example.com" beside the CNAME at z.zone:1: a CNAME stands alone (RFC 1034 section 3.6.2)`},
		{"equal names written unequally", `\116wo A 192.0.2.1
Two CNAME x`, `z.zone:2: CNAME at "two.gtm.example.com" beside the A at z.zone:1: a CNAME stands alone (RFC 1034 section 3.6.2)`},
		{"below a DNAME", "x.d A 192.0.2.1\nd DNAME x.example.\nx.y.d NS ns.example.", `z.zone:1: record "x.d.gtm.example.com" A lies below "d.gtm.example.com", whose DNAME record at z.zone:2 redirects it: remove one of the two (RFC 6672 section 2.4)
z.zone:3: record "x.y.d.gtm.example.com" NS lies below "d.gtm.example.com", whose DNAME record at z.zone:2 redirects it: remove one of the two (RFC 6672 section 2.4)`},
		{"access domain below a DNAME", "@ DNAME x.example.", `gtmd.toml:24:1: access domain "access.gtm.example.com" lies below "gtm.example.com", whose DNAME record at z.zone:1 redirects it: want another name`},
		{"NS of a wildcard", "*.d NS ns.example.", `z.zone:1: NS at the wildcard "*.d.gtm.example.com": want the names that are delegated (RFC 4592 section 4.2 gives it no meaning)`},
	} {
		t.Run(row.name, func(t *testing.T) {
			write(t, origin+row.zone)
			_, err := Load("gtmd.toml")
			if diff := cmp.Diff(row.want, errorText(err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// At the apex, other types may stand beside the addresses of an access domain.
func TestZoneApex(t *testing.T) {
	for _, row := range []struct{ primary, zone, want string }{
		{"p4", "@ MX 10 mail.example.com.\n@ TXT x\n@ CAA 0 issue \"ca.example\"", ""},
		{"p4", "@ TXT x\n@ AAAA 2001:db8::1", `gtmd.toml:24:1: access domain "gtm.example.com" has a AAAA record in the zone file at z.zone:2: remove one of the two`},
		{"pd", "@ TXT x", `gtmd.toml:24:1: access domain "gtm.example.com" is the apex of its zone, which cannot have a CNAME, and some policy has domain pools: want a name below the apex, or pools of addresses`},
	} {
		write(t, strings.ReplaceAll(zoneToml("", row.primary), "a.gtm.example.com", "gtm.example.com")+row.zone)
		_, err := Load("gtmd.toml")
		if diff := cmp.Diff(row.want, errorText(err)); diff != "" {
			t.Errorf("problems of %q (-want +got):\n%s", row.zone, diff)
		}
	}
}

func TestZoneWarnings(t *testing.T) {
	files := strings.Replace(zoneToml("", "p4"), `["ns1.example.com"]`, `["ns1.gtm.example.com", "ns2.gtm.example.com", "ns.sub.gtm.example.com"]`, 1)
	write(t, files+`ns1 AAAA 2001:db8::53
sub NS ns.sub
sub DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000
sub TXT never
ns.sub A 192.0.2.53
www.sub A 192.0.2.1
x NSEC y A NSEC
y NSEC x A NSEC
`)
	c, err := Load("gtmd.toml")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range c.Warnings {
		if !strings.Contains(w.Message, "not used") {
			got = append(got, w.String())
		}
	}
	want := []string{
		`gtmd.toml:3:39: name server "ns2.gtm.example.com" lies in zone "gtm.example.com" and has no address there: add its A or AAAA record to the zone file`,
		`z.zone:4: record "sub.gtm.example.com" TXT is never answered: the NS record at z.zone:2 gives the name away`,
		`z.zone:6: record "www.sub.gtm.example.com" A is never answered: the NS record at z.zone:2 gives the name away`,
		`z.zone:7: record "x.gtm.example.com" NSEC: answers come without signatures, this server gives such records only to those who ask for their type`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if c.Warnings[len(c.Warnings)-1].Key != "zone[0].file" {
		t.Errorf("key is %q", c.Warnings[len(c.Warnings)-1].Key)
	}
}

func TestZoneInclude(t *testing.T) {
	write(t, `-- etc/gtmd.toml --
[[zone]]
name = "gtm.example.com"
nameservers = ["ns1.example.com"]
contact = "hostmaster@example.com"
ttl = 77
file = "zones/main.zone"
-- etc/zones/main.zone --
a A 192.0.2.1
$INCLUDE parts/sub.zone sub
b A 192.0.2.2
$INCLUDE parts/sub.zone
-- etc/zones/parts/sub.zone --

x A 192.0.2.3
$INCLUDE ../leaf.zone
y CNAME x
-- etc/zones/leaf.zone --
leaf TXT "leaf"
`)
	c, err := Load("etc/gtmd.toml")
	if err != nil {
		t.Fatal(err)
	}
	var owners []string
	for _, rr := range c.Zones[0].Records {
		owners = append(owners, rr.Header().Name)
		if rr.Header().Ttl != 77 {
			t.Errorf("TTL of %s is %d, want that of the zone", rr.Header().Name, rr.Header().Ttl)
		}
	}
	if got, want := strings.Join(owners, " "), "a.gtm.example.com. x.sub.gtm.example.com. leaf.sub.gtm.example.com. y.sub.gtm.example.com. b.gtm.example.com. x.gtm.example.com. leaf.gtm.example.com. y.gtm.example.com."; got != want {
		t.Errorf("owners are\n%s\nwant\n%s", got, want)
	}
	if diff := cmp.Diff([]string{"etc/gtmd.toml", "etc/zones/main.zone", "etc/zones/parts/sub.zone", "etc/zones/leaf.zone"}, c.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}

	if err := os.WriteFile("etc/zones/leaf.zone", []byte("y A 192.0.2.9\nbad A 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Load("etc/gtmd.toml")
	if diff := cmp.Diff("etc/zones/leaf.zone:2:7: bad A A: \"1\"", errorText(err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}

	if err := os.WriteFile("etc/zones/leaf.zone", []byte("\n\ny A 192.0.2.9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	directory, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	zones := directory + "/etc/zones/"
	_, err = Load(directory + "/etc/gtmd.toml")
	want := fmt.Sprintf(`%[1]sparts/sub.zone:4: CNAME at "y.gtm.example.com" beside the A at %[1]sleaf.zone:3: a CNAME stands alone (RFC 1034 section 3.6.2)
%[1]sparts/sub.zone:4: CNAME at "y.sub.gtm.example.com" beside the A at %[1]sleaf.zone:3: a CNAME stands alone (RFC 1034 section 3.6.2)`, zones)
	if diff := cmp.Diff(want, errorText(err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// Errors are listed up to a number.
func TestZoneManyErrors(t *testing.T) {
	write(t, zoneToml("", "p4")+strings.Repeat("x A 1\n", maxZoneErrors+5))
	_, err := Load("gtmd.toml")
	if n := len(err.(Problems)); n != maxZoneErrors {
		t.Errorf("%d problems, want %d", n, maxZoneErrors)
	}
}

func TestZoneFileMissing(t *testing.T) {
	write(t, strings.Replace(zoneToml("", "p4"), "z.zone\"", "no.zone\"", 1))
	_, err := Load("gtmd.toml")
	if want := "gtmd.toml:4:1: stat no.zone: no such file or directory"; errorText(err) != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

// A zone below a DNAME of another would never be asked for (RFC 6672 section 2.4).
func TestZoneBelowDNAME(t *testing.T) {
	write(t, strings.Replace(zoneToml("", "p4"), "[[zone]]", "[[zone]]\nname = \"x.y.d.gtm.example.com\"\nnameservers = [\"ns1.example.com\"]\ncontact = \"hostmaster@example.com\"\n[[zone]]", 1)+"\nd DNAME x.example.\n")
	_, err := Load("gtmd.toml")
	want := `gtmd.toml:2:1: zone "x.y.d.gtm.example.com" lies below "d.gtm.example.com", whose DNAME record at z.zone:2 redirects it: remove one of the two (RFC 6672 section 2.4)`
	if diff := cmp.Diff(want, errorText(err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// Records without a TTL have that of $TTL, else that of the record before, else that of the zone; generated ones, too.
func TestZoneTTL(t *testing.T) {
	write(t, zoneToml("", "p4")+`aa A 192.0.2.1
$GENERATE 1-2 b$ A 192.0.2.$
c 70 A 192.0.2.1
d A 192.0.2.1
$GENERATE 1-2 e$ A 192.0.2.$
$GENERATE 1-2 f$ 80 A 192.0.2.$
$GENERATE 1-1 g$ IN 3600 A 192.0.2.$
$ttl 1m30s ; a comment
h A 192.0.2.1
i 100 A 192.0.2.1
$GENERATE 1-1 j$ IN A 192.0.2.$
j A 192.0.2.1
$TTL 2m
$INCLUDE inner.zone
$GENERATE 1-1 n$ A 192.0.2.$
-- inner.zone --
$GENERATE 1-1 k$ A 192.0.2.$
$TTL 3m
$GENERATE 1-1 l$ A 192.0.2.$
m A 192.0.2.1
`)
	c, err := Load("gtmd.toml")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, rr := range c.Zones[0].Records {
		got = append(got, fmt.Sprintf("%s=%d", strings.TrimSuffix(rr.Header().Name, ".gtm.example.com."), rr.Header().Ttl))
	}
	want := "aa=3600 b1=3600 b2=3600 c=70 d=70 e1=70 e2=70 f1=80 f2=80 g1=3600 h=90 i=100 j1=90 j=90 k1=120 l1=180 m=180 n1=120"
	if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
		t.Errorf("TTLs (-want +got):\n%s", diff)
	}
}

// The zone file of docs/zones.md is one.
func TestZoneGuide(t *testing.T) {
	page, err := os.ReadFile("../docs/zones.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```\n")
	text, _, isWhole := strings.Cut(text, "```\n")
	write(t, zoneToml("", "p4")+text+"-- records/partner.zone --\n@ A 192.0.2.1\n")
	c, err := Load("gtmd.toml")
	if err != nil || !isWhole || len(c.Zones[0].Records) != 32 {
		t.Errorf("%v, with %d records", err, len(c.Zones[0].Records))
	}
}
