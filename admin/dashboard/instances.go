package dashboard

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"gtmd/admin"
)

// instanceList is the list of instances as a request filters it.
type instanceList struct {
	Path   string // of the page, for the form
	Search string
	State  string // one of instanceStates
	States []option
	Rows   []instanceRow
	Pager  pager
	Total  int // without the filter
	Empty  empty
}

// An option is one of a select.
type option struct {
	Value, Text string
	Chosen      bool
}

// instanceRow is one instance.
type instanceRow struct {
	Name, URL, Domain string
	Aliases           []string
	Business          int // how many business domains
	TTL               uint32
	Tone              tone
	Policies          []policyRow
	More              int // policies that are left out: all of them normal, or there are very many
	Since             time.Time
}

// policyRow is a policy in the families in which the same set is in force for the same reason.
type policyRow struct {
	Name     string
	Families string
	Mark     mark
	Why      string
	Since    time.Time
}

// maxPolicyRows is how many policies of an instance a list shows.
const maxPolicyRows = 4

// instanceStates are what the list can be narrowed to.
func instanceStates(chosen string) []option {
	all := []option{{"", "All", false}, {"attention", "Not normal", false}, {"backup", "On a backup", false}, {"failing", "Failing", false}}
	return choose(all, chosen)
}

func choose(all []option, chosen string) []option {
	for i := range all {
		all[i].Chosen = all[i].Value == chosen
	}
	return all
}

// instances is the page with all of them.
func (d *dashboard) instances(_ http.ResponseWriter, r *http.Request) (*view, error) {
	status := d.backend.Status()
	return &view{
		Title: "Instances", Section: "/instances", JSON: "/api/v1/instances",
		Lead: "What access domains answer, and which set of addresses is in force for whom.", Data: listInstances(r, &status),
	}, nil
}

// listInstances is the list of a request: those that are not normal first, then as the configuration has them.
func listInstances(r *http.Request, status *admin.Status) *instanceList {
	list := &instanceList{Path: r.URL.Path, Search: r.FormValue("q"), State: r.FormValue("state"), Total: len(status.Instances)}
	list.States = instanceStates(list.State)
	type found struct {
		in   *admin.InstanceStatus
		tone tone
	}
	var all []found
	for i := range status.Instances {
		in := &status.Instances[i]
		if t := instanceTone(in); isInState(in, t, list.State) && isNamed(in, list.Search) {
			all = append(all, found{in, t})
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(b.tone.worse(), a.tone.worse()) })
	all, list.Pager = cut(r, all)
	for _, f := range all {
		list.Rows = append(list.Rows, newInstanceRow(f.in, f.tone))
	}
	if list.Total == 0 {
		list.Empty = empty{
			Title: "There is no instance yet",
			Text: "An instance is an access domain with policies: who gets which pool, and which backup takes over. Add an [[instance]] with a " +
				"[[instance.policy]] to the configuration file, check it with gtmd check, and load it with gtmd reload. gtmd init writes a file to begin with.",
			URL: "/config", Link: "See the configuration",
		}
	} else if len(all) == 0 {
		list.Empty = empty{Title: "No instance fits", Text: "None of " + plural(list.Total, "instance", "instances") + " is so called and in that state.", URL: list.Path, Link: "Show all"}
	}
	return list
}

// instanceTone is that of its worst policy.
func instanceTone(in *admin.InstanceStatus) tone {
	worst := good
	if len(in.Policies) == 0 {
		worst = idle
	}
	for i := range in.Policies {
		if t := policyTone(&in.Policies[i]); t.worse() > worst.worse() {
			worst = t
		}
	}
	return worst
}

func isInState(in *admin.InstanceStatus, t tone, state string) bool {
	has := func(want tone) bool {
		return slices.ContainsFunc(in.Policies, func(p admin.PolicyStatus) bool { return policyTone(&p) == want })
	}
	switch state {
	case "attention":
		return t != good || slices.ContainsFunc(in.Policies, func(p admin.PolicyStatus) bool { return brokenSpares(&p) != "" })
	case "backup":
		return has(warn)
	case "failing":
		return has(bad)
	}
	return true
}

// isNamed reports whether a text is part of one of the names of an instance, whatever the case.
func isNamed(in *admin.InstanceStatus, text string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	has := func(name string) bool { return strings.Contains(strings.ToLower(name), text) }
	return text == "" || has(in.Name) || has(in.AccessDomain) || slices.ContainsFunc(in.Aliases, has) || slices.ContainsFunc(in.BusinessDomains, has) ||
		slices.ContainsFunc(in.Policies, func(p admin.PolicyStatus) bool {
			return has(p.Name) || slices.ContainsFunc(p.Sources, func(s string) bool { return strings.EqualFold(s, text) })
		})
}

func newInstanceRow(in *admin.InstanceStatus, t tone) instanceRow {
	row := instanceRow{
		Name: in.Name, URL: instanceURL(in.Name), Domain: in.AccessDomain, Aliases: in.Aliases, Business: len(in.BusinessDomains), TTL: in.TTL, Tone: t,
		Policies: policyRows(in.Policies),
	}
	for i := range in.Policies {
		if since := in.Policies[i].Since; since.After(row.Since) {
			row.Since = since
		}
	}
	slices.SortStableFunc(row.Policies, func(a, b policyRow) int { return cmp.Compare(b.Mark.Tone.worse(), a.Mark.Tone.worse()) })
	if len(row.Policies) > maxPolicyRows {
		row.More, row.Policies = len(row.Policies)-maxPolicyRows, row.Policies[:maxPolicyRows]
	}
	return row
}

// policyRows joins the families of each policy that are in the same state.
func policyRows(policies []admin.PolicyStatus) (rows []policyRow) {
	for i := range policies {
		p := &policies[i]
		if last := len(rows) - 1; last >= 0 && rows[last].Name == p.Name && rows[last].Mark.Text == p.InForce && rows[last].Why == p.Why {
			rows[last].Families += ", " + familyName(p.Family)
			if p.Since.After(rows[last].Since) {
				rows[last].Since = p.Since
			}
			continue
		}
		rows = append(rows, policyRow{Name: p.Name, Families: familyName(p.Family), Mark: mark{policyTone(p), p.InForce}, Why: p.Why, Since: p.Since})
	}
	return rows
}
