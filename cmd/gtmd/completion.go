package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

// completionLimit is how long a shell waits for names of the running gtmd.
const completionLimit = time.Second

// completeWith completes arguments and values of flags with names that the running gtmd has. When it cannot be reached there are none.
func completeWith(daemon *client, names func(s *admin.Status, c *cobra.Command, args []string) []string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), completionLimit)
		defer cancel()
		var status admin.Status
		if err := daemon.get(ctx, "/api/v1/status", nil, &status); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(&status, c, args), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlag is completeWith for the value of a flag.
func completeFlag(c *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // the command has no such flag
	}
}

// completeTarget completes the flags of addTarget.
func completeTarget(c *cobra.Command, daemon *client) {
	completeFlag(c, "pool", completeWith(daemon, func(s *admin.Status, _ *cobra.Command, _ []string) []string { return poolsOf(s) }))
	completeFlag(c, "instance", completeWith(daemon, func(s *admin.Status, _ *cobra.Command, _ []string) []string { return instancesOf(s) }))
	value := func(c *cobra.Command, flag string) string { return c.Flag(flag).Value.String() }
	completeFlag(c, "policy", completeWith(daemon, func(s *admin.Status, c *cobra.Command, _ []string) []string {
		return policiesOf(s, value(c, "instance"))
	}))
	completeFlag(c, "set", completeWith(daemon, func(s *admin.Status, c *cobra.Command, _ []string) []string {
		return setsOf(s, value(c, "instance"), value(c, "policy"))
	}))
}

// completeDrills completes the ID of a drill, or only of one that runs.
func completeDrills(daemon *client, running bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) (ids []cobra.Completion, _ cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), completionLimit)
		defer cancel()
		list, err := readDrills(ctx, daemon)
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for i := range list.Drills {
			if !running || list.Drills[i].State == admin.DrillRunning {
				ids = append(ids, list.Drills[i].ID)
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeGroups completes the name of an alert group.
func completeGroups(daemon *client) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), completionLimit)
		defer cancel()
		var status admin.AlertStatus
		if err := daemon.get(ctx, "/api/v1/alerts", nil, &status); err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for i := range status.Groups {
			names = append(names, status.Groups[i].Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeOverride completes a state and an address.
func completeOverride(s *admin.Status, _ *cobra.Command, args []string) []string {
	switch len(args) {
	case 0:
		return []string{admin.OverrideUp, admin.OverrideDown, admin.OverrideDrain}
	case 1:
		return addressesOf(s)
	}
	return nil
}

// completeAddress completes an address.
func completeAddress(s *admin.Status, _ *cobra.Command, args []string) []string {
	if len(args) > 0 {
		return nil
	}
	return addressesOf(s)
}

// completeProbe completes an address or a pool.
func completeProbe(s *admin.Status, _ *cobra.Command, args []string) []string {
	if len(args) > 0 {
		return nil
	}
	return append(addressesOf(s), poolsOf(s)...)
}

// completeDomains completes a business domain.
func completeDomains(s *admin.Status, _ *cobra.Command, args []string) (names []string) {
	for i := range s.Instances {
		for _, name := range s.Instances[i].BusinessDomains {
			if len(args) == 0 {
				names = append(names, plain(name))
			}
		}
	}
	return names
}

// completeSwitch completes an instance, a policy of it, and a set of that.
func completeSwitch(s *admin.Status, _ *cobra.Command, args []string) []string {
	switch len(args) {
	case 0:
		return instancesOf(s)
	case 1:
		return policiesOf(s, args[0])
	case 2:
		return setsOf(s, args[0], args[1])
	}
	return nil
}

// completeNames completes an access domain or an alias.
func completeNames(s *admin.Status, _ *cobra.Command, args []string) (names []string) {
	if len(args) > 0 {
		return nil
	}
	for i := range s.Instances {
		for _, name := range append([]string{s.Instances[i].AccessDomain}, s.Instances[i].Aliases...) {
			names = append(names, plain(name))
		}
	}
	return names
}

// completeSuppositions completes what can be supposed, with each state.
func completeSuppositions(s *admin.Status, _ *cobra.Command, _ []string) (all []string) {
	add := func(what string) {
		for _, state := range []string{"up", "down", "drain"} {
			all = append(all, what+"="+state)
		}
	}
	for _, name := range poolsOf(s) {
		add("pool:" + name)
	}
	for _, address := range addressesOf(s) {
		add(address)
	}
	for i := range s.Instances {
		in := &s.Instances[i]
		for _, p := range policiesOf(s, in.Name) {
			for _, set := range setsOf(s, in.Name, p) {
				add("set:" + in.Name + "/" + p + "/" + set)
			}
		}
	}
	return all
}

func poolsOf(s *admin.Status) (names []string) {
	for i := range s.Pools {
		names = append(names, s.Pools[i].Name)
	}
	return names
}

func addressesOf(s *admin.Status) (all []string) {
	for i := range s.Pools {
		for j := range s.Pools[i].Addresses {
			all = append(all, s.Pools[i].Addresses[j].Address)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func instancesOf(s *admin.Status) (names []string) {
	for i := range s.Instances {
		names = append(names, s.Instances[i].Name)
	}
	return names
}

func policiesOf(s *admin.Status, instance string) (names []string) {
	for i := range s.Instances {
		for j := range s.Instances[i].Policies {
			if name := s.Instances[i].Policies[j].Name; s.Instances[i].Name == instance && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func setsOf(s *admin.Status, instance, policy string) (roles []string) {
	for i := range s.Instances {
		for j := range s.Instances[i].Policies {
			if p := &s.Instances[i].Policies[j]; s.Instances[i].Name == instance && p.Name == policy {
				for k := range p.Sets {
					if !slices.Contains(roles, p.Sets[k].Role) {
						roles = append(roles, p.Sets[k].Role)
					}
				}
			}
		}
	}
	return roles
}
