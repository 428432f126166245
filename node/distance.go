package node

import (
	"net/netip"
	"slices"

	"gtmd/admin"
	"gtmd/policy"
	"gtmd/server/view"
)

// facts are what the databases say of a client.
func (w *world) facts(client netip.Addr) []admin.DatabaseFacts {
	var all []admin.DatabaseFacts
	for _, r := range w.geo.Records(client) {
		all = append(all, admin.DatabaseFacts{
			Path: r.Database.Path, Type: r.Database.Type, Built: r.Database.Built, Prefix: r.Prefix, Facts: r.Facts.String(),
		})
	}
	return all
}

// explainDistances adds how far the pools of the set in force are from the client, where that decides.
func (w *world) explainDistances(e *admin.Explanation, found *view.Explanation, d *policy.Decision) {
	set := d.InForce()
	if set == nil || set.Balance != policy.BalanceNearest && set.Balance != policy.BalanceLatency {
		return
	}
	if set.Balance == policy.BalanceNearest && found.Place != nil {
		e.Place = &admin.Place{Latitude: found.Place.Latitude, Longitude: found.Place.Longitude}
	}
	seen := map[string]bool{}
	for _, m := range set.Members {
		if seen[m.Pool.Name] {
			continue
		}
		seen[m.Pool.Name] = true
		cost, known := found.Costs[m.Pool.Name]
		distance := admin.Distance{Pool: m.Pool.Name, Known: known, Value: cost, Unit: "km"}
		if set.Balance == policy.BalanceNearest {
			distance.From = nearness(m.Pool, found.Place != nil)
		} else {
			distance.Unit, distance.From = "ms", latencySource(found, m.Pool.Name, known)
		}
		e.Distances = append(e.Distances, distance)
	}
	slices.SortStableFunc(e.Distances, func(a, b admin.Distance) int {
		switch {
		case a.Known && b.Known:
			return int(int64(a.Value) - int64(b.Value))
		case a.Known:
			return -1
		case b.Known:
			return 1
		}
		return 0
	})
}

// nearness says where the distance to a pool is from, or why there is none.
func nearness(pool *policy.Pool, isPlaced bool) string {
	switch {
	case pool.Location == nil:
		return "the pool has no location"
	case !isPlaced:
		return "no database says where the client is"
	default:
		return "location"
	}
}

// latencySource says where the latency of a pool is from, or why there is none.
func latencySource(found *view.Explanation, pool string, known bool) string {
	row, isInTable := found.Rows[pool]
	switch {
	case isInTable:
		return "latency table, " + row.String()
	case known:
		return "this server's round-trip time"
	default:
		return "not in the latency table for this client, and not measured yet"
	}
}
