package dashboard

import (
	"time"

	"gtmd/admin"
)

// addressRow is an address of a pool in a list.
type addressRow struct {
	*admin.AddressStatus
	URL, Pool, Steer string
	Mark             mark
	Notes            []string
	Since            *time.Time // of the verdict or the override
	Sparks           []spark    // one of each target
}

// addressRows makes rows for one page. It asks for the results of a target once.
type addressRows struct {
	backend admin.Backend
	pools   map[string]*admin.PoolStatus
	made    map[string][]addressRow // by pool
	sparks  map[string]spark        // by the ID of a target
	most    int                     // rows of a pool with sparks
}

func newAddressRows(backend admin.Backend, status *admin.Status) *addressRows {
	r := &addressRows{backend: backend, pools: make(map[string]*admin.PoolStatus, len(status.Pools)), made: map[string][]addressRow{}, sparks: map[string]spark{}, most: maxMembers}
	for i := range status.Pools {
		r.pools[status.Pools[i].Name] = &status.Pools[i]
	}
	return r
}

// ofPool are the rows of a pool; the first of them with sparks.
func (r *addressRows) ofPool(name string) []addressRow {
	if rows, isMade := r.made[name]; isMade {
		return rows
	}
	pool := r.pools[name]
	if pool == nil {
		return nil
	}
	rows := make([]addressRow, len(pool.Addresses))
	for i := range pool.Addresses {
		rows[i] = newAddressRow(&pool.Addresses[i], name)
	}
	r.spark(pool, rows)
	r.made[name] = rows
	return rows
}

func newAddressRow(a *admin.AddressStatus, pool string) addressRow {
	row := addressRow{AddressStatus: a, URL: addressURL(a.Address), Pool: pool, Steer: steerURL(a.Address, pool), Mark: addressMark(a), Notes: addressNotes(a), Since: a.Since}
	if a.Override != nil {
		row.Since = &a.Override.Since
	}
	return row
}

// spark adds the results of the targets of a pool.
func (r *addressRows) spark(pool *admin.PoolStatus, rows []addressRow) {
	owner := map[string]int{} // the row of what is probed: an address, or one of those that a name resolves to
	for i := range rows {
		owner[rows[i].Address] = i
		for _, c := range rows[i].Checks {
			if _, known := owner[c.Address]; !known {
				owner[c.Address] = i
			}
		}
	}
	for _, resolved := range pool.Resolved {
		if i, known := owner[resolved.Name]; known {
			for _, ip := range resolved.Addresses {
				if _, taken := owner[ip.String()]; !taken {
					owner[ip.String()] = i
				}
			}
		}
	}
	const most = 3 // of one address
	for _, t := range r.backend.Targets(admin.TargetQuery{Pool: pool.Name}) {
		i, known := owner[t.Address]
		if !known || i >= r.most || len(rows[i].Sparks) >= most {
			continue
		}
		s, isMade := r.sparks[t.ID]
		if !isMade {
			full, err := r.backend.Target(t.ID)
			if err != nil {
				continue // it is gone meanwhile
			}
			s = newSpark(t.HealthCheck, full.Results)
			r.sparks[t.ID] = s
		}
		rows[i].Sparks = append(rows[i].Sparks, s)
	}
}
