package config

import (
	"slices"

	"gtmd/alert"
	"gtmd/policy"
)

// AlertChoices is what each instance wants told to whom: nil where it says nothing, and empty where it wants nobody told.
func (c *Config) AlertChoices() map[string][]alert.Choice {
	all := make(map[string][]alert.Choice, len(c.File.Instances))
	for i := range c.File.Instances {
		instance := &c.File.Instances[i]
		var list []alert.Choice
		if instance.AlertGroups != nil || instance.Alerts != nil {
			list = []alert.Choice{}
		}
		for _, group := range instance.AlertGroups {
			list = append(list, alert.Choice{Group: group, Resolved: true})
		}
		for _, o := range instance.Alerts {
			list = append(list, alert.Choice{Group: o.Group, Events: kinds(o.Events), Methods: o.Methods, Resolved: o.Resolved})
		}
		all[instance.Name] = list
	}
	return all
}

func kinds(names []string) []alert.Kind {
	out := make([]alert.Kind, len(names))
	for i, name := range names {
		out[i] = alert.Kind(name)
	}
	return out
}

// checkAlerts checks the alert groups, and what instances say of them. Instances come by their names, the files of methods by
// their paths.
func (k *checker) checkAlerts() {
	groups := k.config.File.AlertGroups
	names := make([]string, len(groups))
	for i := range groups {
		at := element("alert_group", i)
		names[i] = groups[i].Name
		k.checkName(at+".name", "alert group", groups[i].Name)
		k.checkMethods(&groups[i], at)
	}
	k.alertGroups = k.unique("alert group", names, func(i int) string { return element("alert_group", i) + ".name" })
	used := map[string]bool{}
	for i := range k.config.File.Instances {
		instance := &k.config.File.Instances[i]
		at := element("instance", i)
		for j, group := range instance.AlertGroups {
			path := element(at+".alert_groups", j)
			k.lookup(k.alertGroups, "alert group", "[[alert_group]]", group, path)
			if slices.Contains(instance.AlertGroups[:j], group) {
				k.errorf(path, "alert group %s is in this list already: want it once", quote(group))
			}
			used[group] = true
		}
		for j := range instance.Alerts {
			k.checkChoice(instance, &instance.Alerts[j], element(at+".alert", j))
			used[instance.Alerts[j].Group] = true
		}
	}
	for i := range groups {
		if g := &groups[i]; !g.Default && !g.General && !used[g.Name] {
			k.warnf(element("alert_group", i), "alert group %s is told of nothing: no instance names it, and default and general are false", quote(g.Name))
		}
	}
}

// checkMethods checks the methods of a group, and makes the paths of their files lead there from the working directory.
func (k *checker) checkMethods(g *alert.GroupOptions, at string) {
	labels := make([]string, len(g.Methods))
	for j := range g.Methods {
		m := &g.Methods[j]
		path := element(at+".method", j)
		labels[j] = m.Label()
		k.checkName(path+".name", "method", m.Name)
		for _, f := range m.Files() {
			k.resolve(f.Path, path+"."+f.Key)
		}
		isGood := true
		m.Validate(func(string, string) { isGood = false }) // which decoding has told
		if isGood && m.Kind != "" {
			m.Check(func(key, message string) {
				k.errorf(path+"."+key, "%s in %s: %s", key, titled("[[alert_group.method]]", m.Label()), message)
			})
		}
	}
	k.unique("method", labels, func(j int) string {
		path := element(at+".method", j)
		if g.Methods[j].Name == "" { // it goes by its kind
			return path + ".kind"
		}
		return path + ".name"
	})
}

// checkChoice checks one [[instance.alert]].
func (k *checker) checkChoice(instance *policy.InstanceOptions, o *policy.AlertOptions, at string) {
	if slices.Contains(instance.AlertGroups, o.Group) {
		k.errorf(at+".group", "alert group %s is in alert_groups already, and told of everything: remove it there or here", quote(o.Group))
	}
	i, isKnown := k.lookup(k.alertGroups, "alert group", "[[alert_group]]", o.Group, at+".group")
	values := alert.Kind("").Values()
	for j, name := range o.Events {
		path := element(at+".events", j)
		if !slices.Contains(values, name) {
			k.errorf(path, "%s is unknown: want %s%s", quote(name), enumerate(quoted(values), "or"), didYouMean(name, values))
			continue
		}
		if complaint := alert.LonelyEnd(kinds(o.Events), alert.Kind(name)); complaint != "" {
			k.errorf(path, "%s", complaint)
		}
		if isKnown {
			if of := k.config.File.AlertGroups[i].Events; len(of) > 0 && !slices.Contains(of, alert.Kind(name).Begin()) {
				k.warnf(path, "alert group %s is told of no %s, as its events say", quote(o.Group), quote(name))
			}
		}
	}
	if !isKnown {
		return
	}
	var labels []string
	for j := range k.config.File.AlertGroups[i].Methods {
		labels = append(labels, k.config.File.AlertGroups[i].Methods[j].Label())
	}
	for j, name := range o.Methods {
		if !slices.Contains(labels, name) {
			k.errorf(element(at+".methods", j), "alert group %s has no method %s: want %s%s", quote(o.Group), quote(name), enumerate(quoted(labels), "or"), didYouMean(name, labels))
		}
	}
}
