package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"gtmd/config"
	"gtmd/node"
)

// checkResult is what check prints with --json.
type checkResult struct {
	OK       bool             `json:"ok"`
	Problems []config.Problem `json:"problems"`
	Warnings []config.Problem `json:"warnings"`
	// Coverage is there with --coverage, when there is no problem.
	Coverage []node.InstanceCoverage `json:"coverage,omitempty"`
}

func newCheck() *cobra.Command {
	var file string
	var options checkOptions
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration file",
		Long: `Load a configuration and build everything that serving would build, then throw it away.
Every problem is listed with file, line and column. Exit code 1 when there is one; with
--strict also when there is a warning.

With --coverage it also says, for each instance, which share of IPv4, and of 2000::/3 in
IPv6, each policy has, which request sources match nothing, and which are hidden by more specific
ones of other policies.`,
		Args: atMost(1, "one file at most"),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				file = args[0]
			}
			return check(c.OutOrStdout(), c.ErrOrStderr(), file, options)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", defaultConfig, "configuration file")
	c.Flags().BoolVar(&options.asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&options.strict, "strict", false, "take warnings for problems")
	c.Flags().BoolVar(&options.coverage, "coverage", false, "print which share of the address space each policy has")
	return c
}

type checkOptions struct{ asJSON, strict, coverage bool }

func check(out, errOut io.Writer, file string, options checkOptions) error {
	loaded, coverage, err := inspect(file, options.coverage)
	result := checkResult{OK: err == nil, Problems: []config.Problem{}, Warnings: []config.Problem{}, Coverage: coverage}
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		result.Problems = problems
	case err != nil:
		result.Problems = []config.Problem{{File: file, Message: err.Error()}}
	}
	if loaded != nil && len(loaded.Warnings) > 0 {
		result.Warnings = loaded.Warnings
		result.OK = result.OK && !options.strict
	}
	if options.asJSON {
		err = printJSON(out, result)
	} else {
		err = printChecked(out, errOut, file, loaded, &result)
	}
	if err == nil && !result.OK {
		err = &exitError{code: exitNegative}
	}
	return err
}

// printChecked writes what was found for people.
func printChecked(out, errOut io.Writer, file string, loaded *config.Config, result *checkResult) error {
	for _, p := range result.Problems {
		fmt.Fprintln(errOut, p)
	}
	for _, w := range result.Warnings {
		fmt.Fprintln(errOut, "warning: "+w.String())
	}
	if !result.OK {
		fmt.Fprintf(errOut, "%s: not ok: %s, %s\n", file, count(len(result.Problems), "problem"), count(len(result.Warnings), "warning"))
	} else if _, err := fmt.Fprintf(out, "%s: ok (%s, %s, %s)\n", file, count(len(loaded.File.Instances), "instance"),
		count(len(loaded.File.Pools), "pool"), count(len(loaded.File.Zones), "zone")); err != nil {
		return err
	}
	return printCoverage(out, result.Coverage)
}

// inspect checks a file, and tells its coverage when that is asked for.
func inspect(file string, coverage bool) (*config.Config, []node.InstanceCoverage, error) {
	load := func() (*config.Config, error) { return config.Load(file) }
	if coverage {
		return node.Coverage(load)
	}
	loaded, err := node.Check(load)
	return loaded, nil, err
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// plural is count for a thing with a plural of its own.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
