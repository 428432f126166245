package geo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter"
	"github.com/oschwald/maxminddb-golang/v2"
	"pgregory.net/rapid"
)

func asnRow(n int) mmap { return mmap{"autonomous_system_number": mnum(n)} }

func TestReadDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "asn.mmdb")
	content := mmdbFile(t, mmdbwriter.Options{
		DatabaseType: "GeoLite2-ASN", DisableIPv4Aliasing: true,
		Description: map[string]string{"de": "auf Deutsch", "en": "in English"},
	}, map[string]mmap{"0.0.0.0/1": asnRow(1), "192.0.0.0/8": asnRow(2), "2000::/4": asnRow(1), "4000::/3": asnRow(3)})
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := ReadDatabase(path)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{d.Path, d.Type, d.Description, d.Built.Format("2006-01-02T15:04:05Z07:00"), len(d.Hash), d.Size,
		d.Networks4, d.Networks6, d.Covered4, d.Covered6, d.Knows}
	want := []any{path, "GeoLite2-ASN", "in English", "2026-11-01T00:00:00Z", 64, int64(len(content)),
		2, 2, 0.5 + 1.0/256, 0.5, KnowsASN}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	content[0]++
	other, err := NewDatabase(path, content)
	if err == nil && other.Hash == d.Hash {
		t.Error("another file has the same hash")
	}
}

// TestRecords has the networks that a walk yields.
func TestRecords(t *testing.T) {
	tests := []struct {
		name    string
		options mmdbwriter.Options
		rows    map[string]mmap
		want    string
	}{
		{"both families", mmdbwriter.Options{DisableIPv4Aliasing: true},
			map[string]mmap{"1.0.0.0/8": asnRow(1), "1.2.0.0/16": asnRow(2), "2001:db8::/32": asnRow(1), "2001:db8:1::/48": asnRow(1)},
			"1.0.0.0/15=1 1.2.0.0/16=2 1.3.0.0/16=1 1.4.0.0/14=1 1.8.0.0/13=1 1.16.0.0/12=1 1.32.0.0/11=1 1.64.0.0/10=1 1.128.0.0/9=1 " +
				"2001:db8::/32=1"},
		{"aliases of IPv4 are left out", mmdbwriter.Options{},
			map[string]mmap{"1.0.0.0/8": asnRow(1), "2001:db8::/32": asnRow(2)}, "1.0.0.0/8=1 2001:db8::/32=2"},
		{"what is in their place is not", mmdbwriter.Options{DisableIPv4Aliasing: true},
			map[string]mmap{"1.0.0.0/8": asnRow(1), "64:ff9b::/96": asnRow(2), "2001::/32": asnRow(3), "2002:100::/24": asnRow(4)},
			"1.0.0.0/8=1 64:ff9b::/96=2 2001::/32=3 2002:100::/24=4"},
		{"IPv4 only", mmdbwriter.Options{IPVersion: 4},
			map[string]mmap{"0.0.0.0/8": asnRow(1), "255.255.255.255/32": asnRow(2)}, "0.0.0.0/8=1 255.255.255.255/32=2"},
		{"IPv6 only", mmdbwriter.Options{DisableIPv4Aliasing: true},
			map[string]mmap{"2001:db8::/128": asnRow(1), "ffff::/16": asnRow(2)}, "2001:db8::/128=1 ffff::/16=2"},
		{"all of IPv4 is one network", mmdbwriter.Options{DisableIPv4Aliasing: true},
			map[string]mmap{"0.0.0.0/0": asnRow(1), "2001:db8::/32": asnRow(1), "2001:db9::/32": asnRow(2), "4000::/2": asnRow(1)},
			"0.0.0.0/0=1 2001:db8::/32=1 2001:db9::/32=2 4000::/2=1"},
		{"one network around all of IPv4", mmdbwriter.Options{DisableIPv4Aliasing: true},
			map[string]mmap{"::/8": asnRow(1), "2000::/3": asnRow(1)}, "0.0.0.0/0=1 ::/8=1 2000::/3=1"},
		{"24 bits", mmdbwriter.Options{RecordSize: 24}, map[string]mmap{"1.0.0.0/8": asnRow(1)}, "1.0.0.0/8=1"},
		{"32 bits", mmdbwriter.Options{RecordSize: 32}, map[string]mmap{"1.0.0.0/8": asnRow(1)}, "1.0.0.0/8=1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.options.DatabaseType = "GeoLite2-ASN"
			d := mustDatabase(t, mmdbFile(t, test.options, test.rows))
			var got []string
			for _, r := range recordsOf(t, d) {
				known, err := d.facts(r.id)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprintf("%v=%d", r.prefix, known.ASN))
			}
			if diff := cmp.Diff(strings.Fields(test.want), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestRecordsStop leaves the walk after each number of networks.
func TestRecordsStop(t *testing.T) {
	d := mustDatabase(t, mmdbFile(t, mmdbwriter.Options{DatabaseType: "GeoLite2-ASN", DisableIPv4Aliasing: true},
		map[string]mmap{"::/8": asnRow(1), "2000::/16": asnRow(1), "2001::/16": asnRow(2)}))
	all := recordsOf(t, d)
	for n := range len(all) {
		var got []record
		for r := range d.records() {
			if got = append(got, r); len(got) > n {
				break
			}
		}
		if !slices.Equal(got, all[:n+1]) {
			t.Errorf("the first %d networks are %v, want %v", n+1, got, all[:n+1])
		}
	}
}

func TestDatabaseLookup(t *testing.T) {
	both := newTestDatabase(t, "GeoLite2-ASN", map[string]mmap{
		"1.0.0.0/8": asnRow(1), "1.2.0.0/16": asnRow(2), "2001:db8::/32": asnRow(3), "::ffff:0:0/96": asnRow(4),
	})
	aliases := mustDatabase(t, mmdbFile(t, mmdbwriter.Options{DatabaseType: "GeoLite2-ASN"}, map[string]mmap{"1.0.0.0/8": asnRow(1)}))
	only4 := mustDatabase(t, mmdbFile(t, mmdbwriter.Options{DatabaseType: "GeoLite2-ASN", IPVersion: 4},
		map[string]mmap{"1.0.0.0/8": asnRow(1)}))
	only6 := newTestDatabase(t, "GeoLite2-ASN", map[string]mmap{"2001:db8::/32": asnRow(3)})
	wide := newTestDatabase(t, "GeoLite2-ASN", map[string]mmap{"::/8": asnRow(5)})
	for _, test := range []struct {
		name   string
		d      *Database
		addr   string
		asn    uint32
		prefix string
	}{
		{"inner", both, "1.2.3.4", 2, "1.2.0.0/16"},
		{"a piece of the outer", both, "1.3.3.4", 1, "1.3.0.0/16"},
		{"nothing there", both, "2.0.0.1", 0, "2.0.0.0/7"},
		{"IPv6", both, "2001:db8::1", 3, "2001:db8::/32"},
		{"a zone does not matter", both, "2001:db8::1%eth0", 3, "2001:db8::/32"},
		{"nothing in IPv6", both, "8000::", 0, "8000::/1"},
		{"an IPv4-mapped address is not unfolded", both, "::ffff:1.2.3.4", 4, "::ffff:0.0.0.0/96"},
		{"an alias", aliases, "2002:100::", 1, "2002:100::/24"},
		{"IPv6 in IPv4", only4, "2001:db8::1", 0, "::/0"},
		{"IPv4 in IPv4", only4, "1.2.3.4", 1, "1.0.0.0/8"},
		{"nothing in IPv4", only4, "128.0.0.1", 0, "128.0.0.0/1"},
		{"IPv4 in IPv6", only6, "1.2.3.4", 0, "0.0.0.0/0"},
		{"wider than IPv4", wide, "1.2.3.4", 5, "0.0.0.0/0"},
		{"wider than IPv4, in IPv6", wide, "::1:2:3:4", 5, "::/8"},
	} {
		known, prefix := test.d.Lookup(netip.MustParseAddr(test.addr))
		if known.ASN != test.asn || prefix.String() != test.prefix {
			t.Errorf("%s: %s is AS%d in %v, want AS%d in %s", test.name, test.addr, known.ASN, prefix, test.asn, test.prefix)
		}
	}
	if known, prefix := both.Lookup(netip.Addr{}); known.Knows() != 0 || prefix != (netip.Prefix{}) {
		t.Errorf("the zero Addr: %v in %v, want nothing", known, prefix)
	}
}

// modelNetworks draws nested networks of both families; many share their first bits.
func modelNetworks() *rapid.Generator[map[netip.Prefix]int] {
	prefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
		if rapid.Bool().Draw(t, "is4") {
			b := [4]byte{rapid.SampledFrom([]byte{0, 1, 10, 127, 128, 255}).Draw(t, "first"), rapid.Byte().Draw(t, "second")}
			return netip.PrefixFrom(netip.AddrFrom4(b), rapid.IntRange(1, 32).Draw(t, "bits")).Masked()
		}
		b := [16]byte{rapid.SampledFrom([]byte{0x20, 0x21, 0x40, 0xff}).Draw(t, "first"), rapid.Byte().Draw(t, "second"), 15: 1}
		return netip.PrefixFrom(netip.AddrFrom16(b), rapid.IntRange(3, 128).Draw(t, "bits")).Masked()
	})
	return rapid.MapOfN(prefix, rapid.IntRange(1, 5), 1, 40)
}

// TestDatabaseModel holds a walk and look-ups against the longest match in a list of networks: the walk is in order, without
// overlaps, and what it leaves out has no record.
func TestDatabaseModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		networks := modelNetworks().Draw(rt, "networks")
		rows := make(map[string]mmap)
		for prefix, n := range networks {
			rows[prefix.String()] = asnRow(n)
		}
		options := mmdbwriter.Options{
			DatabaseType:        rapid.SampledFrom([]string{"GeoLite2-ASN", "gtmd-ASN"}).Draw(rt, "type"),
			RecordSize:          rapid.SampledFrom([]int{24, 28, 32}).Draw(rt, "record size"),
			DisableIPv4Aliasing: true,
		}
		content := mmdbFile(t, options, rows)
		d := mustDatabase(t, content)
		model := func(addr netip.Addr) (asn uint32) {
			longest := -1
			for prefix, n := range networks {
				if prefix.Contains(addr) && prefix.Bits() > longest {
					longest, asn = prefix.Bits(), uint32(n)
				}
			}
			return asn
		}
		walk := recordsOf(t, d)
		inOrder(rt, walk)
		for _, r := range walk {
			known, err := d.facts(r.id)
			if err != nil {
				rt.Fatal(err)
			}
			for _, addr := range []netip.Addr{r.prefix.Addr(), last(r.prefix)} {
				found, prefix := d.Lookup(addr)
				if want := model(addr); known.ASN != want || found.ASN != want || prefix != r.prefix {
					rt.Fatalf("%v in %v: AS%d in the walk, AS%d in %v by look-up, want AS%d", addr, r.prefix, known.ASN, found.ASN, prefix, want)
				}
			}
		}
		for prefix := range networks {
			for _, addr := range []netip.Addr{prefix.Addr(), last(prefix), prefix.Addr().Prev(), last(prefix).Next()} {
				if !addr.IsValid() {
					continue
				}
				inWalk := slices.ContainsFunc(walk, func(r record) bool { return r.prefix.Contains(addr) })
				if want := model(addr) != 0; inWalk != want {
					rt.Fatalf("%v is in the walk: %v, want %v", addr, inWalk, want)
				}
			}
		}
		if err := d.reader.Verify(); err != nil {
			rt.Fatalf("the library finds fault with it: %v", err)
		}
	})
}

// inOrder fails the test when networks overlap or are not in the order of records.
func inOrder(t interface{ Fatalf(string, ...any) }, walk []record) {
	for i := 1; i < len(walk); i++ {
		before, r := walk[i-1].prefix, walk[i].prefix
		if before.Addr().Is6() && r.Addr().Is4() || before.Addr().Is4() == r.Addr().Is4() && !last(before).Less(r.Addr()) {
			t.Fatalf("%v comes after %v", r, before)
		}
	}
	for _, r := range walk {
		if r.prefix != r.prefix.Masked() || !r.prefix.IsValid() {
			t.Fatalf("%v is not a network", r.prefix)
		}
	}
}

// TestReadDatabaseErrors has what an operator reads of a file that cannot be used.
func TestReadDatabaseErrors(t *testing.T) {
	dir := t.TempDir()
	asn := mmdbFile(t, mmdbwriter.Options{DatabaseType: "GeoLite2-ASN"}, map[string]mmap{"1.0.0.0/8": asnRow(1)})
	files := map[string][]byte{
		"empty":     {},
		"text":      []byte("<!DOCTYPE html>\n<title>Sign in – MaxMind</title>\n"),
		"cut":       asn[:len(asn)/2],
		"gzip":      []byte("\x1f\x8b\x08\x00 and so on"),
		"zip":       []byte("PK\x03\x04 and so on"),
		"tar":       append(bytes.Repeat([]byte{0}, 257), "ustar\x0000"...),
		"marker":    []byte("\xAB\xCD\xEFMaxMind.com"),
		"domain":    mmdbFile(t, mmdbwriter.Options{DatabaseType: "GeoIP2-Domain"}, map[string]mmap{"1.0.0.0/8": {"domain": mtext("example.com")}}),
		"networks":  mmdbFile(t, mmdbwriter.Options{DatabaseType: "GeoLite2-ASN"}, nil),
		"version":   bytes.Replace(asn, []byte("binary_format_major_version\xa1\x02"), []byte("binary_format_major_version\xa1\x03"), 1),
		"ipversion": bytes.Replace(asn, []byte("ip_version\xa1\x06"), []byte("ip_version\xa1\x07"), 1),
		"record":    bytes.Replace(asn, []byte("record_size\xa1\x1c"), []byte("record_size\xa1\x10"), 1),
		"date":      mmdbFile(t, mmdbwriter.Options{DatabaseType: "GeoLite2-ASN", BuildEpoch: 1 << 40}, map[string]mmap{"1.0.0.0/8": asnRow(1)}),
		"type":      bytes.Replace(asn, []byte("GeoLite2-ASN"), []byte("Geo\xccite2-ASN"), 1), // one bit is another
	}
	files["separator"] = treeFile{4, [][2]uint32{{toData, toNothing}}, []byte("\xe1\x43asn\xc1\x07")}.content()
	files["separator"][8] = 1 // after the one node
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	huge, err := os.Create(filepath.Join(dir, "huge"))
	if err != nil {
		t.Fatal(err)
	}
	defer huge.Close()
	if err := huge.Truncate(maxDatabaseSize + 1); err != nil {
		t.Fatal(err)
	}
	wants := map[string]string{
		"missing":   "no such file or directory",
		"directory": "it is a directory, want a file such as GeoLite2-City.mmdb",
		"fifo":      "it is no regular file (p---------)",
		"huge":      "it has 4294967297 octets, more than the 4294967296 that are read",
		"empty":     "it has 0 octets",
		"text": "it is not in the MaxMind DB format (no metadata marker): it is text: the error page of a download? " +
			"(CSV and the like become a database with: gtmd geo build)",
		"cut":       "it is not in the MaxMind DB format (no metadata marker): a truncated download?",
		"gzip":      "it is not in the MaxMind DB format (no metadata marker): it is compressed with gzip: unpack it",
		"zip":       "it is not in the MaxMind DB format (no metadata marker): it is a zip archive: unpack it",
		"tar":       "it is not in the MaxMind DB format (no metadata marker): it is a tar archive: unpack the .mmdb in it",
		"marker":    "it is damaged: at offset 0: unexpected end of database",
		"domain":    `type "GeoIP2-Domain" has neither locations nor networks' operators: want City, Country, ASN or ISP`,
		"networks":  "it has no network",
		"version":   "it has version 3 of the MaxMind DB format, want 2",
		"ipversion": "it is damaged: ip_version is 7, want 4 or 6",
		"record":    "it is damaged: unsupported record size: 16",
		"separator": "it is damaged: what follows its search tree is not 0",
		"date":      "it is damaged: build_epoch is 1099511627776, want seconds since 1970",
		"type":      `it is damaged: database_type is "Geo\xccite2-ASN", want plain text`,
	}
	for _, name := range slices.Sorted(maps.Keys(wants)) {
		path := filepath.Join(dir, name)
		d, err := ReadDatabase(path)
		if want := fmt.Sprintf("geo database %q: %s", path, wants[name]); err == nil || err.Error() != want {
			t.Errorf("%s: %v, %v, want\n%s", name, d, err, want)
		}
	}
	if _, err := ReadDatabase(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v does not wrap fs.ErrNotExist", err)
	}
}

// TestWalkAgainstLibrary holds the walk against what the library yields with aliases and empty networks, of which the
// aliases and the empty ones are taken away by hand.
func TestWalkAgainstLibrary(t *testing.T) {
	for _, c := range schemaCases {
		content := mmdbFile(t, mmdbwriter.Options{DatabaseType: c.databaseType}, c.rows)
		d := mustDatabase(t, content)
		var want []record
		for result := range d.reader.Networks(maxminddb.IncludeAliasedNetworks(), maxminddb.IncludeNetworksWithoutData()) {
			prefix := result.Prefix()
			aliased := slices.ContainsFunc([]string{"::ffff:0:0/96", "2001::/32", "2002::/16"}, func(alias string) bool {
				return netip.MustParsePrefix(alias).Overlaps(prefix)
			})
			if result.Found() && !aliased {
				want = append(want, record{prefix, result.Offset()})
			}
		}
		if got := recordsOf(t, d); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.databaseType, got, want)
		}
	}
}

// TestDatabaseConcurrently has goroutines read one database at once; the race detector watches.
func TestDatabaseConcurrently(t *testing.T) {
	d := newTestDatabase(t, schemaCases[0].databaseType, schemaCases[0].rows)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for r, err := range d.records() {
				if err != nil {
					t.Error(err)
				}
				walked, err := d.facts(r.id)
				if found, _ := d.Lookup(r.prefix.Addr()); err != nil || !cmp.Equal(walked, found) {
					t.Errorf("%v: %v by look-up, %v, %v by the walk", r.prefix, found, walked, err)
				}
			}
		})
	}
	group.Wait()
}

// BenchmarkDatabase is what it costs to read a file, to walk over it, and to decode a record.
func BenchmarkDatabase(b *testing.B) {
	rows := make(map[string]mmap)
	for i := range 1 << 15 {
		prefix := fmt.Sprintf("%d.%d.%d.0/24", 1+i>>12, i>>4&255, i<<4&255)
		rows[prefix] = cityRow("AS", "CN", "GD", fmt.Sprint("city", i%5000), uint32(i), 23, 113)
	}
	content := mmdbFile(b, mmdbwriter.Options{DatabaseType: "GeoLite2-City"}, rows)
	d := mustDatabase(b, content)
	all := recordsOf(b, d)
	perNetwork := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(all)), "ns/network")
	}
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			mustDatabase(b, content)
		}
		perNetwork(b)
	})
	b.Run("walk", func(b *testing.B) {
		for b.Loop() {
			for range d.records() {
			}
		}
		perNetwork(b)
	})
	b.Run("facts", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := d.facts(all[i%len(all)].id); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("lookup", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			d.Lookup(all[i%len(all)].prefix.Addr())
		}
	})
}
