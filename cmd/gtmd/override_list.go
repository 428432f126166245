package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

func newOverrideList() *cobra.Command {
	var daemon client
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the overrides in force", Args: noArguments,
		Long: `List the overrides in force, the oldest first: on what, who set them, why, and how long they hold
yet. "gtmd status" shows beside them what the probes say.`,
		RunE: func(c *cobra.Command, _ []string) error {
			var list admin.OverrideList
			if err := daemon.get(c.Context(), "/api/v1/overrides", nil, &list); err != nil {
				return err
			}
			switch out := c.OutOrStdout(); {
			case asJSON:
				return printJSON(out, list)
			case len(list.Overrides) == 0:
				_, err := fmt.Fprintln(out, "there are no overrides")
				return err
			default:
				w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
				printOverrides(w, list.Overrides)
				return w.Flush()
			}
		},
	}
	daemon.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// printOverrides writes a table of overrides.
func printOverrides(w io.Writer, all []admin.Override) {
	fmt.Fprintf(w, "OVERRIDE\tSTATE\tON\tADDRESSES\tFOR\tENDS\tBY\tREASON\n")
	for i := range all {
		o := &all[i]
		state := o.State
		if o.Phase != "" {
			state = o.Phase
		}
		if o.Forced {
			state += " (with force)"
		}
		if o.Drill != "" {
			state += " (drill)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", o.ID, state, o.OverrideTarget, o.Affects, age(o.Since), left(o.Expires), o.Author, o.Reason)
	}
}
