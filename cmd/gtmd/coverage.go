package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"gtmd/node"
)

// printCoverage writes a table for each instance: which share of the address space each policy has.
func printCoverage(out io.Writer, all []node.InstanceCoverage) error {
	for i := range all {
		c := &all[i]
		fmt.Fprintf(out, "\n%s, %s\n", c.Instance, c.Questions)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "  POLICY\tIPV4\tIPV6\tSOURCES\n")
		for _, p := range c.Policies {
			fmt.Fprintf(w, "  %s\t%8s\t%8s\t%s\n", p.Policy, percent(p.Share.IPv4), percent(p.Share.IPv6), strings.Join(p.Sources, ", "))
		}
		fmt.Fprintf(w, "  (no policy)\t%8s\t%8s\n", percent(c.Unmatched.IPv4), percent(c.Unmatched.IPv6))
		if err := w.Flush(); err != nil {
			return err
		}
		for _, s := range c.Idle {
			fmt.Fprintf(out, "  %s of policy %s matches no network\n", s.Source, s.Policy)
		}
		for _, s := range c.Shadowed {
			var by []string
			for _, other := range s.By {
				by = append(by, fmt.Sprintf("%s of policy %s", other.Source, other.Policy))
			}
			fmt.Fprintf(out, "  %s of policy %s gets no client: all of them have a more specific source, %s\n",
				s.Source, s.Policy, strings.Join(by, ", "))
		}
	}
	return nil
}
