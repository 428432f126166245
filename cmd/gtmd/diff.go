package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/node"
)

func newDiff() *cobra.Command {
	var daemon client
	var asJSON, all bool
	c := &cobra.Command{
		Use:   "diff [[OLD] NEW]",
		Short: "Say what a configuration file would change for clients",
		Long: `Say for which names, and for which share of all clients, the answers of a configuration file differ
from what the running gtmd serves, with examples. Health, overrides and the sets in force are the
present ones on both sides; an address that is not probed yet counts as available. Nothing is changed.

With one file the running gtmd is asked, which has to be able to read it. Without any it is the file
that it serves, as it is on disk now: what a reload would change. With two files it is not asked: all
addresses that are probed count as available, on both sides.

The shares are those of all of IPv4, and of 2000::/3 in IPv6, counted exactly. The exit code is 0 when nothing
differs, and 1 when something does or a file has a problem.`,
		Example: `  gtmd diff /etc/gtmd/new.toml
  gtmd diff old.toml new.toml --json`,
		Args: atMost(2, "two files at most"),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := difference(c.Context(), &daemon, args)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), d)
			} else {
				for _, w := range d.Warnings {
					fmt.Fprintln(c.ErrOrStderr(), "warning: "+w)
				}
				err = printChanges(c.OutOrStdout(), &d, all)
			}
			if err == nil && len(d.Names)+len(d.Other) > 0 {
				err = &exitError{code: exitNegative}
			}
			return err
		},
	}
	daemon.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&all, "all", false, "print every name and option, however many there are")
	return c
}

// difference compares two files, or asks the running gtmd about one or none.
func difference(ctx context.Context, daemon *client, files []string) (admin.Difference, error) {
	if len(files) == 2 {
		var loaded [2]*config.Config
		for i, file := range files {
			var err error
			if loaded[i], err = config.Load(file); err != nil {
				return admin.Difference{}, err
			}
		}
		return node.Diff(loaded[0], loaded[1])
	}
	var request admin.DiffRequest
	if len(files) == 1 {
		path, err := filepath.Abs(files[0])
		if err != nil {
			return admin.Difference{}, err
		}
		request.Path = path
	}
	var d admin.Difference
	err := daemon.post(ctx, "/api/v1/diff", request, &d)
	return d, err
}

// How much of a difference is printed.
const (
	mostNames = 20
	mostOther = 20
)

// printChanges writes a difference for people: the names first.
func printChanges(to io.Writer, d *admin.Difference, all bool) error {
	out := bufio.NewWriter(to)
	if len(d.Names) == 0 {
		fmt.Fprintf(out, "nothing changes for clients (%s)\n", count(d.Unchanged, "name"))
	} else {
		fmt.Fprintf(out, "%s, %s\n", changedNames(d.Names), unchangedNames(d.Unchanged))
	}
	names, other := d.Names, d.Other
	if !all {
		names, other = names[:min(len(names), mostNames)], other[:min(len(other), mostOther)]
	}
	printNames(out, names)
	if more := len(d.Names) - len(names); more > 0 {
		fmt.Fprintf(out, "and %d more: gtmd diff --all\n", more)
	}
	if len(other) > 0 {
		fmt.Fprintf(out, "\nOPTIONS\n")
	}
	for _, text := range other {
		fmt.Fprintln(out, text)
	}
	if more := len(d.Other) - len(other); more > 0 {
		fmt.Fprintf(out, "and %d more: gtmd diff --all\n", more)
	}
	return out.Flush()
}

// printNames writes a table of names, with what clients get below each.
func printNames(out io.Writer, names []admin.NameDifference) {
	if len(names) == 0 {
		return
	}
	wide, wideType := len("NAME"), len("TYPE")
	for i := range names {
		wide, wideType = max(wide, len(names[i].Name)), max(wideType, len(names[i].Type))
	}
	row := func(name, qtype, change, ipv4, ipv6 string) {
		fmt.Fprintf(out, "%-*s  %-*s  %-7s  %8s  %8s\n", wide, name, wideType, qtype, change, ipv4, ipv6)
	}
	fmt.Fprintln(out)
	row("NAME", "TYPE", "CHANGE", "OF IPV4", "OF IPV6")
	for i := range names {
		n := &names[i]
		row(n.Name, n.Type, changeText(n), percent(n.ShareIPv4), percent(n.ShareIPv6))
		for _, e := range n.Examples {
			if len(n.Examples) == 1 && n.ShareIPv4 == 1 && n.ShareIPv6 == 1 {
				e.Client, e.Line = "all clients", ""
			}
			fmt.Fprintf(out, "  %s\n", exampleText(&e))
		}
		if n.Note != "" {
			fmt.Fprintf(out, "  %s\n", n.Note)
		}
	}
}

// changedNames says how many names change, each counted once.
func changedNames(all []admin.NameDifference) string {
	names := map[string]bool{}
	for i := range all {
		names[all[i].Name] = true
	}
	if len(names) == 1 {
		return "1 name changes"
	}
	return fmt.Sprintf("%d names change", len(names))
}

func unchangedNames(n int) string {
	if n == 1 {
		return "1 stays as it is"
	}
	return fmt.Sprintf("%d stay as they are", n)
}

func changeText(n *admin.NameDifference) string {
	if n.Change == "changed" && n.ShareIPv4 == 0 && n.ShareIPv6 == 0 {
		return "TTL"
	}
	return n.Change
}

// exampleText is what one client gets, before and after.
func exampleText(e *admin.ClientDifference) string {
	text := e.Client
	if e.Line != "" {
		text += " (" + e.Line + ")"
	}
	return fmt.Sprintf("%s: %s -> %s", text, strings.Join(e.Before, ", "), strings.Join(e.After, ", "))
}
