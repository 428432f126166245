package view

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gtmd/server/wire"
)

// tableOf is a table of names, in this order.
func tableOf(names []string) nameTable {
	t := newNameTable(len(names), 0)
	for _, name := range names {
		t.add(name)
	}
	return t
}

// randomName is a name in wire form. Few labels, of few octets, so that names meet; sometimes labels of any octets.
var randomName = rapid.Custom(func(t *rapid.T) string {
	label := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "b", "*", "aa", "a\x00", "\x01a", strings.Repeat("x", 63)}),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 8), func(b []byte) string { return lowered(string(b)) }),
	)
	name := "\x00"
	for _, l := range rapid.SliceOfN(label, 0, 8).Draw(t, "labels") {
		if len(name)+1+len(l) <= wire.MaxName {
			name = string(rune(len(l))) + l + name
		}
	}
	return name
})

// lowered lowers ASCII letters and no other octet.
func lowered(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// The table finds just what a map finds.
func TestNameTableModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(randomName, 0, 200, func(s string) string { return s }).Draw(t, "names")
		table, model := tableOf(names), map[string]int32{}
		for i, name := range names {
			model[name] = int32(i)
		}
		asked := rapid.SliceOfN(randomName, 0, 50).Draw(t, "asked")
		for _, name := range slices.Concat(names, asked) {
			for ; ; name = parent(name) {
				number, found := table.find([]byte(name))
				if want, has := model[name]; found != has || found && number != want {
					t.Fatalf("%q: %d %v, want %d %v", name, number, found, want, has)
				}
				if name == "\x00" {
					break
				}
			}
		}
	})
}

// Names that collide, in the bits that choose the slot, in those that are compared, or in all, are told apart.
func TestNameTableCollisions(t *testing.T) {
	names := make([]string, 50)
	for i := range names {
		names[i] = key(fmt.Sprintf("w%d.gtm.test.", i))
	}
	for _, mask := range []uint64{0, 1<<32 - 1, 1<<63 | 1<<31, ^uint64(0)} {
		table := newNameTable(len(names), 0)
		hash := func(name string) uint64 { return maphash.String(table.seed, name)&mask | 127&^mask } // the last slots: the probe wraps
		for _, name := range names {
			table.insert(name, hash(name))
		}
		for i, name := range names {
			if number, found := table.probe([]byte(name), hash(name)); !found || number != int32(i) {
				t.Errorf("mask %x: %q is number %d, %v", mask, name, number, found)
			}
		}
		for _, name := range []string{"x.gtm.test.", "w1.gtm.test.x.", "w1.gtm.", "."} {
			if number, found := table.probe([]byte(key(name)), hash(key(name))); found {
				t.Errorf("mask %x: %q is number %d", mask, name, number)
			}
		}
	}
	// At the end of the text a longer name is compared with nothing behind it.
	one := newNameTable(1, 0)
	one.insert("\x01a\x00", 0)
	if _, found := one.probe([]byte("\x01a\x01b\x00"), 0); found {
		t.Error("a name is found that is longer than all there are")
	}
	var zero nameTable
	if _, found := zero.probe([]byte{0}, 0); found {
		t.Error("the zero table has a name")
	}
	if empty := newNameTable(0, 0); len(empty.slots) == 0 {
		t.Error("a table for no names has no empty slot")
	}
}

// Find against the walk that RFC 4592 section 3.3.1 describes, label by label without a cut at any depth.
func TestFindModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(randomName, 0, 40, func(s string) string { return s }).Draw(t, "names")
		v, model := &View{names: tableOf(names)}, map[string]int32{}
		for i, name := range names {
			model[name] = int32(i)
			v.depth = max(v.depth, labels(name))
		}
		for _, name := range slices.Concat(names, rapid.SliceOfN(randomName, 1, 50).Draw(t, "asked")) {
			if len(name) < wire.MaxName-10 && rapid.Bool().Draw(t, "below") {
				name = "\x01z\x03www" + name
			}
			var q wire.Query
			packet := slices.Concat(make([]byte, 5), []byte{1}, make([]byte, 6), []byte(name), []byte{0, 1, 0, 1})
			if fate, _ := q.Decode(packet); fate != wire.ToAnswer {
				t.Fatalf("%q is no question", name)
			}
			want, exact := int32(-1), false
			for k := name; ; k = parent(k) {
				if i, found := model[k]; found {
					want, exact = i, k == name
					break
				}
				if k == "\x00" {
					break
				}
			}
			if got, gotExact := v.find(&q); got != want || gotExact != exact {
				t.Fatalf("%q: node %d, exact %v, want %d, %v", name, got, gotExact, want, exact)
			}
		}
	})
}

// BenchmarkFind looks names up in random order, as they come in a packet: in memory that is in the cache.
func BenchmarkFind(b *testing.B) {
	for _, count := range []int{1000, 100_000} {
		names := make([]string, count)
		for i := range names {
			names[i] = key(fmt.Sprintf("w%06d.bench.test.", i))
		}
		table, model := tableOf(names), map[string]int32{}
		for i, name := range names {
			model[name] = int32(i)
		}
		random := rand.New(rand.NewPCG(1, 2))
		asked := key("w000000.bench.test.")
		bench := func(name string, find func(name []byte) bool) {
			b.Run(fmt.Sprintf("%s/names=%d", name, count), func(b *testing.B) {
				buffer := []byte(asked)
				for b.Loop() {
					n := random.IntN(count)
					for at := 7; at > 1; at-- {
						buffer[at] = byte('0' + n%10)
						n /= 10
					}
					if !find(buffer) {
						b.Fatal("not found")
					}
				}
			})
		}
		bench("table", func(name []byte) bool { _, found := table.find(name); return found })
		bench("map", func(name []byte) bool { _, found := model[string(name)]; return found })
		bench("none", func(name []byte) bool { return true })
	}
}
