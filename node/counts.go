package node

import (
	"maps"
	"sync"
)

// counts are counters by key. The zero value is ready; safe for concurrent use.
type counts[K comparable] struct {
	mu sync.Mutex // guards n
	n  map[K]uint64
}

func (c *counts[K]) add(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[K]uint64{}
	}
	c.n[k]++
}

// keep forgets the counters of all other keys.
func (c *counts[K]) keep(wanted func(K) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.n, func(k K, _ uint64) bool { return !wanted(k) })
}

func (c *counts[K]) get(k K) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[k]
}
