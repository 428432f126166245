package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gtmd/geo"
)

// verifiedJSON is one file for scripts.
type verifiedJSON struct {
	Path     string        `json:"path"`
	OK       bool          `json:"ok"`
	Error    string        `json:"error,omitempty"`
	Database *databaseJSON `json:"database,omitempty"`
}

func newGeoVerify() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Check databases as the server does",
		Long: `Read and check each database from the first network to the last, as the server does when it
takes one up, and say what it has. Exit code 1 when one of them is damaged or of no use.`,
		Example: `  gtmd geo verify /var/lib/gtmd/*.mmdb`,
		Args:    someArguments("a database"),
		RunE: func(c *cobra.Command, args []string) error {
			return geoVerify(c.OutOrStdout(), c.ErrOrStderr(), args, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func geoVerify(out, errOut io.Writer, files []string, asJSON bool) error {
	var all []verifiedJSON
	var failed bool
	for _, file := range files {
		d, err := geo.ReadDatabase(file)
		v := verifiedJSON{Path: file, OK: err == nil}
		if err != nil {
			failed, v.Error = true, err.Error()
		} else {
			database := databaseOf(d)
			v.Database = &database
		}
		all = append(all, v)
		switch {
		case asJSON:
		case err != nil:
			fmt.Fprintln(errOut, err)
		default:
			if err := printDatabase(out, v.Database); err != nil {
				return err
			}
		}
	}
	if asJSON {
		if err := printJSON(out, all); err != nil {
			return err
		}
	}
	if failed {
		return &exitError{code: exitNegative}
	}
	return nil
}

func printDatabase(out io.Writer, d *databaseJSON) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s: ok\n", d.Path)
	fmt.Fprintf(w, "  type\t%s\n", d.Type)
	fmt.Fprintf(w, "  built\t%s, %s ago\n", d.Built.Format(time.DateTime+" UTC"), count(d.AgeDays, "day"))
	if d.Description != "" {
		fmt.Fprintf(w, "  description\t%s\n", d.Description)
	}
	fmt.Fprintf(w, "  size\t%s, SHA-256 %s\n", octets(d.Size), d.SHA256)
	fmt.Fprintf(w, "  IPv4\t%s, %s of the address space\n", networks(d.Networks4), percent(d.Covered4))
	fmt.Fprintf(w, "  IPv6\t%s, %s of 2000::/3\n", networks(d.Networks6), percent(d.Covered6))
	fmt.Fprintf(w, "  knows\t%s\n", strings.Join(d.Knows, ", "))
	return w.Flush()
}
