package dashboard

import (
	"net/http"
	"slices"

	"gtmd/admin"
)

// poolPage is one pool.
type poolPage struct {
	poolRow
	Rows     []addressRow
	Pager    pager
	Resolved []resolvedRow
	Users    []poolUse
	More     int // users that are left out
	Steer    string
}

// poolUse is a set that has the pool.
type poolUse struct {
	Instance, URL  string
	Policy, Family string
	Role           string
	Mark           mark
}

// resolvedRow is what a name of a domain pool resolves to.
type resolvedRow struct {
	admin.ResolvedStatus
	URL  string
	Mark mark
}

// maxUsers is how many sets a pool or an address shows as its users.
const maxUsers = 50

func (d *dashboard) pool(_ http.ResponseWriter, r *http.Request) (*view, error) {
	status := d.backend.Status()
	name := r.FormValue("name")
	at := slices.IndexFunc(status.Pools, func(p admin.PoolStatus) bool { return p.Name == name })
	if at < 0 {
		return nil, missing("No such pool", "The configuration has no pool \""+name+"\". It may have been removed or renamed.")
	}
	pool := &status.Pools[at]
	p := &poolPage{poolRow: newPoolRow(pool, 0), Users: usesOf(&status, func(s string) bool { return s == name }), Steer: address("/steer", "pool", name)}
	indices := make([]int, len(pool.Addresses))
	for i := range indices {
		indices[i] = i
	}
	slices.SortStableFunc(indices, func(a, b int) int {
		return addressMark(&pool.Addresses[b]).Tone.worse() - addressMark(&pool.Addresses[a]).Tone.worse()
	})
	indices, p.Pager = cut(r, indices)
	part := *pool // with only the addresses of the page
	part.Addresses = nil
	for _, i := range indices {
		part.Addresses = append(part.Addresses, pool.Addresses[i])
	}
	rows := newAddressRows(d.backend, &admin.Status{Pools: []admin.PoolStatus{part}})
	rows.most = pageSize
	p.Rows = rows.ofPool(name)
	for _, res := range pool.Resolved {
		row := resolvedRow{res, addressURL(res.Name), mark{good, "resolves"}}
		switch {
		case res.Error != "":
			row.Mark = mark{warn, "does not resolve"}
		case res.At == nil:
			row.Mark = mark{idle, "not asked yet"}
		}
		p.Resolved = append(p.Resolved, row)
	}
	if len(p.Users) > maxUsers {
		p.Users, p.More = p.Users[:maxUsers], len(p.Users)-maxUsers
	}
	return &view{
		Title: name, Section: "/pools", Crumbs: []link{{"Pools", "/pools"}}, JSON: "/api/v1/pools/" + pathEscape(name),
		Say: "Pool " + name + ": " + p.Mark.Text, Data: p,
	}, nil
}

// usesOf are the sets with one of the pools that a function picks.
func usesOf(status *admin.Status, picks func(pool string) bool) (uses []poolUse) {
	for i := range status.Instances {
		in := &status.Instances[i]
		for j := range in.Policies {
			p := &in.Policies[j]
			for k := range p.Sets {
				if s := &p.Sets[k]; slices.ContainsFunc(s.Pools, picks) {
					uses = append(uses, poolUse{in.Name, instanceURL(in.Name), p.Name, familyName(p.Family), s.Role, setMark(s)})
				}
			}
		}
	}
	return uses
}
