package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

func newReload() *cobra.Command {
	var daemon client
	var asJSON, quiet bool
	c := &cobra.Command{
		Use: "reload", Short: "Have the running gtmd load its configuration again",
		Long: `Have the running gtmd load its configuration again, wait until it is served, and say what has changed
for clients. A file with problems changes nothing: they are listed here, the old one serves on, the exit
code is 1. A geo database that is loaded serves on when its file cannot be used now: that is a warning.

What would change is told before by gtmd diff.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			var reply admin.ReloadReply
			text := func(took string) string {
				return "loading for " + took + ": new addresses are probed first, the old configuration serves on"
			}
			if quiet {
				text = nil
			}
			err := showing(c.ErrOrStderr(), text, func() error {
				return daemon.post(c.Context(), "/api/v1/reload", nil, &reply)
			})
			switch {
			case err != nil && isUnreachable(err):
				return err
			case err != nil:
				return fmt.Errorf("refused, the old configuration serves on:\n%w", err)
			case asJSON:
				return printJSON(c.OutOrStdout(), reply)
			}
			for _, w := range reply.Warnings {
				fmt.Fprintln(c.ErrOrStderr(), "warning: "+w)
			}
			if quiet {
				return nil
			}
			if _, err := fmt.Fprintf(c.OutOrStdout(), "%s is served (hash %.12s, generation %d)\n", reply.File, reply.Hash, reply.Generation); err != nil {
				return err
			}
			return printChanges(c.OutOrStdout(), &reply.Difference, false)
		},
	}
	daemon.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print warnings and errors only")
	return c
}

// patienceStep is how long work may take before something is said, and between two lines.
const patienceStep = 3 * time.Second

// showing does some work and, when that takes long, says from time to time how long it has taken. A nil text says nothing.
func showing(out io.Writer, text func(took string) string, work func() error) error {
	if text == nil {
		return work()
	}
	done, begin := make(chan struct{}), time.Now()
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(patienceStep)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				fmt.Fprintln(out, text(span(time.Since(begin))))
			}
		}
	})
	defer telling.Wait()
	defer close(done)
	return work()
}
