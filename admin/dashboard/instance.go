package dashboard

import (
	"net/http"
	"slices"
	"time"

	"gtmd/admin"
)

// instancePage is one instance.
type instancePage struct {
	admin.InstanceStatus
	Row      instanceRow
	Business []businessRow
	Policies []policyView
	Timeline timeline
	Lines    []lineRow
	Map      worldMap
	Askers   []admin.Asker
	More     int // askers that are left out
	// Forgotten is whether there were more askers than fit in memory; AskersError why they are not known.
	Forgotten   bool
	AskersError string
}

// maxAskers is how many an instance shows.
const maxAskers = 20

// businessRow is a business domain of an instance.
type businessRow struct {
	Domain, URL string
	Mark        mark
	Reason      string
	Since       *time.Time
}

// policyView is a policy with what is decided in each family.
type policyView struct {
	ID        string // of its element
	Name      string
	Sources   []string
	Decisions []decisionView
}

// decisionView is what is decided for a family.
type decisionView struct {
	Policy    *admin.PolicyStatus
	Family    string
	Mark      mark
	Explained string
	Sets      []setView
}

// setView is a set with its addresses.
type setView struct {
	*admin.SetStatus
	Mark    mark
	Pools   []link
	Members []addressRow
	More    int // members that are left out
	Open    bool
	Steer   string // the form that overrides the set
}

// maxMembers is how many addresses of a set are shown.
const maxMembers = 24

func (d *dashboard) instance(_ http.ResponseWriter, r *http.Request) (*view, error) {
	status := d.backend.Status()
	name := r.FormValue("name")
	at := slices.IndexFunc(status.Instances, func(in admin.InstanceStatus) bool { return in.Name == name })
	if at < 0 {
		return nil, missing("No such instance", "The configuration has no instance \""+name+"\". It may have been removed or renamed.")
	}
	in := &status.Instances[at]
	p := &instancePage{InstanceStatus: *in, Row: newInstanceRow(in, instanceTone(in))}
	rows := newAddressRows(d.backend, &status)
	for i := range in.Policies {
		p.add(&in.Policies[i], rows)
	}
	sources := d.backend.Sources()
	p.Lines = linesFor(sources, in)
	p.Map = mapOf(sources, in, r.FormValue("family"), r.FormValue("range"))
	p.Timeline = d.timelineOf(in, status.Started, r.FormValue("range"), r.FormValue("family"))
	p.Business = businessRows(in, d.backend.BusinessDomains())
	if list, err := d.backend.Askers(name); err != nil {
		p.AskersError = err.Error()
	} else {
		p.Askers, p.Forgotten = list.Askers, list.Forgotten
		if len(p.Askers) > maxAskers {
			p.Askers, p.More = p.Askers[:maxAskers], len(p.Askers)-maxAskers
		}
	}
	return &view{
		Title: name, Section: "/instances", Crumbs: []link{{"Instances", "/instances"}}, JSON: "/api/v1/instances/" + pathEscape(name),
		Say: p.say(), Data: p,
	}, nil
}

// say is the state of the instance in a sentence.
func (p *instancePage) say() string {
	text := p.Name + ":"
	for _, row := range p.Row.Policies {
		text += " " + row.Name + " " + row.Families + " " + row.Mark.Text + ","
	}
	return text[:len(text)-1]
}

// add adds what is decided for a family; families of a policy follow each other.
func (p *instancePage) add(status *admin.PolicyStatus, rows *addressRows) {
	last := len(p.Policies) - 1
	if last < 0 || p.Policies[last].Name != status.Name {
		last++
		p.Policies = append(p.Policies, policyView{ID: "policy-" + number(last+1), Name: status.Name, Sources: status.Sources})
	}
	d := decisionView{Policy: status, Family: familyName(status.Family), Mark: mark{policyTone(status), status.InForce}, Explained: explained(status)}
	isOpen := d.Mark.Tone != good || len(p.InstanceStatus.Policies) <= 2
	for i := range status.Sets {
		s := &status.Sets[i]
		v := setView{SetStatus: s, Mark: setMark(s), Open: isOpen && (s.InForce || !s.Available),
			Steer: address("/steer", "instance", p.Name, "policy", status.Name, "set", s.Role)}
		for _, name := range s.Pools {
			v.Pools = append(v.Pools, link{name, poolURL(name)})
			v.Members = append(v.Members, rows.ofPool(name)...)
		}
		if len(v.Members) > maxMembers {
			v.Members, v.More = v.Members[:maxMembers], len(v.Members)-maxMembers
		}
		d.Sets = append(d.Sets, v)
	}
	p.Policies[last].Decisions = append(p.Policies[last].Decisions, d)
}

// domainMark is the state of a business domain; a loop is worse than any.
func domainMark(b *admin.BusinessDomainStatus) mark {
	if b.Loop {
		return mark{bad, "loop"}
	}
	return businessMark(b.State)
}

func businessRows(in *admin.InstanceStatus, known []admin.BusinessDomainStatus) (rows []businessRow) {
	for _, domain := range in.BusinessDomains {
		row := businessRow{Domain: host(domain), URL: address("/business", "domain", domain), Mark: businessMark(admin.ConfigNotAsked)}
		for i := range known {
			if b := &known[i]; host(b.Domain) == host(domain) && (b.Instance == in.Name || b.Instance == "") {
				row.Mark, row.Reason, row.Since = domainMark(b), b.Reason, b.Since
			}
		}
		rows = append(rows, row)
	}
	return rows
}
