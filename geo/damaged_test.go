package geo

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
)

// probes are addresses all over both families, with those that hold IPv4 addresses.
var probes = func() []netip.Addr {
	addrs := []netip.Addr{{}}
	for _, text := range strings.Fields("0.0.0.0 1.0.0.1 1.0.1.1 127.0.0.1 128.0.0.0 255.255.255.255 :: ::1 ::1.0.0.1 ::ffff:1.0.0.1 " +
		"64:ff9b::100:1 2001::1 2001:db8::1 2001:db9::1 2002:100::1 8000:: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs
}()

// usable fails the test unless a database that NewDatabase let pass does all that is asked of it: a walk in order, the facts of each
// of its networks, and look-ups.
func usable(t *testing.T, d *Database) {
	t.Helper()
	walk := recordsOf(t, d)
	inOrder(t, walk)
	addrs := slices.Clone(probes)
	for _, r := range walk {
		known, err := d.facts(r.id)
		if err != nil {
			t.Fatalf("%v: %v", r.prefix, err)
		}
		if !d.Knows.Has(known.Knows()) {
			t.Fatalf("%v: %v, but the database knows only %b", r.prefix, known, d.Knows)
		}
		addrs = append(addrs, r.prefix.Addr(), last(r.prefix))
	}
	for _, addr := range addrs {
		known, prefix := d.Lookup(addr)
		if known == nil || addr.IsValid() != prefix.IsValid() || addr.IsValid() && !prefix.Contains(addr.WithZone("")) {
			t.Fatalf("%v: %v in %v", addr, known, prefix)
		}
	}
	if d.Networks4+d.Networks6 != len(walk) || d.Covered4 < 0 || d.Covered4 > 1 || d.Covered6 < 0 || d.Covered6 > 1 {
		t.Fatalf("%d and %d networks, %g and %g covered, %d walked", d.Networks4, d.Networks6, d.Covered4, d.Covered6, len(walk))
	}
}

// TestTruncated cuts a file of each type after every octet. No part of a file is a database.
func TestTruncated(t *testing.T) {
	for _, c := range schemaCases {
		content := mmdbFile(t, mmdbwriter.Options{DatabaseType: c.databaseType}, c.rows)
		for n := range content {
			if d, err := NewDatabase("test.mmdb", content[:n]); err == nil {
				t.Errorf("%s: %d of %d octets are a database of %d networks", c.databaseType, n, len(content), d.Networks4+d.Networks6)
			}
			if d, err := NewDatabase("test.mmdb", append(make([]byte, n), content[n:]...)); err == nil {
				usable(t, d)
			}
		}
	}
}

// TestBitFlips turns round every bit of a City file, and one bit of every octet of a file of each other type. Such a file is refused,
// or it is a database that works: many a bit is in a name.
func TestBitFlips(t *testing.T) {
	for n, c := range schemaCases {
		content := mmdbFile(t, mmdbwriter.Options{DatabaseType: c.databaseType}, c.rows)
		flipped, refused := 0, 0
		for i := range content {
			for bit := range 8 {
				if n > 0 && bit != i%8 {
					continue
				}
				flipped++
				content[i] ^= 1 << bit
				if d, err := NewDatabase("test.mmdb", content); err != nil {
					refused++
				} else {
					usable(t, d)
				}
				content[i] ^= 1 << bit
			}
		}
		if refused < flipped/2 {
			t.Errorf("%s: %d of %d refused, want more than half: most bits are in the tree", c.databaseType, refused, flipped)
		}
	}
}

// TestDamagedFiles has the ways in which a file of an operator goes bad, each in place of the good one.
func TestDamagedFiles(t *testing.T) {
	city := mmdbFile(t, mmdbwriter.Options{DatabaseType: "GeoLite2-City"}, schemaCases[0].rows)
	asn := mmdbFile(t, mmdbwriter.Options{DatabaseType: "GeoLite2-ASN"}, map[string]mmap{"1.0.0.0/8": asnRow(1)})
	flipped := slices.Clone(city)
	flipped[100] ^= 0x10 // in the tree: some network is now two, or none
	wrong := mmdbFile(t, mmdbwriter.Options{DatabaseType: "GeoIP2-Connection-Type"}, map[string]mmap{"1.0.0.0/8": {"connection_type": mtext("Cellular")}})
	noMetadata := bytes.Replace(city, []byte(metadataMarker), []byte("\x00\x00\x00MaxMind.com"), 1)
	path := filepath.Join(t.TempDir(), "GeoLite2-City.mmdb")
	for _, test := range []struct {
		name    string
		content []byte
		want    string // in the error; empty: it is read
	}{
		{"good", city, ""},
		{"truncated", city[:len(city)/2], "a truncated download?"},
		{"bit-flipped", flipped, "it is damaged: node 31 of its search tree is reached in two ways"},
		{"empty", nil, "it has 0 octets"},
		{"text", []byte("Invalid license key\n"), "it is text"},
		{"no metadata", noMetadata, "no metadata marker"},
		{"wrong type", wrong, `type "GeoIP2-Connection-Type" has neither`},
		{"swapped", asn, ""},
	} {
		if err := os.WriteFile(path, test.content, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := ReadDatabase(path)
		switch {
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path)):
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.name == "swapped" && d.Knows != KnowsASN:
			t.Errorf("%s: it knows %b, want only ASN", test.name, d.Knows)
		}
	}
}

// A treeFile is a file by the nodes of its search tree. A record is the number of a node, or toNothing, or toData: the one record that
// there is.
type treeFile struct {
	ipVersion byte
	nodes     [][2]uint32
	data      []byte
}

const (
	toNothing = 1 << 31
	toData    = toNothing + 1
)

// content makes the file, with records of 32 bits (MaxMind DB File Format Specification 2.0).
func (f treeFile) content() []byte {
	var b []byte
	n := uint32(len(f.nodes))
	for _, node := range f.nodes {
		for _, to := range node {
			switch {
			case to == toNothing:
				to = n
			case to >= toData:
				to = to - toData + n + 16
			}
			b = binary.BigEndian.AppendUint32(b, to)
		}
	}
	b = append(b, make([]byte, 16)...)
	b = append(b, f.data...)
	b = append(b, metadataMarker...)
	b = append(b, 0xe7) // a map of 7
	text := func(s string) []byte { return append([]byte{0x40 | byte(len(s))}, s...) }
	for key, value := range map[string][]byte{
		"binary_format_major_version": {0xa1, 2}, "binary_format_minor_version": {0xa0}, "database_type": text("GeoLite2-ASN"),
		"ip_version": {0xa1, f.ipVersion}, "record_size": {0xa1, 32}, "build_epoch": {0xc1, 1},
		"node_count": binary.BigEndian.AppendUint32([]byte{0xc4}, n),
	} {
		b = append(append(b, text(key)...), value...)
	}
	return b
}

// chain is a tree of IPv6 whose nodes 0 to 95 lead to ::/96, with the other half of each of them as given.
func chain(other func(depth uint32) uint32, rest ...[2]uint32) [][2]uint32 {
	var nodes [][2]uint32
	for depth := range uint32(96) {
		nodes = append(nodes, [2]uint32{depth + 1, other(depth)})
	}
	return append(nodes, rest...)
}

func nothing(uint32) uint32 { return toNothing }

// TestHostileFiles has files that no writer makes. Each must be refused, or be usable, in no time.
func TestHostileFiles(t *testing.T) {
	asn := []byte("\xe1\x43asn\xc1\x07") // {"asn": 7}
	ladder := func(last [2]uint32) [][2]uint32 {
		var nodes [][2]uint32
		for i := range uint32(100) {
			nodes = append(nodes, [2]uint32{i + 1, i + 1})
		}
		return append(nodes, last)
	}
	long := slices.Concat([]byte("\xe2\x43asn\xc1\x07\x47country"), []byte{0xff, 0xff, 0xff, 0xff})
	for _, test := range []struct {
		name string
		file treeFile
		want string // the error; empty: usable
	}{
		{"good", treeFile{6, chain(nothing, [2]uint32{toData, toNothing}), asn}, ""},
		{"good, IPv4 only", treeFile{4, [][2]uint32{{toData, toNothing}}, asn}, ""},
		// As Python's mmdb_writer has it: each value by itself, then pointers to them; the library's Verify wants no such file.
		{"values apart", treeFile{4, [][2]uint32{{toData + 21, toNothing}}, []byte("\x42CN\x4ccountry_code\xe1\x20\x03\x20\x00\x20\x10")}, ""},
		{"aliases", treeFile{6, chain(func(depth uint32) uint32 {
			if depth%2 == 0 {
				return 96
			}
			return toNothing
		}, [2]uint32{toData, toNothing}), asn}, ""},
		{"the same data everywhere", treeFile{6, chain(func(uint32) uint32 { return toData }, [2]uint32{toData, toData}), asn}, ""},
		{"its own child", treeFile{4, [][2]uint32{{0, toData}}, asn}, "it is damaged: node 0 of its search tree is reached in two ways"},
		{"its own child, IPv6", treeFile{6, [][2]uint32{{0, toData}}, asn}, "it is damaged: invalid search tree at 0.0.0.0/32"},
		{"2^100 ways", treeFile{6, ladder([2]uint32{toData, toNothing}), asn}, "it is damaged: node 1 of its search tree is reached in two ways"},
		{"2^100 ways to nothing", treeFile{6, ladder([2]uint32{toNothing, toNothing}), asn}, "it is damaged: node 1 of its search tree is reached in two ways"},
		{"IPv4 in IPv4", treeFile{6, chain(nothing, [2]uint32{97, 98}, [2]uint32{96, 96}, [2]uint32{96, toData}), asn},
			"it is damaged: invalid search tree at 0.0.0.0/32"},
		{"too deep for IPv4", treeFile{4, chain(nothing, [2]uint32{toData, toNothing}), asn}, "it is damaged: invalid search tree at 0.0.0.0/32"},
		{"no network", treeFile{6, chain(nothing, [2]uint32{toNothing, toNothing}), asn}, "it has no network"},
		{"no node", treeFile{6, nil, asn}, "it has no network"},
		{"data after the end", treeFile{4, [][2]uint32{{toData + 100, toNothing}}, asn}, "it is damaged: the MaxMind DB file's search tree is corrupt"},
		{"data in the middle of a record", treeFile{4, [][2]uint32{{toData, toData + 1}}, asn}, "it is damaged: the record of 128.0.0.0/1 is no map of fields"},
		{"data with no map", treeFile{4, [][2]uint32{{toData, toNothing}}, []byte("\x43asn")},
			`type "GeoLite2-ASN" has neither locations nor networks' operators: want City, Country, ASN or ISP`},
		{"a pointer to itself", treeFile{4, [][2]uint32{{toData, toNothing}}, []byte("\x20\x00")}, "the record of 0.0.0.0/1"},
		{"a map that holds itself", treeFile{4, [][2]uint32{{toData, toNothing}}, []byte("\xe1\x47country\x20\x00")},
			`type "GeoLite2-ASN" has neither locations nor networks' operators: want City, Country, ASN or ISP`},
		{"a name that is not UTF-8", treeFile{4, [][2]uint32{{toData, toNothing}}, []byte("\xe1\x47as_name\x42A\xff")},
			`it is damaged: the record of 0.0.0.0/1: "A\xff" is not UTF-8`},
		{"a longer map than the file", treeFile{4, [][2]uint32{{toData, toNothing}}, long}, "the record of 0.0.0.0/1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, err := NewDatabase("x.mmdb", test.file.content())
			switch {
			case test.want == "" && err != nil, test.want != "" && err == nil:
				t.Errorf("error %v, want %q", err, test.want)
			case test.want != "" && (!strings.HasPrefix(err.Error(), `geo database "x.mmdb": `) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error\n%v, want\n%s", err, test.want)
			case test.want == "":
				usable(t, d)
			}
		})
	}
}

// FuzzDatabase gives NewDatabase any octets: it refuses them, or makes a database that works.
func FuzzDatabase(f *testing.F) {
	for _, c := range schemaCases {
		f.Add(mmdbFile(f, mmdbwriter.Options{DatabaseType: c.databaseType, RecordSize: 24}, c.rows))
	}
	asn := []byte("\xe1\x43asn\xc1\x07")
	f.Add(treeFile{4, [][2]uint32{{toData, toNothing}}, asn}.content())
	f.Add(treeFile{6, chain(nothing, [2]uint32{toData, toNothing}), asn}.content())
	f.Add([]byte(metadataMarker))
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 1<<16 {
			return
		}
		if d, err := NewDatabase("test.mmdb", content); err == nil {
			usable(t, d)
		}
	})
}
