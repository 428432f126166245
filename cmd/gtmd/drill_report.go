package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

func newDrillReport() *cobra.Command {
	var daemon client
	var asJSON bool
	c := &cobra.Command{
		Use: "report [ID]", Short: "Print what a drill did, or does",
		Long: `Print the report of a drill, of the latest one without an ID: for each policy that it concerns the
set in force and the records that clients get before, during and after, when the answer changed,
how long resolvers may have kept the older one, and whatever else happened meanwhile.`,
		Example: "  gtmd drill report\n  gtmd drill report d3 --json",
		Args:    oneDrill,
		RunE: func(c *cobra.Command, args []string) error {
			d, err := findDrill(c.Context(), &daemon, strings.Join(args, ""))
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
	c.ValidArgsFunction = completeDrills(&daemon, false)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// printDrillStart says that a drill has begun.
func printDrillStart(out io.Writer, d *admin.Drill) {
	changed := 0
	for i := range d.Policies {
		if d.Policies[i].Changed != nil {
			changed++
		}
	}
	fmt.Fprintf(out, "%s: %s counts as down until %s (%s)\n", d.ID, d.OverrideTarget, moment(d.Ends), span(time.Until(d.Ends).Round(time.Second)))
	fmt.Fprintf(out, "%s, %d with another answer now\n", plural(len(d.Policies), "policy is concerned", "policies are concerned"), changed)
	for _, note := range d.Notes {
		fmt.Fprintln(out, "note: "+note)
	}
}

// printDrill writes the report of a drill.
func printDrill(out io.Writer, d *admin.Drill) error {
	var b strings.Builder
	fmt.Fprintf(&b, "drill %s: %s counted as down, by %s: %s\n", d.ID, d.OverrideTarget, d.Author, d.Reason)
	switch {
	case d.State == admin.DrillRunning:
		fmt.Fprintf(&b, "  since %s, %s (until %s), override %s\n", moment(d.Started), left(&d.Ends), moment(d.Ends), d.Override)
	case d.EndedBy != "":
		fmt.Fprintf(&b, "  from %s to %s (%s), stopped by %s\n", moment(d.Started), moment(*d.Ended), span(d.Ended.Sub(d.Started)), d.EndedBy)
	default:
		fmt.Fprintf(&b, "  from %s to %s (%s)\n", moment(d.Started), moment(*d.Ended), span(d.Ended.Sub(d.Started)))
	}
	if d.Forced {
		b.WriteString("  with force\n")
	}
	switch asBefore(d) {
	case "yes":
		b.WriteString("  everything is as it was before\n")
	case "no":
		b.WriteString("  NOT everything came back: see below\n")
	case "not yet":
		b.WriteString("  not everything is back yet: see below\n")
	}
	for i := range d.Policies {
		printDrillPolicy(&b, d, &d.Policies[i])
	}
	if len(d.Notes) > 0 {
		b.WriteString("\nWhat else happened\n")
	}
	for _, note := range d.Notes {
		fmt.Fprintf(&b, "  %s\n", note)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// printDrillPolicy writes what a drill did to one policy.
func printDrillPolicy(b *strings.Builder, d *admin.Drill, p *admin.DrillPolicy) {
	fmt.Fprintf(b, "\n%s, %s %s (%s)\n", p.Instance, p.Policy, p.Family, p.AccessDomain)
	fmt.Fprintf(b, "  before  %s: %s\n", p.Before, values(p.AnswerBefore))
	fmt.Fprintf(b, "  during  %s: %s\n", p.During, values(p.AnswerDuring))
	if d.State != admin.DrillRunning {
		fmt.Fprintf(b, "  after   %s: %s\n", p.After, values(p.AnswerAfter))
	}
	if p.Changed == nil {
		b.WriteString("  The answer was the same all the time.\n")
	} else {
		fmt.Fprintf(b, "  Another answer from %s on; from resolvers clients could get the one before until %s (TTL %d).\n",
			moment(*p.Changed), moment(p.Changed.Add(time.Duration(p.TTL)*time.Second)), p.TTL)
	}
	switch {
	case p.Restored != nil && p.Changed != nil:
		fmt.Fprintf(b, "  As before from %s on; from resolvers clients could get the other one until %s (TTL %d).\n",
			moment(*p.Restored), moment(p.Restored.Add(time.Duration(p.TTLDuring)*time.Second)), p.TTLDuring)
	case p.Restored == nil && d.State != admin.DrillRunning:
		b.WriteString("  It is NOT as it was before.\n")
	}
	for _, s := range p.Switches {
		fmt.Fprintf(b, "  %s  %s -> %s, %s%s\n", moment(s.Time), s.From, s.To, s.Why, because(d, s.Reason))
	}
}

// values are the data of records, without what is the same in all.
func values(records []string) string {
	if len(records) == 0 {
		return "nothing"
	}
	all := slices.Clone(records)
	for i, record := range all {
		if fields := strings.SplitN(record, " ", 5); len(fields) == 5 {
			all[i] = fields[4]
		}
	}
	return strings.Join(all, ", ")
}

// because is the reason behind a switch; empty for none.
func because(d *admin.Drill, reason string) string {
	switch {
	case reason == "":
		return ""
	case strings.Contains(reason, ": drill "+d.ID+": "):
		return " (the drill)"
	default:
		return " (" + reason + ")"
	}
}

// drillNews is what has been told of a drill so far.
type drillNews struct {
	notes    int
	switches map[string]int // by policy
}

// print tells what is new.
func (n *drillNews) print(out io.Writer, d *admin.Drill) {
	if n.switches == nil {
		n.switches, n.notes = map[string]int{}, len(d.Notes) // told at the start
	}
	for i := range d.Policies {
		p := &d.Policies[i]
		key := p.Instance + "/" + p.Policy + "/" + p.Family
		for _, s := range p.Switches[min(n.switches[key], len(p.Switches)):] {
			fmt.Fprintf(out, "%s: %s, %s %s: %s -> %s, %s\n", moment(s.Time), s.Instance, s.Policy, s.Family, s.From, s.To, s.Why)
		}
		n.switches[key] = len(p.Switches)
	}
	for _, note := range d.Notes[min(n.notes, len(d.Notes)):] {
		fmt.Fprintln(out, note)
	}
	n.notes = len(d.Notes)
}
