package dashboard

import (
	"net/http"
	"time"

	"gtmd/admin"
)

// overview is what is not normal, then what there is.
type overview struct {
	Conditions []condition
	// Normal is since when everything is normal, where it is.
	Normal    time.Time
	Counts    []count
	Instances *instanceList
	Switches  []switchRow
	Server    admin.Status // for what runs; its lists are not shown
}

// A count is how many there are of something, and how many of them are well.
type count struct {
	Text, URL string
	Of, All   int
	Note      string
}

// switchRow is one change of a set in force.
type switchRow struct {
	admin.Switch
	URL    string
	Family string
}

// maxSwitches is how many the overview shows.
const maxSwitches = 8

func (d *dashboard) overview(_ http.ResponseWriter, r *http.Request) (*view, error) {
	s := d.state()
	o := &overview{Conditions: s.conditions(), Counts: s.counts(), Instances: listInstances(r, &s.Status), Server: s.Status}
	for _, sw := range s.Switches[:min(len(s.Switches), maxSwitches)] {
		o.Switches = append(o.Switches, switchRow{sw, instanceURL(sw.Instance), familyName(sw.Family)})
	}
	v := &view{Title: "Overview", Section: "/", JSON: "/api/v1/status", Data: o}
	if len(o.Conditions) == 0 {
		o.Normal = s.lastChange()
		v.Say = "Everything is normal."
	} else {
		v.Say = plural(len(o.Conditions), "thing is", "things are") + " not normal. First: " + o.Conditions[0].Title
	}
	return v, nil
}

// counts are of instances, policies, addresses and pools.
func (s *state) counts() []count {
	instances := count{Text: "instances", URL: "/instances", All: len(s.Instances), Note: "normal"}
	policies := count{Text: "policies by family", URL: "/instances", Note: "as preferred"}
	addresses := count{Text: "addresses", URL: "/pools", Note: "available"}
	pools := count{Text: "pools", URL: "/pools", All: len(s.Pools), Note: "whole"}
	for i := range s.Instances {
		in := &s.Instances[i]
		if instanceTone(in) == good {
			instances.Of++
		}
		policies.All += len(in.Policies)
		for j := range in.Policies {
			if policyTone(&in.Policies[j]) == good {
				policies.Of++
			}
		}
	}
	for i := range s.Pools {
		available := 0
		for j := range s.Pools[i].Addresses {
			if s.Pools[i].Addresses[j].Available {
				available++
			}
		}
		addresses.Of, addresses.All = addresses.Of+available, addresses.All+len(s.Pools[i].Addresses)
		if available == len(s.Pools[i].Addresses) {
			pools.Of++
		}
	}
	all := []count{instances, policies, addresses, pools}
	for i, one := range []string{"instance", "policy", "address", "pool"} {
		if all[i].All == 1 {
			all[i].Text = one
		}
	}
	return all
}

// lastChange is since when everything is as it is.
func (s *state) lastChange() time.Time {
	last := s.Started
	later := func(t time.Time) {
		if t.After(last) {
			last = t
		}
	}
	for i := range s.Instances {
		for j := range s.Instances[i].Policies {
			later(s.Instances[i].Policies[j].Since)
		}
	}
	for i := range s.Pools {
		for j := range s.Pools[i].Addresses {
			if since := s.Pools[i].Addresses[j].Since; since != nil {
				later(*since)
			}
		}
	}
	return last
}
