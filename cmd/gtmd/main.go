// Command gtmd is a self-hosted Global Traffic Manager: an authoritative DNS server that answers an access domain with
// origins that pass health checks, chosen by where the client is.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes, for scripts.
const (
	exitOK          = 0
	exitNegative    = 1 // a check failed, a start failed, or the answer is no
	exitUsage       = 2
	exitUnreachable = 3 // the daemon cannot be reached
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:]))
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitNegative
	var failed *exitError
	if errors.As(err, &failed) {
		code = failed.code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(os.Stderr, "gtmd: "+text)
	}
	if code == exitUsage {
		fmt.Fprintln(os.Stderr, "See \"gtmd help\".")
	}
	return code
}

// exitError is an error with an exit code of its own. A nil err has been told already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "gtmd",
		Short: "A Global Traffic Manager: DNS that sends clients to healthy origins",
		Long: `gtmd answers the access domain of a CDN (or of anything that resolves names) with the
addresses of origins that pass health checks, chosen by where the client is, from primary
and backup address pool sets.

Exit codes: 0 ok; 1 a check or a start failed, or the answer is no; 2 wrong usage;
3 the running gtmd cannot be reached.`,
		SilenceUsage: true, SilenceErrors: true, SuggestionsMinimumDistance: 2,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitUsage, err} })
	root.AddCommand(newRun(), newCheck(), newStatus(), newTop(), newEvents(), newAlert(), newExplain(), newDiff(), newChain(), newSwitch(), newOverride(),
		newDrill(), newProbe(), newReload(), newSelftest(), newInit(), newToken(), newDocs(), newDemo(), newGeo(), newLines(), newVersion())
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args, c.RunE = noArguments, func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
	return root
}

// noArguments refuses arguments: of a command with others below it, as one that is not there.
func noArguments(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case !c.HasSubCommands():
		return &exitError{exitUsage, fmt.Errorf("%s takes no argument: %q is one too many", c.CommandPath(), args[0])}
	}
	text := ""
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		text = fmt.Sprintf(", did you mean %q?", strings.Join(near, `" or "`))
	}
	return &exitError{exitUsage, fmt.Errorf("unknown command %q for %q%s", args[0], c.CommandPath(), text)}
}

// atMost wants at most n arguments, called so.
func atMost(n int, names string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return wanted(c, names)
		}
		return nil
	}
}

// arguments wants exactly n arguments, called so.
func arguments(n int, names string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return wanted(c, names)
		}
		return nil
	}
}

// someArguments wants at least one argument, called so.
func someArguments(names string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return wanted(c, names)
		}
		return nil
	}
}

// wanted is the error about arguments that are not what a command wants.
func wanted(c *cobra.Command, names string) error {
	_, placeholders, _ := strings.Cut(c.Use, " ")
	return &exitError{exitUsage, fmt.Errorf("want %s: %s %s", names, c.CommandPath(), placeholders)}
}
