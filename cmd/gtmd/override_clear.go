package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

func newOverrideClear() *cobra.Command {
	var daemon client
	var request admin.ClearRequest
	var asJSON, isDry bool
	c := &cobra.Command{
		Use: "clear [ID|ADDRESS]", Short: "End overrides: what the probes say counts again",
		Long: `End an override: by its ID, or by what it is on, named as for "gtmd override set". With --all every
one ends. What the probes say counts again at once. With --dry-run, which takes an ID, nothing is
changed: what clients would get is printed.`,
		Example: `  gtmd override clear o17
  gtmd override clear o17 --dry-run
  gtmd override clear 192.0.2.1 --pool test1
  gtmd override clear --instance cdn-origin --policy Global --set backup
  gtmd override clear --all`,
		Args: atMost(1, "one ID or address"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := completeClear(&request, args); err != nil {
				return &exitError{exitUsage, err}
			}
			if isDry && request.ID == "" {
				return &exitError{exitUsage, fmt.Errorf("--dry-run: want the ID of one override, as \"gtmd override list\" shows it")}
			}
			if isDry {
				return preview(c, &daemon, admin.PreviewRequest{Clear: request.ID}, asJSON)
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
	completeTarget(c, &daemon)
	c.ValidArgsFunction = completeWith(&daemon, func(s *admin.Status, _ *cobra.Command, args []string) (ids []string) {
		for i := range s.Overrides {
			if len(args) == 0 {
				ids = append(ids, s.Overrides[i].ID)
			}
		}
		return ids
	})
	c.Flags().BoolVar(&request.All, "all", false, "end every override")
	addAuthor(c, &request.Author)
	c.Flags().BoolVar(&isDry, "dry-run", false, "change nothing, and print what would change")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// completeClear fills in a request from the arguments and checks it.
func completeClear(request *admin.ClearRequest, args []string) error {
	switch {
	case len(args) == 1 && admin.IsOverrideID(args[0]):
		request.ID = args[0]
	case len(args) == 1:
		request.Address = args[0]
	}
	request.Author = authorOr(request.Author)
	if *request == (admin.ClearRequest{Author: request.Author}) {
		return errors.New("want what to clear: an ID, an ADDRESS, --pool, --instance with --policy and --set, or --all")
	}
	return request.Check()
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
