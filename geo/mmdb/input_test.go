package mmdb

import (
	"bytes"
	"compress/gzip"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestKinds builds from one input of each kind, in all the forms that its files have, without naming the kind.
func TestKinds(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       string // type
		facts      map[string]known
	}{
		{"tor geoip", "# comment\n16777216,16777471,AU\n16777472,16778239,cn\n16778240,16778495,??\n16778496,16778751,UK\n", "gtmd-Country",
			map[string]known{"1.0.0.0": {Country: "AU"}, "1.0.0.255": {Country: "AU"}, "1.0.1.0": {Country: "CN"}, "1.0.3.255": {Country: "CN"},
				"1.0.4.0": {}, "1.0.5.9": {Country: "GB"}, "1.0.6.0": {}, "0.255.255.255": {}}},
		{"tor geoip6", "2001:200::,2001:200:ffff:ffff:ffff:ffff:ffff:ffff,JP\n", "gtmd-Country",
			map[string]known{"2001:200::": {Country: "JP"}, "2001:200:ffff::1": {Country: "JP"}, "2001:201::": {}, "32.1.2.0": {}}},
		{"tor geoip with quotation marks", `"16777216","16777471","AU"` + "\n", "gtmd-Country", map[string]known{"1.0.0.1": {Country: "AU"}}},
		{"rir", "2|apnic|20260625|3|19830613|20260624|+1000\n" +
			"apnic|*|asn|*|1|summary\napnic|*|ipv4|*|2|summary\n" +
			"apnic|JP|asn|173|1|20020801|allocated\n" +
			"apnic|AU|ipv4|1.0.0.0|256|20110811|assigned\n" +
			"apnic|CN|ipv4|1.0.1.0|768|20110414|allocated|A92E1062|e-stats\n" +
			"apnic||ipv4|1.0.4.0|256||available\napnic|ZZ|ipv4|1.0.5.0|256|20110811|reserved\n" +
			"apnic|JP|ipv6|2001:200::|35|19990813|allocated\n", "gtmd-Country",
			map[string]known{"1.0.0.255": {Country: "AU"}, "1.0.1.0": {Country: "CN"}, "1.0.3.255": {Country: "CN"}, "1.0.4.0": {}, "1.0.5.0": {},
				"2001:200:1fff::": {Country: "JP"}, "2001:200:2000::": {}}},
		{"iptoasn", "1.0.0.0\t1.0.0.255\t13335\tUS\tCLOUDFLARENET\n1.0.1.0\t1.0.3.255\t0\tNone\tNot routed\n" +
			"1.0.4.0\t1.0.7.255\t38803\tUnknown\tAS, with a comma\n2001:200::\t2001:200:ffff::\t2500\tJP\tWIDE\n", "gtmd-Country-ASN",
			map[string]known{"1.0.0.1": {Country: "US", ASN: 13335}, "1.0.1.0": {}, "1.0.7.255": {ASN: 38803},
				"2001:200:ffff::": {Country: "JP", ASN: 2500}, "2001:200:ffff::1": {}}},
		{"iptoasn with numbers", "16777216\t16777471\t13335\tNone\tX\n", "gtmd-ASN", map[string]known{"1.0.0.255": {ASN: 13335}}},
		{"ip2country", "1.0.0.0\t1.0.0.255\tAU\n", "gtmd-Country", map[string]known{"1.0.0.1": {Country: "AU"}}},
		{"csv without a header", "1.0.0.0/24,CN,GD,AS4134\n1.0.1.0/24, cn , cn-bj\n1.0.2.0/24,CN\n1.0.3.0/24,JP,AS2500\n1.0.4.7,JP,13,2500\n" +
			"2001:db8::/32,,,4294967295\n", "gtmd-City",
			map[string]known{"1.0.0.1": {"CN", "GD", 4134}, "1.0.1.1": {"CN", "BJ", 0}, "1.0.2.1": {"CN", "", 0}, "1.0.3.1": {"JP", "", 2500},
				"1.0.4.7": {"JP", "13", 2500}, "1.0.4.6": {}, "1.0.4.8": {}, "2001:db8::1": {ASN: 4294967295}}},
		{"csv with a header", "asn,network,country_code\n4134,1.0.0.0/24,CN\nAS2500,1.0.1.0/24,\n,1.0.2.0/24,JP\n", "gtmd-Country-ASN",
			map[string]known{"1.0.0.1": {"CN", "", 4134}, "1.0.1.1": {ASN: 2500}, "1.0.2.1": {Country: "JP"}}},
		{"csv with ranges", "1.0.0.0,1.0.2.255,AU\n1.0.3.0,1.0.3.255,JP,AS2500\n::1:0:0,ffff::,CN,GD,4134\n", "gtmd-City",
			map[string]known{"1.0.2.255": {Country: "AU"}, "1.0.3.0": {"JP", "", 2500}, "1.0.4.0": {}, "ffff::": {"CN", "GD", 4134}, "ffff::1": {}}},
		{"csv with places that are hard to name", "1.0.0.0/24,UK\n1.0.1.0/24,XK\n1.0.2.0/24,EU\n1.0.3.0/24,cn,44\n1.0.4.0/24,CN,HK\n", "gtmd-City",
			map[string]known{"1.0.0.1": {Country: "GB"}, "1.0.1.1": {Country: "XK"}, "1.0.2.1": {}, "1.0.3.1": {"CN", "44", 0}, "1.0.4.1": {"CN", "HK", 0}}},
		{"csv with ranges and a header", "start_ip,end_ip,asn\n1.0.0.0,1.0.2.255,1\n", "gtmd-ASN", map[string]known{"1.0.2.255": {ASN: 1}, "1.0.3.0": {}}},
		{"csv of the whole space", "0.0.0.0/0,US\n::/0,JP\n", "gtmd-Country",
			map[string]known{"0.0.0.0": {Country: "US"}, "127.0.0.1": {Country: "US"}, "255.255.255.255": {Country: "US"},
				"::1:0:0": {Country: "JP"}, "ffff::": {Country: "JP"}, "2002::": {Country: "JP"}}},
		{"lines end as on Windows, with a mark at the start", "\ufeffcidr,country\r\n1.0.0.0/24,AU\r\n\r\n", "gtmd-Country",
			map[string]known{"1.0.0.1": {Country: "AU"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, r := built(t, Input{Path: place(t, t.TempDir(), "input", tc.text)})
			if b.Type != tc.want {
				t.Errorf("type %q, want %q", b.Type, tc.want)
			}
			for text, want := range tc.facts {
				if got, _ := r.lookup(t, netip.MustParseAddr(text)); got != want {
					t.Errorf("%s: %+v, want %+v", text, got, want)
				}
			}
			if meta := r.db.Metadata; meta.DatabaseType != tc.want || meta.BuildEpoch != uint(testDate.Unix()) || meta.IPVersion != 6 {
				t.Errorf("metadata %+v", meta)
			}
		})
	}
}

// TestBadLines wants the whole text of what is said about lines that cannot be read.
func TestBadLines(t *testing.T) {
	for _, tc := range []struct {
		name string
		kind Kind
		text string
		want []string
	}{
		{"tor", Tor, "1,2\n5,3,AU\n1,::1,AU\n1,4294967296,AU\n1,fe80::1%eth0,AU\n1,2,AUS\n1,2,A7\n", []string{
			"f:1: 2 fields: want first address, last address, country",
			"f:2: the range 0.0.0.5-0.0.0.3 ends before it starts",
			"f:3: the range 0.0.0.1-::1 is of two families: want both ends in IPv4 or both in IPv6",
			`f:4: "4294967296" is not an address: want IPv4, IPv6, or IPv4 as a number`,
			`f:5: "fe80::1%eth0" is not an address: want IPv4, IPv6, or IPv4 as a number`,
			`f:6: country "AUS": want two letters (ISO 3166-1), or nothing when it is not known`,
			`f:7: country "A7": want two letters (ISO 3166-1), or nothing when it is not known`,
		}},
		{"rir", RIR, "apnic|AU|ipv4|1.0.0.0\na|AU|ipx|1.0.0.0|256|2|assigned\na|AU|ipv4|2001::|256|2|assigned\na|AU|ipv6|1.0.0.0|32|2|assigned\n" +
			"a|AU|ipv4|1.0.0.0|0|2|assigned\na|AU|ipv4|255.0.0.0|16777217|2|assigned\na|AU|ipv6|2001::|129|2|assigned\na|AU|ipv6|2001::1|32|2|assigned\n" +
			"a|?|ipv4|1.0.0.0|1|2|assigned\n", []string{
			"f:1: 4 fields: want registry|country|type|start|value|date|status",
			`f:2: type "ipx": want ipv4, ipv6 or asn`,
			`f:3: start "2001::": want an IPv4 address`,
			`f:4: start "1.0.0.0": want an IPv6 address`,
			`f:5: value "0": want the number of addresses from 1.0.0.0 on, 1 to 4278190080`,
			`f:6: value "16777217": want the number of addresses from 255.0.0.0 on, 1 to 16777216`,
			`f:7: value "129": want the length of an IPv6 prefix, 0 to 128`,
			"f:8: network 2001::1/32: its address has bits beyond /32: want 2001::/32",
			`f:9: country "?": want two letters (ISO 3166-1), or nothing when it is not known`,
		}},
		{"iptoasn", IPtoASN, "1.0.0.0\t1.0.0.255\t1\tUS\n1.0.0.0 1.0.0.255 1 US\n1.0.0.0\t1.0.0.255\t4294967296\tUS\tX\n1.0.0.0\t1.0.0.255\t-1\tUS\tX\n", []string{
			"f:1: 4 fields: want start, end, AS number, country, name; or start, end, country; with tabs between them",
			"f:2: 1 field: want start, end, AS number, country, name; or start, end, country; with tabs between them",
			`f:3: AS number "4294967296": want 1 to 4294967295, or 0 or nothing when it is not known`,
			`f:4: AS number "-1": want 1 to 4294967295, or 0 or nothing when it is not known`,
		}},
		{"csv", CSV, "1.0.0.0/24\n1.0.0.1/24,AU\n1.0.0.0/33,AU\nfe80::1%1,AU\n::ffff:1.0.0.0/120,AU\n1.0.0.0/24,AU,NSW,1,2\n1.0.0.0/24,AU,CN-GD\n" +
			"1.0.0.0/24,,GD\n1.0.0.0/24,AU,13335\n1.0.0.0/24,AU,,ASX\n", []string{
			"f:1: 1 field: want network,country,subdivision,asn",
			"f:2: network 1.0.0.1/24: its address has bits beyond /24: want 1.0.0.0/24",
			`f:3: network "1.0.0.0/33": want a prefix such as 198.51.100.0/24 or 2001:db8::/32, or an address`,
			`f:4: network "fe80::1%1": want a prefix such as 198.51.100.0/24 or 2001:db8::/32, or an address`,
			"f:5: network ::ffff:1.0.0.0/120 is IPv4 mapped to IPv6: want the IPv4 prefix",
			"f:6: 5 fields: want network,country,subdivision,asn",
			`f:7: subdivision "CN-GD" is not of the country AU`,
			`f:8: subdivision "GD" has no country: want the country before it`,
			`f:9: subdivision "13335": want up to three letters or digits (ISO 3166-2) such as GD or CN-GD; an AS number is written AS13335, or in a column that a header calls asn`,
			`f:10: AS number "ASX": want 1 to 4294967295, or 0 or nothing when it is not known`,
		}},
		{"csv with codes of nothing", CSV, "1.0.0.0/24,JN\n1.0.0.0/24,CN,GN\n", []string{
			`f:1: country "JN": there is none of this code: want one of ISO 3166-1 such as JP, or nothing when it is not known`,
			`f:2: subdivision "GN": there is no province CN-GN in China: want a code of ISO 3166-2 such as GD, or nothing when it is not known`,
		}},
		{"more than ten", CSV, strings.Repeat("x,AU\n", 12), append(func() (lines []string) {
			for _, n := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"} {
				lines = append(lines, "f:"+n+`: network "x": want a prefix such as 198.51.100.0/24 or 2001:db8::/32, or an address`)
			}
			return lines
		}(), "and 2 more")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			in := Input{Path: place(t, dir, "f", tc.text), Kind: tc.kind}
			if got, want := buildError(t, dir, BuildOptions{Inputs: []Input{in}}), strings.Join(tc.want, "\n"); got != want {
				t.Errorf("error\n%s\nwant\n%s", got, want)
			}
			// The same lines are left out when that is wanted, and the good ones stay.
			good := Input{Path: place(t, dir, "good", "1.2.3.0/24,JP\n")}
			b, err := Build(BuildOptions{Output: place(t, dir, "out", "old"), Inputs: []Input{in, good}, SkipBad: true})
			if err != nil || b.Skipped != strings.Count(tc.text, "\n") || b.Networks4 != 1 || b.Networks6 != 0 {
				t.Errorf("with SkipBad: %+v, %v", b, err)
			}
		})
	}
}

// TestBadInputs wants the whole text of what is said about inputs of no use, also with SkipBad.
func TestBadInputs(t *testing.T) {
	squeeze := func(text string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write([]byte(text))
		w.Close()
		return b.String()
	}
	formatsText := `: want tor-geoipdb (start,end,CC), RIR (registry|CC|type|start|…), IPtoASN (tab-separated start, end, AS number, CC, name) or ` +
		`CSV (cidr,country[,subdivision][,asn]); or name it: "tor:", "rir:", "iptoasn:" or "csv:" in front of the path`
	for _, tc := range []struct {
		name string
		kind Kind
		text string
		want string
	}{
		{"nothing", "", "", "read f: it has nothing but empty lines, comments or a header"},
		{"only comments", "", "# Date: 2026-01-01\n\n", "read f: it has nothing but empty lines, comments or a header"},
		{"only a header", "", "cidr,country\n", "read f: it has nothing but empty lines, comments or a header"},
		{"something else", "", "# x\nhello world\n", `read f: line 2: cannot tell the format from "hello world"` + formatsText},
		{"a long line of something else", "", strings.Repeat("é", 100), `read f: line 1: cannot tell the format from "` + strings.Repeat("é", 60) + `…"` + formatsText},
		{"not text", "", "PK\x03\x04\x00\x00", "read f: line 1 is not text: want a plain or gzip text file (a tar or zip archive: unpack it first)"},
		{"not text in gzip", "", squeeze("x\x00\n"), "read f: line 1 is not text: want a plain or gzip text file (a tar or zip archive: unpack it first)"},
		{"half of a gzip file", Tor, squeeze("1,2,AU\n")[:20], "read f: after line 1: unexpected EOF (a truncated download?)"},
		{"too little of a gzip file", Tor, "\x1f\x8b\x08", "read f: unexpected EOF"},
		{"a line without an end", CSV, "1.0.0.0/24,AU\n" + strings.Repeat("x", 100_000), "read f: line 2 is longer than 65536 octets: want a text file of short lines"},
		{"an unknown column", "", "cidr,country,weather\n", `read f: line 1: column "weather": want cidr (or first and last), country, subdivision or asn`},
		{"a column twice", "", "cidr,country,cc\n", `read f: line 1: column "cc": there is a column for the country already`},
		{"no end of the range", CSV, "start,country\n", "read f: line 1: the header names no networks or nothing beside them: want cidr (or first and last), and country, subdivision or asn"},
		{"two kinds of networks", CSV, "start,end,cidr,country\n", "read f: line 1: the header names no networks or nothing beside them: want cidr (or first and last), and country, subdivision or asn"},
		{"no network", CSV, "country,asn\n", "read f: line 1: the header names no networks or nothing beside them: want cidr (or first and last), and country, subdivision or asn"},
		{"nothing beside the network", CSV, "cidr\n", "read f: line 1: the header names no networks or nothing beside them: want cidr (or first and last), and country, subdivision or asn"},
		{"nothing known", "", "1,2,??\n3,4,EU\n5,6,AP\n", "make a database: no input knows a country or an AS number of any network (f)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			in := Input{Path: place(t, dir, "f", tc.text), Kind: tc.kind}
			if got := buildError(t, dir, BuildOptions{Inputs: []Input{in}, SkipBad: true}); got != tc.want {
				t.Errorf("error %s\nwant  %s", got, tc.want)
			}
		})
	}
	if got := buildError(t, "/nowhere", BuildOptions{Inputs: []Input{{Path: "/nowhere/f"}}}); got != "read an input: open f: no such file or directory" {
		t.Error(got)
	}
	ours := place(t, t.TempDir(), "ours.csv", "1.0.0.0/24,AU\n")
	if _, err := Build(BuildOptions{Output: ours, Inputs: []Input{{Path: ours}}}); err == nil ||
		err.Error() != "read an input: "+ours+" is the file to write: want another name for the database" {
		t.Errorf("an input as output: %v", err)
	}
	if got := buildError(t, "", BuildOptions{}); got != "make a database: there is no input" {
		t.Error(got)
	}
}

func TestParseInput(t *testing.T) {
	for _, tc := range []struct {
		text string
		want Input
		err  string
	}{
		{"geoip", Input{Path: "geoip"}, ""},
		{"tor:geoip", Input{"geoip", Tor}, ""},
		{"rir:/var/delegated", Input{"/var/delegated", RIR}, ""},
		{"iptoasn:a:b", Input{"a:b", IPtoASN}, ""},
		{"csv:our.csv", Input{"our.csv", CSV}, ""},
		{"./tor:geoip", Input{Path: "./tor:geoip"}, ""},
		{"c:geoip", Input{Path: "c:geoip"}, ""},
		{"", Input{}, `input "": want PATH or KIND:PATH, KIND one of csv, iptoasn, rir, tor`},
		{"tor:", Input{}, `input "tor:": want PATH or KIND:PATH, KIND one of csv, iptoasn, rir, tor`},
	} {
		got, err := ParseInput(tc.text)
		if got != tc.want || (err == nil) != (tc.err == "") || err != nil && err.Error() != tc.err {
			t.Errorf("ParseInput(%q) = %+v, %v; want %+v, %s", tc.text, got, err, tc.want, tc.err)
		}
		if err == nil && got.String() != tc.text {
			t.Errorf("%+v.String() = %q, want %q", got, got.String(), tc.text)
		}
	}
}

// TestDates: the date of a source is what its contents say.
func TestDates(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       time.Time
	}{
		{"tor", "# Location Database Export\n#\n# Generated: Thu, 25 Jun 2026 04:33:59 GMT\n1,2,AU\n", time.Date(2026, 6, 25, 4, 33, 59, 0, time.UTC)},
		{"rir", "2.3|apnic|20260101|1|19830613|20260624|+1000\na|AU|ipv4|1.0.0.0|256|2|assigned\n", time.Date(2026, 6, 24, 0, 0, 0, 0, time.UTC)},
		{"rir without a date", "2|arin|x|1|19830613|00000000|+0\na|AU|ipv4|1.0.0.0|256|2|assigned\n", time.Time{}},
		{"csv", "#date: 2026-06-23\ncidr,country\n1.0.0.0/24,AU\n", time.Date(2026, 6, 23, 0, 0, 0, 0, time.UTC)},
		{"csv, after the header", "cidr,country\n# Date: 2026-06-23\n1.0.0.0/24,AU\n", time.Date(2026, 6, 23, 0, 0, 0, 0, time.UTC)},
		{"csv with the time", "# Generated: 2026-06-23T01:02:03+02:00\n1.0.0.0/24,AU\n", time.Date(2026, 6, 22, 23, 2, 3, 0, time.UTC)},
		{"the first counts", "# Date: 2026-06-23\n# Date: 2026-06-24\n1.0.0.0/24,AU\n", time.Date(2026, 6, 23, 0, 0, 0, 0, time.UTC)},
		{"a comment between rows is none", "1.0.0.0/24,AU\n# Date: 2026-06-23\n", time.Time{}},
		{"not a date", "# Date: yesterday\n# Generated by hand\n1.0.0.0/24,AU\n", time.Time{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var all collection
			var bad badLines
			s, err := read(Input{Path: place(t, t.TempDir(), "f", tc.text)}, 0, "", &all, &bad, func(string) {})
			if err != nil || bad.total > 0 {
				t.Fatal(err, bad.first)
			}
			if !s.date.Equal(tc.want) {
				t.Errorf("date %v, want %v", s.date, tc.want)
			}
		})
	}
}

// FuzzInput holds every kind of input against two rules: no input makes it panic or take long, and what it takes is in order
// and of one family.
func FuzzInput(f *testing.F) {
	for _, text := range []string{"16777216,16777471,AU\n", "2|a|1|1|1|20260101|0\na|AU|ipv4|1.0.0.0|3|2|assigned\n", "a|AU|ipv6|2001::|32|2|allocated\n",
		"1.0.0.0\t1.0.0.255\t13335\tUS\tX\n", "cidr,asn\n1.0.0.0/24,AS1\n", "1.0.0.0/24,CN,GD,1\n", "::/0,CN\n", "# Date: 2026-01-01\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := place(t, t.TempDir(), "f", text)
		for kind := range formats {
			var all collection
			var bad badLines
			if _, err := read(Input{Path: path, Kind: kind}, 0, "", &all, &bad, func(string) {}); err != nil {
				continue
			}
			for _, s := range append(all.v4, all.v6...) {
				if s.to.less(s.from) || s.facts == (facts{}) {
					t.Fatalf("%s of %q: span %+v", kind, text, s)
				}
			}
			for _, s := range all.v4 {
				if mappedEnd.less(s.to) {
					t.Fatalf("%s of %q: span %+v is not IPv4", kind, text, s)
				}
			}
			for _, s := range all.v6 {
				if !mappedEnd.less(s.from) {
					t.Fatalf("%s of %q: span %+v is where IPv4 is kept", kind, text, s)
				}
			}
		}
	})
}
