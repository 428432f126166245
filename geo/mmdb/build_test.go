package mmdb

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// golden is a line of an input as the golden model sees it.
type golden struct {
	input    int
	from, to netip.Addr
	known    known
}

func (g golden) holds(addr netip.Addr) bool {
	return g.from.Is4() == addr.Is4() && !addr.Less(g.from) && !g.to.Less(addr)
}

// narrower reports whether g is a narrower range than other. The part in ::/96, where IPv4 is kept, does not count.
func (g golden) narrower(other golden) bool {
	size := func(g golden) point {
		from := toPoint(g.from)
		if g.from.Is6() && from.less(mappedEnd) {
			from = mappedEnd.next()
		}
		return toPoint(g.to).minus(from)
	}
	return size(g).less(size(other))
}

// goldenLookup goes through all lines for one address. The lines are in the order in which they are read.
func goldenLookup(lines []golden, addr netip.Addr) known {
	var here []golden // the strongest last
	for _, line := range lines {
		if !line.holds(addr) {
			continue
		}
		place := len(here)
		for place > 0 && here[place-1].input == line.input && here[place-1].narrower(line) {
			place--
		}
		here = slices.Insert(here, place, line)
	}
	var k known
	for _, line := range here {
		if line.known.Country != "" {
			k.Country = line.known.Country
		}
		if line.known.ASN != 0 {
			k.ASN = line.known.ASN
		}
	}
	for _, line := range here {
		if line.known.Subdivision != "" && line.known.Country == k.Country {
			k.Subdivision = line.known.Subdivision
		}
	}
	return k
}

// drawAddr draws addresses that are near each other, or at the ends of the space.
func drawAddr(t *rapid.T, is4 bool) netip.Addr {
	near := rapid.IntRange(0, 40).Draw(t, "near")
	if is4 {
		base := rapid.SampledFrom([]uint64{0, 0x0a000000, 0x0affffe0, 1<<32 - 41}).Draw(t, "base")
		return point{lo: base + uint64(near)}.addr(32)
	}
	base := rapid.SampledFrom([]point{{}, mappedEnd.minus(point{lo: 20}), {0x20010db8 << 32, 0}, {0x20010db8 << 32, ^uint64(19)}, {^uint64(0), ^uint64(40)}}).
		Draw(t, "base6")
	return base.plus(point{lo: uint64(near)}).addr(128)
}

// drawInput draws an input and its golden lines.
func drawInput(t *rapid.T, number int) (Kind, string, []golden) {
	kind := rapid.SampledFrom([]Kind{Tor, RIR, IPtoASN, CSV}).Draw(t, "kind")
	var text strings.Builder
	if rapid.Bool().Draw(t, "comment") {
		text.WriteString("# a comment\n")
	}
	var lines []golden
	for range rapid.IntRange(1, 12).Draw(t, "lines") {
		is4 := rapid.Bool().Draw(t, "is4")
		g := golden{input: number, from: drawAddr(t, is4), to: drawAddr(t, is4)}
		if g.to.Less(g.from) {
			g.from, g.to = g.to, g.from
		}
		g.known.Country = rapid.SampledFrom([]string{"", "CN", "JP", "US"}).Draw(t, "country")
		asn := rapid.SampledFrom([]uint32{0, 4134, 2500, 4294967295}).Draw(t, "asn")
		width := g.from.BitLen()
		switch kind {
		case Tor:
			if is4 && rapid.Bool().Draw(t, "as number") {
				fmt.Fprintf(&text, "%d,%d,%s\n", toPoint(g.from).lo, toPoint(g.to).lo, g.known.Country)
			} else {
				fmt.Fprintf(&text, "%s,%s,%s\n", g.from, g.to, g.known.Country)
			}
		case IPtoASN:
			g.known.ASN = asn
			fmt.Fprintf(&text, "%s\t%s\t%d\t%s\tname\n", g.from, g.to, asn, g.known.Country)
		case RIR:
			value := toPoint(g.to).minus(toPoint(g.from)).lo + 1
			if !is4 {
				bits := rapid.SampledFrom([]int{0, 3, 32, 64, 100, 124, 127, 128}).Draw(t, "bits")
				g.from, g.to, value = first(g.from, bits), last(g.from, bits), uint64(bits)
			}
			fmt.Fprintf(&text, "apnic|%s|%s|%s|%d|20260625|allocated\n", g.known.Country, map[bool]string{true: "ipv4", false: "ipv6"}[is4], g.from, value)
		case CSV:
			bits := width - rapid.SampledFrom([]int{0, 1, 2, 3, 5, 8, width}).Draw(t, "free")
			g.from, g.to = first(g.from, bits), last(g.from, bits)
			g.known.ASN = asn
			if g.known.Country != "" {
				codes := []string{"", "A", "13", "XYZ"}
				if g.known.Country == "CN" { // where only provinces are taken
					codes = []string{"", "GD", "13", "BJ"}
				}
				g.known.Subdivision = rapid.SampledFrom(codes).Draw(t, "subdivision")
			}
			fmt.Fprintf(&text, "%s/%d,%s,%s,%d\n", g.from, bits, g.known.Country, g.known.Subdivision, asn)
		}
		lines = append(lines, g)
	}
	return kind, text.String(), lines
}

func first(addr netip.Addr, bits int) netip.Addr { return netip.PrefixFrom(addr, bits).Masked().Addr() }

func last(addr netip.Addr, bits int) netip.Addr {
	return toPoint(first(addr, bits)).plus(sizeOf(addr.BitLen() - bits)).addr(addr.BitLen())
}

// TestBuildProperty holds built files against the golden model: on both sides of every boundary of every line they say the same, as
// a reader sees it that knows nothing of this package.
func TestBuildProperty(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		var inputs []Input
		var lines []golden
		for i := range rapid.IntRange(1, 4).Draw(t, "inputs") {
			kind, text, more := drawInput(t, i)
			path := filepath.Join(dir, fmt.Sprint("input", i))
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			inputs, lines = append(inputs, Input{path, kind}), append(lines, more...)
		}
		if !slices.ContainsFunc(lines, func(g golden) bool { return g.known != known{} && (g.to.Is4() || mappedEnd.less(toPoint(g.to))) }) {
			t.Skip("nothing is known")
		}
		output := filepath.Join(dir, "out.mmdb")
		b, err := Build(BuildOptions{Output: output, Inputs: inputs, Date: testDate})
		if err != nil {
			t.Fatal(err)
		}
		r := open(t, output)
		probes := map[netip.Addr]bool{}
		for _, line := range lines {
			for _, end := range []netip.Addr{line.from, line.to} {
				probes[end], probes[end.Next()], probes[end.Prev()] = true, true, true
			}
		}
		for addr := range probes {
			if !addr.IsValid() || addr.Is6() && !mappedEnd.less(toPoint(addr)) {
				continue // the format keeps IPv4 in ::/96
			}
			if got, want := first2(r.lookup(t, addr)), goldenLookup(lines, addr); got != want {
				t.Fatalf("%s: %+v, want %+v", addr, got, want)
			}
		}
		if b.Networks4 != 1 || b.Covered.IPv4 != 1 { // else the file may join IPv4 with its neighbours
			checkCount(t, r, b)
		}
	})
}

func first2(k known, _ netip.Prefix) known { return k }

// checkCount holds what Build says of its file against the file.
func checkCount(t *rapid.T, r reader, b *Built) {
	var count4, count6 int
	var covered Extent
	for result := range r.db.Networks() {
		if err := result.Err(); err != nil {
			t.Fatal(err)
		}
		prefix := result.Prefix()
		from := toPoint(prefix.Addr())
		covered.add(extentOf(prefix.Addr().Is4(), from, from.plus(sizeOf(prefix.Addr().BitLen()-prefix.Bits()))))
		if prefix.Addr().Is4() {
			count4++
		} else {
			count6++
		}
	}
	if count4 != b.Networks4 || count6 != b.Networks6 || covered.IPv4 != b.Covered.IPv4 || covered.IPv6-b.Covered.IPv6 > 1e-9 || b.Covered.IPv6-covered.IPv6 > 1e-9 {
		t.Fatalf("%d and %d networks, covered %+v; the file has %d and %d, %+v", b.Networks4, b.Networks6, b.Covered, count4, count6, covered)
	}
}

// TestPrefixes: the prefixes of a run are the run, and as few as can be.
func TestPrefixes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		is4 := rapid.Bool().Draw(t, "is4")
		from, to := drawAddr(t, is4), drawAddr(t, is4)
		if to.Less(from) {
			from, to = to, from
		}
		width := from.BitLen()
		r := run{from: toPoint(from), to: toPoint(to), width: uint8(width)}
		at := from
		var before netip.Prefix
		for prefix := range r.prefixes() {
			if prefix.Addr() != at || prefix != prefix.Masked() {
				t.Fatalf("%s-%s: prefix %s, want one that starts at %s", from, to, prefix, at)
			}
			if before.IsValid() && before.Bits() == prefix.Bits() && first(before.Addr(), prefix.Bits()-1) == first(prefix.Addr(), prefix.Bits()-1) {
				t.Fatalf("%s-%s: %s and %s could be one", from, to, before, prefix)
			}
			before, at = prefix, last(prefix.Addr(), prefix.Bits())
			if to.Less(at) {
				t.Fatalf("%s-%s: prefix %s goes beyond the end", from, to, prefix)
			}
			if at != to {
				at = at.Next()
			}
		}
		if at != to {
			t.Fatalf("%s-%s: the prefixes end at %s", from, to, at)
		}
	})
}

// TestReproducible: the options and the contents of the inputs decide every octet, when the date is given.
func TestReproducible(t *testing.T) {
	dir := t.TempDir()
	text := "# Generated: Thu, 25 Jun 2026 04:33:59 GMT\n16777216,16777471,AU\n167772160,167772200,CN\n"
	o := BuildOptions{
		Inputs:  []Input{{Path: place(t, dir, "geoip", text)}, {Path: place(t, dir, "ours.csv", "192.0.2.0/24,CN,GD,64496\n2001:db8::/32,JP\n")}},
		Version: "1.2.3", Licence: "ours alone", Date: testDate,
	}
	build := func(name string, at time.Time) ([]byte, *Built) {
		t.Helper()
		if err := os.Chtimes(o.Inputs[1].Path, at, at); err != nil {
			t.Fatal(err)
		}
		o.Output = filepath.Join(dir, name)
		b, err := Build(o)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(o.Output)
		if err != nil || int64(len(content)) != b.Size {
			t.Fatalf("size %d, want %d (%v)", len(content), b.Size, err)
		}
		return content, b
	}
	one, b := build("one", time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC))
	two, _ := build("two", time.Date(2026, 7, 2, 0, 0, 0, 0, time.UTC))
	if !bytes.Equal(one, two) {
		t.Error("two builds with the same date differ")
	}
	want := "Made by gtmd 1.2.3 of geoip: tor-geoipdb, 2026-06-25 (licence: CC BY-SA 4.0, IPFire location database); ours.csv: CSV (licence: ours alone)"
	if b.Description != want || !b.Date.Equal(testDate) {
		t.Errorf("%s: %s\nwant %s", b.Date, b.Description, want)
	}
	if r := open(t, o.Output); r.db.Metadata.Description["en"] != want {
		t.Errorf("the file is described by %q", r.db.Metadata.Description)
	}
	// Without a date the newest input gives it: here the file without a date of its own.
	o.Date, o.Licence = time.Time{}, ""
	_, b = build("three", time.Date(2026, 7, 3, 1, 2, 3, 4, time.UTC))
	want = "Made by gtmd 1.2.3 of geoip: tor-geoipdb, 2026-06-25 (licence: CC BY-SA 4.0, IPFire location database); ours.csv: CSV, file of 2026-07-03 (licence: own)"
	if b.Description != want || !b.Date.Equal(time.Date(2026, 7, 3, 1, 2, 3, 0, time.UTC)) {
		t.Errorf("%s: %s\nwant %s", b.Date, b.Description, want)
	}
}

func TestGzip(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write([]byte("16777216,16777471,AU\n"))
	w.Close()
	_, r := built(t, Input{Path: place(t, t.TempDir(), "geoip.gz", packed.String())})
	if got, prefix := r.lookup(t, netip.MustParseAddr("1.0.0.9")); got != (known{Country: "AU"}) || prefix != netip.MustParsePrefix("1.0.0.0/24") {
		t.Errorf("%+v for %s", got, prefix)
	}
}

// TestReplace: the old file stays until the new one is complete, keeps its permissions, and nothing is left beside it.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	output := filepath.Join(dir, "country.mmdb")
	good, bad := place(t, t.TempDir(), "good", "1.0.0.0/24,AU\n"), place(t, t.TempDir(), "bad", "1.0.0.0/24,AUS\n")
	listing := func() []string {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, e.Name()+" "+info.Mode().String())
		}
		return names
	}
	build := func(path string) error {
		_, err := Build(BuildOptions{Output: output, Inputs: []Input{{Path: path}}, Date: testDate})
		return err
	}
	if err := build(good); err != nil {
		t.Fatal(err)
	}
	if got, want := listing(), []string{"country.mmdb -rw-r--r--"}; !slices.Equal(got, want) {
		t.Errorf("a new file: %v, want %v", got, want)
	}
	if err := os.Chmod(output, 0o640); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	if err := build(bad); err == nil {
		t.Error("a bad input is no error")
	}
	if after, err := os.ReadFile(output); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a bad input changed the file (%v)", err)
	}
	if err := build(good); err != nil {
		t.Fatal(err)
	}
	if got, want := listing(), []string{"country.mmdb -rw-r-----"}; !slices.Equal(got, want) {
		t.Errorf("after builds: %v, want %v", got, want)
	}
	// A symbolic link stays one, and leads to the new file.
	link := filepath.Join(t.TempDir(), "current.mmdb")
	if err := os.Symlink(output, link); err != nil {
		t.Fatal(err)
	}
	direct := output
	output = link
	if err := build(place(t, t.TempDir(), "link", "1.0.0.0/9,CN\n")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link became %v (%v)", info.Mode(), err)
	}
	output = direct
	if k, _ := open(t, output).lookup(t, netip.MustParseAddr("1.2.3.4")); k.Country != "CN" {
		t.Errorf("what the link led to says %+v", k)
	}
	if before, err = os.ReadFile(output); err != nil {
		t.Fatal(err)
	}
	// A reader that has the old file open goes on reading the old file.
	old, err := os.Open(output)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := build(place(t, t.TempDir(), "other", "1.0.0.0/8,JP\n")); err != nil {
		t.Fatal(err)
	}
	kept := make([]byte, len(before))
	if _, err := old.ReadAt(kept, 0); err != nil || !bytes.Equal(kept, before) {
		t.Errorf("the old file changed in place (%v)", err)
	}
	output = dir
	if err := build(good); err == nil || err.Error() != "write the database "+dir+": there is something that is not a file: want the name of a file" {
		t.Errorf("a directory as output: %v", err)
	}
	output = filepath.Join(dir, "nowhere", "x.mmdb")
	if err := build(good); err == nil || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("an output in no directory: %v", err)
	}
}

// TestReplaceFails: when the new file cannot be made, or is one that the server would refuse, the old one stays and nothing else.
func TestReplaceFails(t *testing.T) {
	dir := t.TempDir()
	path := place(t, dir, "x.mmdb", "old")
	_, err := replace(path, func(f *os.File) (int64, error) {
		if _, err := f.WriteString("half"); err != nil {
			t.Error(err)
		}
		return 0, errors.New("the disk is full")
	})
	if err == nil || err.Error() != "the disk is full" {
		t.Errorf("error %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left over: %v (%v)", entries, err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "old" {
		t.Errorf("the old file says %q (%v)", text, err)
	}
}

func TestProgress(t *testing.T) {
	dir := t.TempDir()
	var lines strings.Builder
	for i := range 2*progressLines + 1 {
		fmt.Fprintf(&lines, "%d,%d,AU\n", i, i)
	}
	in := Input{Path: place(t, dir, "geoip", lines.String())}
	var said []string
	output := filepath.Join(dir, "out")
	if _, err := Build(BuildOptions{Output: output, Inputs: []Input{in}, Progress: func(text string) { said = append(said, strings.ReplaceAll(text, dir+"/", "")) }}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"geoip: 100000 lines", "geoip: 200000 lines", "putting the inputs together", "writing out"}; !slices.Equal(said, want) {
		t.Errorf("progress %q, want %q", said, want)
	}
}
