package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

func newReload() *cobra.Command {
	var daemon client
	var asJSON bool
	c := &cobra.Command{
		Use: "reload", Short: "Have the running gtmd load its configuration again",
		Long: `Have the running gtmd load its configuration again, and wait until it is served. A file with
problems changes nothing: they are listed here, the old one serves on, the exit code is 1. A geo
database that is loaded serves on when its file cannot be used now: that is a warning.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			var status admin.ConfigStatus
			if err := daemon.post(c.Context(), "/api/v1/reload", nil, &status); err != nil {
				if isUnreachable(err) {
					return err
				}
				return fmt.Errorf("refused, the old configuration serves on:\n%w", err)
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), status)
			}
			for _, w := range status.Warnings {
				fmt.Fprintln(c.ErrOrStderr(), "warning: "+w)
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "%s is served (hash %.12s, generation %d)\n", status.File, status.Hash, status.Generation)
			return err
		},
	}
	daemon.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func newSwitch() *cobra.Command {
	var daemon client
	var asJSON bool
	c := &cobra.Command{
		Use: "switch INSTANCE POLICY SET", Short: "Put a set of a policy in force now",
		Long: `Put a set (primary, backup, backup 2, ...) of a policy in force now. It stays until its
availability, or you, move it again: this is how a policy with failback = "manual" returns to
its primary, and how one that waits for failback_delay returns at once. IPv4 and IPv6 move each
by itself: what cannot is named with the reason, and the exit code is 1 only when none could.`,
		Example: "  gtmd switch cdn-origin Global primary",
		Args:    arguments(3, "an instance, a policy and a set"),
		RunE: func(c *cobra.Command, args []string) error {
			request := admin.SwitchRequest{Instance: args[0], Policy: args[1], Set: args[2]}
			var result admin.SwitchResult
			if err := daemon.post(c.Context(), "/api/v1/switch", request, &result); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), result)
			}
			_, err := fmt.Fprint(c.OutOrStdout(), switchText(result))
			return err
		},
	}
	daemon.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// switchText says what a switch did, and names the families when some did not move.
func switchText(r admin.SwitchResult) string {
	text := fmt.Sprintf("%s, %s: the %s set is in force", r.Instance, r.Policy, r.Set)
	if len(r.Kept) > 0 {
		text += " for " + strings.Join(r.Moved, " and ")
	}
	text += "\n"
	for _, kept := range r.Kept {
		text += fmt.Sprintf("not for %s: %s\n", kept.Family, kept.Reason)
	}
	return text
}
