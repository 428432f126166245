package node

import (
	"fmt"
	"runtime"
	"weak"

	"github.com/prometheus/client_golang/prometheus"

	"gtmd/geo"
)

// Gatherer gives the metrics of a node.
func (n *Node) Gatherer() prometheus.Gatherer { return n.registry }

// CookieSecret is the random secret of DNS cookies.
func (n *Node) CookieSecret() [16]byte { return n.dns.CookieSecret() }

// WhileUnsaved calls f while the state is not being saved.
func (n *Node) WhileUnsaved(f func()) {
	n.saving.Lock()
	defer n.saving.Unlock()
	f()
}

// StateFile is the name of the saved state.
const StateFile = stateFile

// TargetCount is how many targets are probed.
func (n *Node) TargetCount() int { return n.engine.Status().Len() }

// GeoWork says how often databases were read and maps compiled.
func (n *Node) GeoWork() string {
	n.loading <- struct{}{}
	defer func() { <-n.loading }()
	return fmt.Sprintf("%d read, %d built", n.atlas.reads, n.atlas.builds)
}

// Hoard is how many databases are in memory that do not serve.
func (n *Node) Hoard() int {
	n.loading <- struct{}{}
	defer func() { <-n.loading }()
	count := 0
	for path, r := range n.atlas.files {
		if d := databaseOf(n.world.Load().databases, path); r.database != nil && r.database != d.data() {
			count++
		}
	}
	return count
}

// Freed are the database and the map of a node, for IsFreed.
type Freed struct {
	database weak.Pointer[geo.Database]
	places   weak.Pointer[geo.Map]
}

// WeakDatabase is the first database, and the map, that serve.
func (n *Node) WeakDatabase() Freed {
	w := n.world.Load()
	return Freed{weak.Make(w.databases[0].Database), weak.Make(w.geo)}
}

// IsFreed collects garbage and reports whether nothing uses a database and its map any more.
func IsFreed(f Freed) bool {
	runtime.GC()
	return f.database.Value() == nil && f.places.Value() == nil
}
