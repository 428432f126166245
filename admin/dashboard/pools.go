package dashboard

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"gtmd/admin"
)

// poolList is the list of pools as a request filters it.
type poolList struct {
	Search, State string
	States        []option
	Rows          []poolRow
	Pager         pager
	Total         int
	Empty         empty
}

// poolRow is one pool.
type poolRow struct {
	*admin.PoolStatus
	URL    string
	Tone   tone
	Up     int // addresses that are available
	Down   int // those that are not
	Mark   mark
	UsedBy int // instances
	Notes  []string
}

func (d *dashboard) pools(_ http.ResponseWriter, r *http.Request) (*view, error) {
	status := d.backend.Status()
	list := &poolList{Search: r.FormValue("q"), State: r.FormValue("state"), Total: len(status.Pools)}
	list.States = choose([]option{{"", "All", false}, {"attention", "Not normal", false}, {"down", "With addresses that are down", false}}, list.State)
	users := poolUsers(&status)
	var rows []poolRow
	for i := range status.Pools {
		row := newPoolRow(&status.Pools[i], len(users[status.Pools[i].Name]))
		fits := list.State == "" || list.State == "attention" && row.Tone != good || list.State == "down" && hasDown(row.PoolStatus)
		if fits && isPoolNamed(row.PoolStatus, list.Search) {
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(a, b poolRow) int { return cmp.Compare(b.Tone.worse(), a.Tone.worse()) })
	list.Rows, list.Pager = cut(r, rows)
	switch {
	case list.Total == 0:
		list.Empty = empty{
			Title: "There is no pool yet",
			Text: "A pool is a list of addresses of one kind that are probed alike. Add a [[pool]] with a name, a type and addresses to the configuration, " +
				"and a [[health_check]] that says what an address has to answer.",
			URL: "/config", Link: "See the configuration",
		}
	case len(rows) == 0:
		list.Empty = empty{Title: "No pool fits", Text: "None of " + plural(list.Total, "pool", "pools") + " is so called and in that state.", URL: "/pools", Link: "Show all"}
	}
	return &view{Title: "Pools", Section: "/pools", JSON: "/api/v1/pools", Lead: "Addresses, what the health checks say of them, and who uses them.", Data: list}, nil
}

// poolUsers are the names of the instances that use each pool.
func poolUsers(status *admin.Status) map[string][]string {
	users := map[string][]string{}
	for i := range status.Instances {
		in := &status.Instances[i]
		for j := range in.Policies {
			for _, s := range in.Policies[j].Sets {
				for _, pool := range s.Pools {
					if known := users[pool]; len(known) == 0 || known[len(known)-1] != in.Name {
						users[pool] = append(known, in.Name)
					}
				}
			}
		}
	}
	return users
}

func newPoolRow(p *admin.PoolStatus, usedBy int) poolRow {
	row := poolRow{PoolStatus: p, URL: poolURL(p.Name), Tone: good, UsedBy: usedBy}
	counts := map[string]int{}
	for i := range p.Addresses {
		a := &p.Addresses[i]
		if a.Available {
			row.Up++
		} else {
			row.Down++
		}
		switch m := addressMark(a); {
		case m.Tone == good:
		case m.Tone == warn:
			counts["not quite well"]++
		default:
			counts[a.Standing]++
		}
		if m := addressMark(a).Tone; m.worse() > row.Tone.worse() {
			row.Tone = m
		}
	}
	for _, standing := range sortedKeys(counts) {
		row.Notes = append(row.Notes, number(counts[standing])+" "+standing)
	}
	unresolved := 0
	for _, r := range p.Resolved {
		if r.Error != "" {
			unresolved++
		}
	}
	if unresolved > 0 {
		row.Notes = append(row.Notes, plural(unresolved, "name does not resolve", "names do not resolve"))
		if warn.worse() > row.Tone.worse() {
			row.Tone = warn
		}
	}
	switch {
	case len(p.Addresses) == 0:
		row.Mark = mark{idle, "no address"}
	case row.Up == 0:
		row.Mark = mark{bad, "none available"}
	case row.Down == 0:
		row.Mark = mark{row.Tone, "all available"}
	default:
		row.Mark = mark{warn, number(row.Up) + " of " + number(len(p.Addresses)) + " available"}
	}
	return row
}

// Bar is the width of the part that is available, out of 60.
func (r *poolRow) Bar() int { return 60 * r.Up / len(r.PoolStatus.Addresses) }

func sortedKeys(counts map[string]int) (keys []string) {
	for k := range counts {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func hasDown(p *admin.PoolStatus) bool {
	return slices.ContainsFunc(p.Addresses, func(a admin.AddressStatus) bool { return !a.Available || a.Verdict == "down" })
}

// isPoolNamed reports whether a text is part of the name of a pool, of an address, a remark or a health check.
func isPoolNamed(p *admin.PoolStatus, text string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), text) }
	return text == "" || has(p.Name) || slices.ContainsFunc(p.HealthChecks, has) ||
		slices.ContainsFunc(p.Addresses, func(a admin.AddressStatus) bool { return has(a.Address) || has(a.Remark) })
}
