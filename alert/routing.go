package alert

import "slices"

// routing says which routes are told of an event.
type routing struct {
	// general are those that are told of what concerns no instance, byDefault those told of instances that choose nothing.
	general, byDefault []choice
	instances          map[string][]choice
}

// choice is a route with what is told by it.
type choice struct {
	route    *route
	events   []Kind // Empty: all that the route has.
	resolved bool
}

// wants tells whether a choice has an event of a kind, or its end.
func (c *choice) wants(kind Kind, isEnd bool) bool {
	group, method := c.route.group, c.route.method
	switch {
	case !takes(c.events, c.resolved, kind, isEnd), !takes(group.Events, group.Resolved, kind, isEnd):
		return false
	case isEnd: // A method names beginnings; its ends go with them.
		return takes(method.Events, true, kind, true)
	}
	return takes(method.Events, true, kind, false)
}

// newRouting sorts out the choices of instances.
func newRouting(routes []*route, choices map[string][]Choice) *routing {
	r := &routing{instances: make(map[string][]choice, len(choices))}
	for _, to := range routes {
		to.reach = 0
		if to.group.General {
			r.general = append(r.general, choice{to, nil, true})
		}
		if to.group.Default {
			r.byDefault = append(r.byDefault, choice{to, nil, true})
		}
	}
	for instance, list := range choices {
		of := r.byDefault
		if list != nil {
			of = nil
		}
		for _, c := range list {
			for _, to := range routes {
				if to.name.group == c.Group && (len(c.Methods) == 0 || slices.Contains(c.Methods, to.name.method)) {
					of = append(of, choice{to, c.Events, c.Resolved})
				}
			}
		}
		r.instances[instance] = of
		var counted []*route
		for _, c := range of {
			if !slices.Contains(counted, c.route) {
				counted = append(counted, c.route)
				c.route.reach++
			}
		}
	}
	return r
}

// share is what a route is told of an event.
type share struct {
	route     *route
	instances []string
	isEndless bool
}

// shares are the routes that are told of an event that begins.
func (r *routing) shares(e *Event) []share {
	var all []share
	kind := Kind(e.Kind)
	give := func(of []choice, instance string) {
		for i := range of {
			c := &of[i]
			if !c.wants(kind, false) {
				continue
			}
			j := slices.IndexFunc(all, func(s share) bool { return s.route == c.route })
			if j < 0 {
				j = len(all)
				all = append(all, share{route: c.route, isEndless: true})
			}
			if s := &all[j]; instance != "" && (len(s.instances) == 0 || s.instances[len(s.instances)-1] != instance) {
				s.instances = append(s.instances, instance)
			}
			if c.wants(kind, true) {
				all[j].isEndless = false
			}
		}
	}
	if len(e.Instances) == 0 {
		give(r.general, "")
	}
	for _, instance := range e.Instances {
		of, known := r.instances[instance]
		if !known {
			of = r.byDefault
		}
		give(of, instance)
	}
	return all
}
