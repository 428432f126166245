package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

// setFlags are those flags of "gtmd override set" that the request has in another form.
type setFlags struct {
	lasts, over time.Duration
	until       string
}

func newOverrideSet() *cobra.Command {
	var daemon client
	var request admin.OverrideRequest
	var flags setFlags
	var asJSON, isDry bool
	c := &cobra.Command{
		Use: "set up|down|drain [ADDRESS]", Short: "Force an address, a pool or a set up or down, or drain it",
		Long: `Force an address, a pool or a set of a policy up or down, or drain it: its weight falls to 0 step
by step, then it is down. ADDRESS is an address or a domain name as the configuration has it.
One that is on the same already is replaced.

What would leave an instance no available address in any set is refused, unless it is forced.
Without --for and --until it holds until it is cleared. With --dry-run nothing is changed: what
clients would get is printed, and the exit code is 1 when it would be refused.`,
		Example: `  gtmd override set down 192.0.2.1 --reason "new kernel" --for 30m
  gtmd override set drain 192.0.2.1 --pool test1 --over 5m --reason "moves to rack 3"
  gtmd override set up --pool test1 --reason "the probe is wrong" --until 2026-12-24T18:00:00Z
  gtmd override set down --pool test1 --dry-run
  gtmd override set down --instance cdn-origin --policy Global --set backup --reason "not paid"`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) > 2 {
				return wanted(c, "a state and what it is on")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			request.State = args[0]
			if len(args) > 1 {
				request.Address = args[1]
			}
			if isDry && request.Reason == "" {
				request.Reason = "dry run"
			}
			if err := flags.complete(c, &request); err != nil {
				return &exitError{exitUsage, err}
			}
			if isDry {
				return preview(c, &daemon, admin.PreviewRequest{Set: &request}, asJSON)
			}
			var result admin.OverrideResult
			if err := daemon.post(c.Context(), "/api/v1/overrides", request, &result); err != nil {
				return err
			}
			for _, w := range result.Warnings {
				fmt.Fprintln(c.ErrOrStderr(), "warning: "+w)
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), result)
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), setText(&result.Override))
			return err
		},
	}
	daemon.add(c)
	addTarget(c, &request.OverrideTarget)
	completeTarget(c, &daemon)
	c.ValidArgsFunction = completeWith(&daemon, completeOverride)
	c.Flags().StringVar(&request.Reason, "reason", "", "why, for people (needed)")
	c.Flags().DurationVar(&flags.lasts, "for", 0, "how long it holds, such as 30m")
	c.Flags().StringVar(&flags.until, "until", "", "when it ends, such as 2026-12-24T18:00:00Z")
	c.Flags().DurationVar(&flags.over, "over", time.Duration(admin.DefaultDrain), "the time that a drain takes")
	c.Flags().BoolVar(&request.Force, "force", false, "also when it leaves an instance no available address")
	addAuthor(c, &request.Author)
	c.Flags().BoolVar(&isDry, "dry-run", false, "change nothing, and print what would change")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// complete fills in a request from the flags and checks it.
func (f *setFlags) complete(c *cobra.Command, request *admin.OverrideRequest) error {
	if request.OverrideTarget == (admin.OverrideTarget{}) {
		return errNoTarget
	}
	if request.Reason == "" {
		return fmt.Errorf("want --reason: why, for those who find it later")
	}
	if c.Flags().Changed("for") {
		if request.For = admin.Duration(f.lasts); f.lasts == 0 {
			return fmt.Errorf("--for 0s: want a time, or leave it out")
		}
	}
	if c.Flags().Changed("over") {
		request.Over = (*admin.Duration)(&f.over)
	}
	if c.Flags().Changed("until") {
		at, err := time.Parse(time.RFC3339, f.until)
		if err != nil {
			return fmt.Errorf("--until %q: want a time such as %s", f.until, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		}
		request.Until = &at
	}
	request.Author = authorOr(request.Author)
	return request.Check(time.Now())
}

// setText says what was set.
func setText(o *admin.Override) string {
	text := fmt.Sprintf("%s: %s is %s%s", o.ID, o.OverrideTarget, forced(o), until(o.Expires))
	if o.Address == "" || o.Affects != 1 {
		text += fmt.Sprintf(" (%s)", plural(o.Affects, "address", "addresses"))
	}
	return text
}
