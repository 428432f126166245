package geo

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// everyLine makes policies of ten lines each, and one of global.
func everyLine(tb testing.TB, lines []LineOptions) [][]Selector {
	policies := [][]Selector{{Global}}
	for i, l := range lines {
		if i%10 == 0 {
			policies = append(policies, nil)
		}
		source, err := ParseSelector(l.Name, lines, nil)
		if err != nil {
			tb.Fatal(err)
		}
		policies[len(policies)-1] = append(policies[len(policies)-1], source)
	}
	return policies
}

// A worked is an input of the benchmarks with what is made of it.
type worked struct {
	name  string
	input Input
	m     *Map
	plan  *Plan
	addrs [2][]netip.Addr // by family
}

// workNames are the inputs of the benchmarks: custom lines, synthetic databases, and Debian's tor-geoipdb.
func workNames() []string { return []string{"lines", "city+asn", "tor-geoipdb"} }

// work makes an input and all that the benchmarks want of it. Only the last one is kept: others would count as memory.
var work = sync.OnceValue(func() func(*testing.B, string) *worked {
	kept := &worked{}
	return func(b *testing.B, name string) *worked {
		if kept.name == name {
			return kept
		}
		kept = &worked{name: name}
		switch name {
		case "lines":
			for _, is4 := range []bool{true, false} {
				for _, l := range randomLines(500_000, is4) {
					l.Name += familyName(is4)
					kept.input.Lines = append(kept.input.Lines, l)
				}
			}
		case "city+asn":
			kept.input.Selectors = benchSelectors(b)
			for _, path := range syntheticFiles(b) {
				d, err := ReadDatabase(path)
				if err != nil {
					b.Fatal(err)
				}
				kept.input.Databases = append(kept.input.Databases, d)
			}
		default:
			dir := os.Getenv("GTMD_TORGEOIP")
			if dir == "" {
				b.Skip("GTMD_TORGEOIP is not set: want the directory with geoip and geoip6 of Debian's tor-geoipdb")
			}
			kept.input = Input{Databases: []*Database{torDatabase(b, dir)}, Selectors: benchSelectors(b)}
		}
		m, err := Compile(kept.input)
		if err != nil {
			b.Fatal(err)
		}
		kept.m, kept.plan, kept.addrs = m, m.Plan(m.Assign(kept.policies(b))), kept.addresses(b)
		return kept
	}
})

// policies are ten of the sources in use, and global.
func (w *worked) policies(b *testing.B) [][]Selector {
	if w.input.Lines != nil {
		return everyLine(b, w.input.Lines)
	}
	policies := make([][]Selector, 11)
	policies[10] = []Selector{Global}
	for i, source := range w.input.Selectors {
		policies[i%10] = append(policies[i%10], source)
	}
	return policies
}

// addresses are random ones of prefixes that the input has, 2^16 for each family.
func (w *worked) addresses(b *testing.B) [2][]netip.Addr {
	random := rand.New(rand.NewPCG(3, 4))
	var prefixes [2][]netip.Prefix
	add := func(prefix netip.Prefix) {
		family := 0
		if prefix.Addr().Is6() {
			family = 1
		}
		prefixes[family] = append(prefixes[family], prefix)
	}
	for _, l := range w.input.Lines {
		for _, prefix := range l.Prefixes {
			add(prefix)
		}
	}
	for _, d := range w.input.Databases {
		for r, err := range d.records() {
			if err != nil {
				b.Fatal(err)
			}
			add(r.prefix)
		}
	}
	var addrs [2][]netip.Addr
	for family := range addrs {
		for range 1 << 16 {
			prefix := prefixes[family][random.IntN(len(prefixes[family]))]
			addr := prefix.Addr().AsSlice()
			for i := prefix.Bits(); i < 8*len(addr); i++ {
				addr[i/8] |= byte(random.IntN(2)) << (7 - i%8)
			}
			inside, _ := netip.AddrFromSlice(addr)
			addrs[family] = append(addrs[family], inside)
		}
	}
	return addrs
}

// benchSelectors are the sources of a large set-up: the provinces of three providers, 40 countries, the continents, 20 provinces,
// 5 autonomous systems.
func benchSelectors(b *testing.B) []Selector {
	var texts []string
	for i, p := range syntheticProvinces() {
		for _, isp := range []string{"telecom", "unicom", "mobile"} {
			texts = append(texts, "cn_"+isp+"_"+p.line)
		}
		if i < 20 {
			texts = append(texts, "subdivision:"+p.code)
		}
	}
	for _, country := range syntheticCountries()[:40] {
		texts = append(texts, "country:"+country)
	}
	for _, code := range []string{"AF", "AS", "EU", "NA", "OC", "SA"} {
		texts = append(texts, "continent:"+code)
	}
	for _, asn := range []string{"100", "200", "300", "4134", "4837"} {
		texts = append(texts, "asn:"+asn)
	}
	var selectors []Selector
	for _, text := range texts {
		selector, err := ParseSelector(text, nil, nil)
		if err != nil {
			b.Fatal(err)
		}
		selectors = append(selectors, selector)
	}
	return selectors
}

// timed runs look-ups of the addresses in turn; beside the mean it reports what 99 of 100 batches of 64 stay below, for each
// look-up.
func timed(b *testing.B, addrs []netip.Addr, lookup func(netip.Addr)) {
	const batch = 64
	b.ReportAllocs()
	runtime.GC()
	for i := 0; b.Loop(); i++ {
		lookup(addrs[i%len(addrs)])
	}
	b.StopTimer()
	times := make([]time.Duration, 20_000)
	for i := range times {
		from := i * batch % len(addrs)
		start := time.Now()
		for _, addr := range addrs[from : from+batch] {
			lookup(addr)
		}
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2])/batch, "p50-ns")
	b.ReportMetric(float64(times[len(times)*99/100])/batch, "p99-ns")
}

func BenchmarkLookup(b *testing.B) {
	for _, name := range workNames() {
		b.Run(name, func(b *testing.B) {
			w := work()(b, name)
			for family, addrs := range w.addrs {
				b.Run(familyName(family == 0)+"/map", func(b *testing.B) { timed(b, addrs, func(addr netip.Addr) { w.m.Lookup(addr) }) })
				b.Run(familyName(family == 0)+"/plan", func(b *testing.B) { timed(b, addrs, func(addr netip.Addr) { w.plan.Lookup(addr) }) })
			}
		})
	}
}

// BenchmarkMaxMind looks the same addresses up with the library, in every database, once without decoding the records.
func BenchmarkMaxMind(b *testing.B) {
	for _, name := range workNames()[1:] {
		b.Run(name, func(b *testing.B) {
			w := work()(b, name)
			for family, addrs := range w.addrs {
				b.Run(familyName(family == 0)+"/find", func(b *testing.B) {
					timed(b, addrs, func(addr netip.Addr) {
						for _, d := range w.input.Databases {
							d.reader.Lookup(addr).Offset()
						}
					})
				})
				b.Run(familyName(family == 0)+"/decode", func(b *testing.B) {
					timed(b, addrs, func(addr netip.Addr) {
						for _, d := range w.input.Databases {
							if err := d.reader.Lookup(addr).Decode(new(smallRecord)); err != nil {
								b.Fatal(err)
							}
						}
					})
				})
			}
		})
	}
}

// smallRecord is no more of a record than the sources in use are told by.
type smallRecord struct {
	Continent struct {
		Code string `maxminddb:"code"`
	} `maxminddb:"continent"`
	Country struct {
		Code string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	Subdivisions []struct {
		Code string `maxminddb:"iso_code"`
	} `maxminddb:"subdivisions"`
	ASN uint32 `maxminddb:"autonomous_system_number"`
}

// BenchmarkCompile reports also what the databases, the finished Map and one Plan of it keep in memory, the most that the heap
// came to, all of these and the dead objects included, and the time on the processor, which a busy machine does not change.
func BenchmarkCompile(b *testing.B) {
	for _, name := range workNames() {
		b.Run(name, func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			w := work()(b, name)
			policies := w.policies(b)
			w.m, w.plan, w.addrs = nil, nil, [2][]netip.Addr{}
			defer func() { w.name = "" }() // it is no more what it was
			base := heap()
			highest, cpu := int64(0), time.Duration(0)
			for b.Loop() {
				w.m = nil
				runtime.GC()
				peak, before := watchHeap(), processorTime(b)
				m, err := Compile(w.input)
				if err != nil {
					b.Fatal(err)
				}
				w.m = m
				cpu += processorTime(b) - before
				highest = max(highest, peak())
			}
			afterMap := heap()
			w.plan = w.m.Plan(w.m.Assign(policies))
			afterPlan := heap()
			var size, networks int64
			for _, d := range w.input.Databases {
				size += d.Size
				networks += int64(d.Networks4 + d.Networks6)
			}
			b.ReportMetric(float64(networks), "networks")
			b.ReportMetric(float64(size)/1e6, "databases-MB")
			b.ReportMetric(float64(afterMap-base)/1e6, "map-MB")
			b.ReportMetric(float64(afterPlan-afterMap)/1e6, "plan-MB")
			b.ReportMetric(float64(highest)/1e6, "peak-MB")
			b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "cpu-ms")
			b.ReportMetric(float64(w.m.Classes()), "classes")
			runtime.KeepAlive(w)
		})
	}
}

// processorTime is what the process has used of the processors.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkReadDatabase is what comes before Compile when a file is replaced.
func BenchmarkReadDatabase(b *testing.B) {
	for _, path := range syntheticFiles(b) {
		b.Run(filepath.Base(path), func(b *testing.B) {
			for b.Loop() {
				if _, err := ReadDatabase(path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPlan(b *testing.B) {
	for _, name := range workNames() {
		b.Run(name, func(b *testing.B) {
			w := work()(b, name)
			policies := w.policies(b)
			for b.Loop() {
				w.m.Plan(w.m.Assign(policies))
			}
		})
	}
}

// heap returns the bytes in use after a collection.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	debug.FreeOSMemory()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// watchHeap looks at the heap, dead objects included, every two milliseconds until the function that it returns is called. That
// returns the most bytes it saw.
func watchHeap() (stop func() int64) {
	end, result := make(chan struct{}), make(chan int64)
	go func() {
		var highest int64
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			metrics.Read(sample)
			highest = max(highest, int64(sample[0].Value.Uint64()))
			select {
			case <-end:
				result <- highest
				return
			case <-tick.C:
			}
		}
	}()
	return func() int64 {
		close(end)
		return <-result
	}
}
