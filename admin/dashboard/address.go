package dashboard

import (
	"net/http"
	"slices"
	"time"

	"gtmd/admin"
)

// addressPage is one address in all its pools, with what each health check has found of it.
type addressPage struct {
	Address  string
	Places   []addressPlace
	Targets  []targetView
	More     int // targets that are left out
	Resolved []resolvedRow
	Users    []poolUse
	MoreUses int
	History  []admin.Event // of its verdicts, the latest first
	Steer    string
}

// addressPlace is the address in one pool.
type addressPlace struct {
	addressRow
	Pool link
}

// targetView is what one health check has found.
type targetView struct {
	ID string // of its element
	*admin.TargetStatus
	Mark        mark
	Notes       []string
	Chart       phaseChart
	Certificate *certificate
}

// certificate is the end of one.
type certificate struct {
	Ends time.Time
	Mark mark
}

// maxTargets is how many targets an address shows; maxHistory how many turns of its verdict.
const (
	maxTargets = 12
	maxHistory = 50
)

func (d *dashboard) address(_ http.ResponseWriter, r *http.Request) (*view, error) {
	status := d.backend.Status()
	name := r.FormValue("address")
	p := &addressPage{Address: name, Steer: steerURL(name, "")}
	pools := map[string]bool{}
	probed := []string{name} // the addresses whose targets are shown
	for i := range status.Pools {
		pool := &status.Pools[i]
		for j := range pool.Addresses {
			a := &pool.Addresses[j]
			if a.Address != name {
				continue
			}
			pools[pool.Name] = true
			p.Places = append(p.Places, addressPlace{newAddressRow(a, pool.Name), link{pool.Name, poolURL(pool.Name)}})
			for _, c := range a.Checks {
				if !slices.Contains(probed, c.Address) {
					probed = append(probed, c.Address)
				}
			}
		}
		for _, res := range pool.Resolved {
			if res.Name == name {
				m := mark{good, "resolves"}
				if res.Error != "" {
					m = mark{warn, "does not resolve"}
				}
				p.Resolved = append(p.Resolved, resolvedRow{res, poolURL(pool.Name), m})
				for _, ip := range res.Addresses {
					if !slices.Contains(probed, ip.String()) {
						probed = append(probed, ip.String())
					}
				}
			}
		}
	}
	if name != "" {
		p.addTargets(d.backend, probed)
	}
	if len(p.Places)+len(p.Targets) == 0 {
		return nil, missing("No such address", "No pool has the address \""+name+"\", and it is not probed.")
	}
	p.Users = usesOf(&status, func(pool string) bool { return pools[pool] })
	if len(p.Users) > maxUsers {
		p.Users, p.MoreUses = p.Users[:maxUsers], len(p.Users)-maxUsers
	}
	p.History = d.backend.Events(admin.EventQuery{Kinds: []admin.EventKind{admin.EventAddressDown, admin.EventAddressUp}, Address: name, Limit: maxHistory}).Events
	return &view{
		Title: name, Section: "/pools", Crumbs: p.crumbs(), JSON: address("/api/v1/targets", "address", name), Say: p.say(), Data: p,
	}, nil
}

// IsProbed reports whether health checks say anything of it.
func (p *addressPage) IsProbed() bool {
	return slices.ContainsFunc(p.Places, func(place addressPlace) bool { return place.Verdict != "" })
}

// crumbs lead to its pool, where it is in only one.
func (p *addressPage) crumbs() []link {
	crumbs := []link{{"Pools", "/pools"}}
	if len(p.Places) == 1 {
		crumbs = append(crumbs, p.Places[0].Pool)
	}
	return crumbs
}

func (p *addressPage) say() string {
	if len(p.Places) == 0 {
		return p.Address
	}
	return p.Address + " is " + p.Places[0].Standing
}

// addTargets adds the targets of addresses with their results.
func (p *addressPage) addTargets(backend admin.Backend, probed []string) {
	seen := map[string]bool{}
	for _, addr := range probed {
		for _, t := range backend.Targets(admin.TargetQuery{Address: addr}) {
			if seen[t.ID] {
				continue
			}
			seen[t.ID] = true
			if len(p.Targets) == maxTargets {
				p.More++
				continue
			}
			full, err := backend.Target(t.ID)
			if err != nil {
				continue // it is gone meanwhile
			}
			v := targetView{ID: "target-" + number(len(p.Targets)+1), TargetStatus: &full, Mark: verdictMark(full.Verdict), Notes: probeNotes(&full.ProbeStatus)}
			v.Chart = newPhaseChart(full.Results)
			if at := full.CertificateExpires; at != nil {
				v.Certificate = &certificate{*at, mark{good, "valid"}}
				switch left := time.Until(*at); {
				case left <= 0:
					v.Certificate.Mark = mark{bad, "has ended"}
				case left < verySoon:
					v.Certificate.Mark = mark{bad, "ends very soon"}
				case left < soon:
					v.Certificate.Mark = mark{warn, "ends soon"}
				}
			}
			p.Targets = append(p.Targets, v)
		}
	}
}
