package server

import (
	"maps"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// zoneCounts counts what is rare, by zone and result. The zero value is ready; safe for concurrent use.
type zoneCounts struct {
	mu sync.Mutex // guards n
	n  map[zoneResult]uint64
}

type zoneResult struct{ zone, result string }

// add counts one; what is not expected, as that of a zone that a reload has taken away meanwhile, is not counted.
func (c *zoneCounts) add(zone, result string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := zoneResult{zone, result}
	if _, isExpected := c.n[k]; isExpected {
		c.n[k]++
	}
}

// expect makes these the zones and results that are counted: what there is none of yet is 0, and other zones are forgotten.
func (c *zoneCounts) expect(zones []string, results ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.n
	c.n = map[zoneResult]uint64{}
	for _, zone := range zones {
		for _, result := range results {
			k := zoneResult{zone, result}
			c.n[k] = before[k]
		}
	}
}

func (c *zoneCounts) get(zone, result string) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[zoneResult{zone, result}]
}

// collectTransfers sends the counts of transfers, notifications and signatures.
func (s *Stats) collectTransfers(ch chan<- prometheus.Metric) {
	send := func(c *zoneCounts, desc *prometheus.Desc, hasZone bool) {
		c.mu.Lock()
		counts := maps.Clone(c.n)
		c.mu.Unlock()
		for k, n := range counts {
			labels := []string{k.result}
			if hasZone {
				labels = []string{k.zone, k.result}
			}
			ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
		}
	}
	send(&s.transfers, transfersDesc, true)
	send(&s.notifies, notifiesDesc, true)
	send(&s.signatures, signaturesDesc, false)
}
