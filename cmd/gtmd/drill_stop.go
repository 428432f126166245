package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

func newDrillStop() *cobra.Command {
	var daemon client
	var request admin.StopDrillRequest
	var asJSON bool
	c := &cobra.Command{
		Use: "stop [ID]", Short: "End a drill now, and print its report",
		Long:    `End a drill now: what was drilled counts as it is again at once. Without an ID it is the one that runs.`,
		Example: "  gtmd drill stop\n  gtmd drill stop d3",
		Args:    oneDrill,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				request.ID = args[0]
			} else {
				id, err := runningDrill(c, &daemon)
				if err != nil {
					return err
				}
				request.ID = id
			}
			d, err := stopDrill(c.Context(), &daemon, request.ID, authorOr(request.Author))
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), d)
			}
			return printDrill(c.OutOrStdout(), d)
		},
	}
	daemon.add(c)
	c.ValidArgsFunction = completeDrills(&daemon, true)
	addAuthor(c, &request.Author)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// oneDrill wants no argument, or the ID of a drill.
func oneDrill(c *cobra.Command, args []string) error {
	switch {
	case len(args) > 1:
		return wanted(c, "one drill at most")
	case len(args) == 1 && !admin.IsDrillID(args[0]):
		return &exitError{exitUsage, fmt.Errorf("%q is no drill: want one such as d3, see gtmd drill list", args[0])}
	}
	return nil
}

// runningDrill is the ID of the only drill that runs.
func runningDrill(c *cobra.Command, daemon *client) (string, error) {
	list, err := readDrills(c.Context(), daemon)
	if err != nil {
		return "", err
	}
	var ids []string
	for i := range list.Drills {
		if list.Drills[i].State == admin.DrillRunning {
			ids = append(ids, list.Drills[i].ID)
		}
	}
	switch len(ids) {
	case 0:
		return "", errors.New("no drill runs")
	case 1:
		return ids[0], nil
	default:
		return "", fmt.Errorf("several drills run: want one of %s", strings.Join(ids, ", "))
	}
}

func newDrillList() *cobra.Command {
	var daemon client
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the drills that run and the last ones, the latest first", Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := readDrills(c.Context(), &daemon)
			if err != nil {
				return err
			}
			switch out := c.OutOrStdout(); {
			case asJSON:
				return printJSON(out, list)
			case len(list.Drills) == 0:
				_, err := fmt.Fprintln(out, `there was no drill yet: "gtmd drill start --help" says how one is started`)
				return err
			default:
				return printDrills(out, list.Drills)
			}
		},
	}
	daemon.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// printDrills writes a table of drills.
func printDrills(out io.Writer, all []admin.Drill) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "DRILL\tSTATE\tON\tSTARTED\tLASTED\tAS BEFORE\tBY\tREASON\n")
	for i := range all {
		d := &all[i]
		state, lasted := d.State, span(time.Since(d.Started))
		if d.Ended != nil {
			lasted = span(d.Ended.Sub(d.Started))
		} else {
			state += ", " + left(&d.Ends)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.ID, state, d.OverrideTarget, moment(d.Started), lasted, asBefore(d), d.Author, d.Reason)
	}
	return w.Flush()
}

// asBefore says whether everything is as it was before a drill.
func asBefore(d *admin.Drill) string {
	switch {
	case d.State == admin.DrillRunning:
		return "-"
	case d.CameBack == nil:
		return "not yet"
	case *d.CameBack:
		return "yes"
	default:
		return "no"
	}
}
