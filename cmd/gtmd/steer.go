package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

func newSwitch() *cobra.Command {
	var daemon client
	var request admin.SwitchRequest
	var asJSON bool
	c := &cobra.Command{
		Use: "switch INSTANCE POLICY SET", Short: "Put a set of a policy in force now",
		Long: `Put a set (primary, backup, backup 2, ...) of a policy in force now. It stays until its
availability, or you, move it again: this is how a policy with failback = "manual" returns to
its primary, and how one that waits for failback_delay returns at once. IPv4 and IPv6 move each
by itself: what cannot is named with the reason, and the exit code is 1 only when none could.`,
		Example: "  gtmd switch cdn-origin Global primary --reason \"the origin holds\"",
		Args:    arguments(3, "an instance, a policy and a set"),
		RunE: func(c *cobra.Command, args []string) error {
			request.Instance, request.Policy, request.Set, request.Author = args[0], args[1], args[2], authorOr(request.Author)
			if err := request.Check(); err != nil {
				return &exitError{exitUsage, err}
			}
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
	c.ValidArgsFunction = completeWith(&daemon, completeSwitch)
	c.Flags().StringVar(&request.Reason, "reason", "", "why, for people")
	addAuthor(c, &request.Author)
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
