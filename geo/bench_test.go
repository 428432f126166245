package geo

import (
	"fmt"
	"runtime"
	"testing"
)

// everyLine makes policies of ten lines each, and one of global.
func everyLine(tb testing.TB, lines []LineOptions) [][]Selector {
	policies := [][]Selector{{Global}}
	for i, l := range lines {
		if i%10 == 0 {
			policies = append(policies, nil)
		}
		source, err := ParseSelector(l.Name, lines)
		if err != nil {
			tb.Fatal(err)
		}
		policies[len(policies)-1] = append(policies[len(policies)-1], source)
	}
	return policies
}

func BenchmarkLookup(b *testing.B) {
	for _, is4 := range []bool{true, false} {
		lines := randomLines(500_000, is4)
		m := mustCompile(b, lines)
		plan := m.Plan(everyLine(b, lines))
		addrs := randomAddrs(is4)
		b.Run("map/"+familyName(is4), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m.Lookup(addrs[i%len(addrs)])
			}
		})
		b.Run("plan/"+familyName(is4), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				plan.Lookup(addrs[i%len(addrs)])
			}
		})
	}
}

// BenchmarkStride is the reason for strideNodes: look-ups in trees of several sizes, with a stride and without.
func BenchmarkStride(b *testing.B) {
	for _, is4 := range []bool{true, false} {
		addrs := randomAddrs(is4)
		for _, n := range []int{1_000, 10_000, 30_000, 100_000, 500_000} {
			m := mustCompile(b, randomLines(n, is4))
			plain := m.classes.v6
			if is4 {
				plain = m.classes.v4
			}
			plain.stride = nil
			strided := plain
			strided.stride = new(stride)
			strided.fill(strided.root, 0, 0)
			for _, with := range []struct {
				name string
				tree tree
			}{{"plain", plain}, {"stride", strided}} {
				b.Run(fmt.Sprintf("%s/nodes=%d/%s", familyName(is4), len(plain.nodes), with.name), func(b *testing.B) {
					for i := 0; b.Loop(); i++ {
						k, _ := keyOf(addrs[i%len(addrs)])
						with.tree.lookup(k)
					}
				})
			}
		}
	}
}

// BenchmarkCompile reports also what the finished Map and one Plan of it keep in memory.
func BenchmarkCompile(b *testing.B) {
	for _, is4 := range []bool{true, false} {
		b.Run(familyName(is4), func(b *testing.B) {
			lines := randomLines(500_000, is4)
			for b.Loop() {
				mustCompile(b, lines)
			}
			before := heap()
			m := mustCompile(b, lines)
			afterMap := heap()
			plan := m.Plan(everyLine(b, lines))
			afterPlan := heap()
			b.ReportMetric(float64(afterMap-before)/1e6, "map-MB")
			b.ReportMetric(float64(afterPlan-afterMap)/1e6, "plan-MB")
			runtime.KeepAlive(lines)
			runtime.KeepAlive(m)
			runtime.KeepAlive(plan)
		})
	}
}

func BenchmarkPlan(b *testing.B) {
	for _, is4 := range []bool{true, false} {
		b.Run(familyName(is4), func(b *testing.B) {
			lines := randomLines(500_000, is4)
			m, policies := mustCompile(b, lines), everyLine(b, lines)
			for b.Loop() {
				m.Plan(policies)
			}
		})
	}
}

// heap returns the bytes in use after a collection.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
