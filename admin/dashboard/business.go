package dashboard

import (
	"net/http"
	"strings"

	"gtmd/admin"
)

// businessList is what the page of business domains shows.
type businessList struct {
	Domains []admin.BusinessDomainStatus
	Pager   pager
	Askers  []admin.Asker
	// IsMore is whether more have asked than are shown.
	IsMore bool
	// Instance narrows it to one; Asked is a name that was resolved just now.
	Instance string
	Asked    *admin.BusinessDomainStatus
	Domain   string
	Problem  string
}

// shownAskers is how many resolvers the page shows.
const shownAskers = 50

func (d *dashboard) business(_ http.ResponseWriter, r *http.Request) (*view, error) {
	query := r.URL.Query()
	l := businessList{Instance: query.Get("instance"), Domain: strings.TrimSpace(query.Get("domain"))}
	v := &view{Title: "Business domains", Section: "/business", JSON: "/api/v1/business-domains",
		Lead: "Whether what users ask for leads to the CDN, and whether the CDN asks for the access domain."}
	if l.Domain != "" {
		v.Still, v.JSON = true, address("/api/v1/chain", "domain", l.Domain)
		asked, err := d.backend.Chain(r.Context(), l.Domain)
		if err != nil {
			l.Problem, v.Status = err.Error(), http.StatusBadRequest
		} else {
			l.Asked = &asked
		}
	}
	var all []admin.BusinessDomainStatus
	for _, b := range d.backend.BusinessDomains() {
		if l.Instance == "" || l.Instance == b.Instance {
			all = append(all, b)
		}
	}
	l.Domains, l.Pager = cut(r, all)
	askers, err := d.backend.Askers(l.Instance)
	if err != nil {
		return nil, missing("There is no such instance", err.Error())
	}
	l.Askers, l.IsMore = askers.Askers, askers.Forgotten
	if len(l.Askers) > shownAskers {
		l.Askers, l.IsMore = l.Askers[:shownAskers], true
	}
	v.Data = l
	return v, nil
}

// businessMark marks the state of a business domain.
func businessMark(state string) mark {
	switch state {
	case admin.Configured:
		return mark{good, "Configured"}
	case admin.NotConfigured:
		return mark{bad, "Not configured"}
	case admin.ConfigNotAsked:
		return mark{idle, "not resolved yet"}
	default:
		return mark{warn, "cannot be resolved"}
	}
}
