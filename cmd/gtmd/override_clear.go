package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

func newOverrideClear() *cobra.Command {
	var daemon client
	var request admin.ClearRequest
	var asJSON bool
	c := &cobra.Command{
		Use: "clear [ID|ADDRESS]", Short: "End overrides: what the probes say counts again",
		Long: `End an override: by its ID, or by what it is on, named as for "gtmd override set". With --all every
one ends. What the probes say counts again at once.`,
		Example: `  gtmd override clear o17
  gtmd override clear 192.0.2.1 --pool test1
  gtmd override clear --instance cdn-origin --policy Global --set backup
  gtmd override clear --all`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return wanted(c, "one ID or address")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && admin.IsOverrideID(args[0]):
				request.ID = args[0]
			case len(args) == 1:
				request.Address = args[0]
			}
			request.Author = authorOr(request.Author)
			if request == (admin.ClearRequest{Author: request.Author}) {
				return &exitError{exitUsage, fmt.Errorf("want what to clear: an ID, an ADDRESS, --pool, --instance with --policy and --set, or --all")}
			}
			if err := request.Check(); err != nil {
				return &exitError{exitUsage, err}
			}
			var result admin.ClearResult
			if err := daemon.post(c.Context(), "/api/v1/overrides/clear", request, &result); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), result)
			}
			for _, w := range result.Warnings {
				fmt.Fprintln(c.ErrOrStderr(), "warning: "+w)
			}
			_, err := fmt.Fprint(c.OutOrStdout(), clearText(result.Cleared))
			return err
		},
	}
	daemon.add(c)
	addTarget(c, &request.OverrideTarget)
	c.Flags().BoolVar(&request.All, "all", false, "end every override")
	addAuthor(c, &request.Author)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// clearText says what was ended.
func clearText(all []admin.Override) string {
	if len(all) == 0 {
		return "there were no overrides\n"
	}
	text := ""
	for i := range all {
		o := &all[i]
		text += fmt.Sprintf("%s: %s is no longer %s (by %s, %s ago: %s)\n", o.ID, o.OverrideTarget, forced(o), o.Author, age(o.Since), o.Reason)
	}
	return text
}
