package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

func newTop() *cobra.Command {
	var daemon client
	var interval time.Duration
	c := &cobra.Command{
		Use:   "top",
		Short: "Watch the running gtmd: what is not normal, the worst first",
		Long: `Show on one screen, anew every second, what is not normal about the running gtmd, the worst first, with
the numbers of what is and the last switches. Ctrl-C ends it, and the terminal is as it was. Without a
terminal it prints one text after the other.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkInterval(interval); err != nil {
				return err
			}
			return watchStatus(c, &daemon, interval, func(s *admin.Status, more []trouble, height int) []string {
				d := digestOf(s, more...)
				return d.lines(height)
			})
		},
	}
	daemon.add(c)
	c.Flags().DurationVarP(&interval, "interval", "i", time.Second, "how often")
	return c
}

// watchStatus shows the status again and again. That gtmd cannot be reached is shown, too: it may come back.
func watchStatus(c *cobra.Command, daemon *client, interval time.Duration, lines func(s *admin.Status, more []trouble, height int) []string) error {
	s := screen{out: c.OutOrStdout(), interval: interval}
	s.render = func(ctx context.Context, height int) []string {
		var status admin.Status
		head := time.Now().Format(time.DateTime)
		more, err := readStatus(ctx, daemon, &status)
		if err != nil {
			return []string{head, "", err.Error()}
		}
		if height == 0 {
			height = unlimited
		}
		return append([]string{head}, lines(&status, more, height-1)...)
	}
	return s.run(c.Context())
}

// unlimited is the height of no terminal.
const unlimited = 1 << 20
