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
}

func newCheck() *cobra.Command {
	var file string
	var asJSON, strict bool
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration file",
		Long: `Load a configuration and build everything that serving would build, then throw it away.
Every problem is listed with file, line and column. Exit code 1 when there is one; with
--strict also when there is a warning.`,
		Args: func(c *cobra.Command, args []string) error { return usage(c, cobra.MaximumNArgs(1)(c, args)) },
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				file = args[0]
			}
			return check(c.OutOrStdout(), c.ErrOrStderr(), file, asJSON, strict)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", defaultConfig, "configuration file")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&strict, "strict", false, "take warnings for problems")
	return c
}

func check(out, errOut io.Writer, file string, asJSON, strict bool) error {
	loaded, err := node.Check(func() (*config.Config, error) { return config.Load(file) })
	result := checkResult{OK: err == nil, Problems: []config.Problem{}, Warnings: []config.Problem{}}
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		result.Problems = problems
	case err != nil:
		result.Problems = []config.Problem{{File: file, Message: err.Error()}}
	}
	if loaded != nil && len(loaded.Warnings) > 0 {
		result.Warnings = loaded.Warnings
		result.OK = result.OK && !strict
	}
	if asJSON {
		if err := printJSON(out, result); err != nil {
			return err
		}
	} else {
		for _, p := range result.Problems {
			fmt.Fprintln(errOut, p)
		}
		for _, w := range result.Warnings {
			fmt.Fprintln(errOut, "warning: "+w.String())
		}
		if result.OK {
			fmt.Fprintf(out, "%s: ok (%s, %s, %s)\n", file, count(len(loaded.File.Instances), "instance"),
				count(len(loaded.File.Pools), "pool"), count(len(loaded.File.Zones), "zone"))
		} else {
			fmt.Fprintf(errOut, "%s: not ok: %s, %s\n", file, count(len(result.Problems), "problem"), count(len(result.Warnings), "warning"))
		}
	}
	if !result.OK {
		return &exitError{code: exitNegative}
	}
	return nil
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
