package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// refuseQuery replies what is wrong with a query, and returns whether something is.
func refuseQuery(w http.ResponseWriter, q *query) bool {
	err := q.err()
	if err != nil {
		replyError(w, http.StatusBadRequest, err)
	}
	return err != nil
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, s.backend.Status())
}

func (s *Server) instances(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, "limit", "offset")
	window := q.window()
	if refuseQuery(w, q) {
		return
	}
	list := InstanceList{}
	list.Instances, list.Part = cut(s.backend.Status().Instances, window)
	reply(w, http.StatusOK, list)
}

func (s *Server) instance(w http.ResponseWriter, r *http.Request) {
	all := s.backend.Status().Instances
	i := slices.IndexFunc(all, func(i InstanceStatus) bool { return i.Name == r.PathValue("name") })
	if i < 0 {
		replyError(w, http.StatusNotFound, fmt.Errorf("there is no instance %q", oneLine(r.PathValue("name"), maxName)))
		return
	}
	reply(w, http.StatusOK, all[i])
}

// each calls a function for each policy of the instances, of one only when a name is given.
func each(all []InstanceStatus, instance string, f func(*InstanceStatus, *PolicyStatus)) {
	for i := range all {
		if instance != "" && all[i].Name != instance {
			continue
		}
		for p := range all[i].Policies {
			f(&all[i], &all[i].Policies[p])
		}
	}
}

func (s *Server) policies(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, "instance", "limit", "offset")
	window, instance := q.window(), q.text("instance")
	if refuseQuery(w, q) {
		return
	}
	var all []PolicyEntry
	each(s.backend.Status().Instances, instance, func(i *InstanceStatus, p *PolicyStatus) {
		all = append(all, PolicyEntry{Instance: i.Name, AccessDomain: i.AccessDomain, PolicyStatus: *p})
	})
	list := PolicyList{}
	list.Policies, list.Part = cut(all, window)
	reply(w, http.StatusOK, list)
}

func (s *Server) sets(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, "instance", "policy", "pool", "limit", "offset")
	window, instance, policy, pool := q.window(), q.text("instance"), q.text("policy"), q.text("pool")
	if refuseQuery(w, q) {
		return
	}
	var all []SetEntry
	each(s.backend.Status().Instances, instance, func(i *InstanceStatus, p *PolicyStatus) {
		for _, set := range p.Sets {
			if (policy == "" || p.Name == policy) && (pool == "" || slices.Contains(set.Pools, pool)) {
				all = append(all, SetEntry{Instance: i.Name, Policy: p.Name, Family: p.Family, SetStatus: set})
			}
		}
	})
	list := SetList{}
	list.Sets, list.Part = cut(all, window)
	reply(w, http.StatusOK, list)
}

func (s *Server) pools(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, "limit", "offset")
	window := q.window()
	if refuseQuery(w, q) {
		return
	}
	list := PoolList{}
	list.Pools, list.Part = cut(s.backend.Status().Pools, window)
	reply(w, http.StatusOK, list)
}

func (s *Server) pool(w http.ResponseWriter, r *http.Request) {
	all := s.backend.Status().Pools
	i := slices.IndexFunc(all, func(p PoolStatus) bool { return p.Name == r.PathValue("name") })
	if i < 0 {
		replyError(w, http.StatusNotFound, fmt.Errorf("there is no pool %q", oneLine(r.PathValue("name"), maxName)))
		return
	}
	reply(w, http.StatusOK, all[i])
}

func (s *Server) addresses(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, "pool", "address", "available", "limit", "offset")
	window, pool, address, available := q.window(), q.text("pool"), q.text("address"), q.truth("available")
	if refuseQuery(w, q) {
		return
	}
	var all []AddressStatus
	for _, p := range s.backend.Status().Pools {
		if pool != "" && p.Name != pool {
			continue
		}
		for _, a := range p.Addresses {
			if (address == "" || strings.EqualFold(a.Address, address)) && (available == nil || a.Available == *available) {
				a.Pool = p.Name
				all = append(all, a)
			}
		}
	}
	list := AddressList{}
	list.Addresses, list.Part = cut(all, window)
	reply(w, http.StatusOK, list)
}

func (s *Server) targets(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, "pool", "address", "health_check", "verdict", "limit", "offset")
	window := q.window()
	wanted := TargetQuery{Pool: q.text("pool"), Address: q.text("address"), HealthCheck: q.text("health_check"), Verdict: q.oneOf("verdict", "up", "down", "unknown")}
	if refuseQuery(w, q) {
		return
	}
	list := TargetList{}
	list.Targets, list.Part = cut(s.backend.Targets(wanted), window)
	reply(w, http.StatusOK, list)
}

func (s *Server) target(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, "id")
	id := q.text("id")
	if id == "" {
		q.problem("id: want that of a target, as /api/v1/targets lists them")
	}
	if refuseQuery(w, q) {
		return
	}
	target, err := s.backend.Target(id)
	if err != nil {
		replyError(w, http.StatusNotFound, err)
		return
	}
	reply(w, http.StatusOK, target)
}

func (s *Server) lines(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, "limit", "offset")
	window := q.window()
	if refuseQuery(w, q) {
		return
	}
	list := SourceList{}
	list.Lines, list.Part = cut(s.backend.Sources(), window)
	reply(w, http.StatusOK, list)
}

func (s *Server) switches(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, "instance", "limit", "offset")
	window, instance := q.window(), q.text("instance")
	if refuseQuery(w, q) {
		return
	}
	var all []Switch
	for _, one := range s.backend.Status().Switches {
		if instance == "" || one.Instance == instance {
			all = append(all, one)
		}
	}
	list := SwitchList{}
	list.Switches, list.Part = cut(all, window)
	reply(w, http.StatusOK, list)
}

func (s *Server) drills(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, "limit", "offset")
	window := q.window()
	if refuseQuery(w, q) {
		return
	}
	list := DrillList{}
	list.Drills, list.Part = cut(s.backend.Drills(), window)
	reply(w, http.StatusOK, list)
}

// eventKeys are those of a query for events.
var eventKeys = []string{"after", "before", "kind", "instance", "pool", "address", "text", "since", "until"}

// eventQuery reads a query for events, but for its limit.
func eventQuery(q *query) EventQuery {
	now := time.Now()
	wanted := EventQuery{
		After: q.number("after", 1<<63), Before: q.number("before", 1<<63), Instance: q.text("instance"), Pool: q.text("pool"),
		Address: q.text("address"), Text: q.text("text"), Since: q.time("since", now), Until: q.time("until", now),
	}
	for _, kind := range q.values["kind"] {
		if !slices.Contains(EventKind("").Values(), EventKind(kind)) {
			q.problem("kind %q: there is no such kind of event; one is %s", kind, EventSwitch)
		}
		wanted.Kinds = append(wanted.Kinds, EventKind(kind))
	}
	return wanted
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, append(slices.Clone(eventKeys), "limit")...)
	wanted := eventQuery(q)
	wanted.Limit = int(q.number("limit", MaxEvents))
	if refuseQuery(w, q) {
		return
	}
	list := s.backend.Events(wanted)
	list.Events = append([]Event{}, list.Events...)
	reply(w, http.StatusOK, list)
}

func (s *Server) configText(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, s.backend.ConfigText())
}

func (s *Server) businessDomains(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, "instance", "limit", "offset")
	window, instance := q.window(), q.text("instance")
	if refuseQuery(w, q) {
		return
	}
	all := slices.DeleteFunc(slices.Clone(s.backend.BusinessDomains()), func(d BusinessDomainStatus) bool { return instance != "" && d.Instance != instance })
	list := BusinessDomainList{}
	list.Domains, list.Part = cut(all, window)
	reply(w, http.StatusOK, list)
}

func (s *Server) chain(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, "domain")
	domain := q.text("domain")
	if domain == "" {
		q.problem("domain: want the name to resolve")
	}
	if refuseQuery(w, q) {
		return
	}
	status, err := s.backend.Chain(r.Context(), domain)
	if err != nil {
		replyError(w, http.StatusBadRequest, err)
		return
	}
	reply(w, http.StatusOK, status)
}

func (s *Server) askers(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, "instance", "limit", "offset")
	window, instance := q.window(), q.text("instance")
	if refuseQuery(w, q) {
		return
	}
	list, err := s.backend.Askers(instance)
	if err != nil {
		replyError(w, http.StatusNotFound, err)
		return
	}
	list.Askers, list.Part = cut(list.Askers, window)
	reply(w, http.StatusOK, list)
}

func (s *Server) alerts(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, s.backend.Alerts())
}
