package node

import "gtmd/admin"

// Events are those that fit a query; see admin.Backend.
func (n *Node) Events(q admin.EventQuery) admin.EventList {
	if q.Instance == "" {
		return n.events.query(q, nil)
	}
	pools := map[string]bool{}
	w := n.world.Load()
	for i := range w.config.File.Instances {
		o := &w.config.File.Instances[i]
		if o.Name != q.Instance {
			continue
		}
		for _, p := range o.Policies {
			for _, ref := range p.Primary.Pools {
				pools[ref.Pool] = true
			}
			for _, set := range p.Backup {
				for _, ref := range set.Pools {
					pools[ref.Pool] = true
				}
			}
		}
	}
	return n.events.query(q, pools)
}

// Watch tells of changes; see admin.Backend.
func (n *Node) Watch() (<-chan struct{}, func()) { return n.events.watch() }
