package main

import (
	"fmt"
	"io"
	"math"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/node"
)

func newExplain() *cobra.Command {
	var daemon client
	var q admin.Question
	var file string
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain NAME",
		Short: "Say what a client gets for a name, and why",
		Long: `Ask the code that serves what a client gets for a name, and say why: the request source that
matched, the policy, each set and why it was taken or not, each address and why it is in or out.

Without --config the running gtmd is asked. With --config a file is asked: nothing is known of
health then, and every address that is probed counts as available.

With --suppose, which may stand several times, it says what a client would get if an address, a pool
or a set were up, down or drained: as if gtmd override set had said so just now. Nothing is changed.`,
		Example: `  gtmd explain origin.gtm.example.com
  gtmd explain origin.gtm.example.com --client 198.51.100.0/24 --type AAAA
  gtmd explain origin.gtm.example.com --suppose pool:test1=down
  gtmd explain origin.gtm.example.com --suppose 192.0.2.1=drain --suppose "set:cdn-origin/Global/backup 2=up"
  gtmd explain origin.gtm.example.com --config new.toml`,
		Args: arguments(1, "the name to explain"),
		RunE: func(c *cobra.Command, args []string) error {
			q.Name = args[0]
			e, err := explain(c, &daemon, file, q)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), e)
			}
			return printExplanation(c.OutOrStdout(), &e)
		},
	}
	daemon.add(c)
	c.ValidArgsFunction = completeWith(&daemon, completeNames)
	c.Flags().StringVarP(&file, "config", "c", "", "ask this configuration file instead of the running gtmd")
	c.Flags().StringVar(&q.Client, "client", "", "the client: an address (the packet's source) or a prefix (a client subnet)")
	c.Flags().StringArrayVar(&q.Suppose, "suppose", nil, `suppose that WHAT=STATE: pool:NAME, address:ADDRESS, set:INSTANCE/POLICY/SET, or one of these names alone; up, down or drain`)
	completeFlag(c, "suppose", completeWith(&daemon, completeSuppositions))
	c.Flags().StringVarP(&q.Type, "type", "t", "A", "question type")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func explain(c *cobra.Command, daemon *client, file string, q admin.Question) (admin.Explanation, error) {
	if file != "" {
		loaded, err := config.Load(file)
		if err != nil {
			return admin.Explanation{}, err
		}
		return node.Explain(loaded, q)
	}
	var e admin.Explanation
	err := daemon.get(c.Context(), "/api/v1/explain", url.Values{
		"name": {q.Name}, "type": {q.Type}, "client": {q.Client}, "suppose": q.Suppose,
	}, &e)
	return e, err
}

// printExplanation writes an explanation for people, in the order in which the answer came about.
func printExplanation(out io.Writer, e *admin.Explanation) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	how := "the packet's source"
	if e.Subnet {
		how = "client subnet " + e.Client
	}
	fmt.Fprintf(w, "%s %s for %s (%s)\n", e.Name, e.Type, e.Address, how)
	for _, text := range e.Suppose {
		fmt.Fprintf(w, "suppose\t%s\n", text)
	}
	fmt.Fprintf(w, "name\t%s", e.Found)
	if e.Instance != "" {
		fmt.Fprintf(w, " of instance %q", e.Instance)
	}
	fmt.Fprintln(w)
	for _, d := range e.Databases {
		fmt.Fprintf(w, "data\t%s says of %s: %s\n", databaseText(d.Path, d.Built), d.Prefix, d.Facts)
	}
	for _, line := range e.Lines {
		fmt.Fprintf(w, "line\t%s\n", lineText(&line))
	}
	printPolicy(w, e)
	printSets(w, "set", e.Sets)
	printDistances(w, e)
	if e.Choice != "" {
		fmt.Fprintf(w, "choice\t%s\n", e.Choice)
	}
	fmt.Fprintf(w, "answer\t%s, TTL %d, client-subnet scope /%d\n", e.RCode, e.TTL, e.Scope)
	for _, rr := range e.Answer {
		fmt.Fprintf(w, "\t  %s\n", rr)
	}
	for _, rr := range e.Authority {
		fmt.Fprintf(w, "\t  authority: %s\n", rr)
	}
	if e.Earliest != nil {
		fmt.Fprintf(w, "earliest\tit can change at %s: %s\n", moment(*e.Earliest), e.EarliestWhy)
	}
	if !e.Health {
		fmt.Fprintf(w, "note\tasked of a file: nothing is known of health, every probed address counts as available\n")
		if e.Why == "empty" {
			fmt.Fprintf(w, "note\tnames of domain pools are resolved by the running gtmd only\n")
		}
	}
	return w.Flush()
}

// printPolicy writes which policy answers, and which of its sets.
func printPolicy(w io.Writer, e *admin.Explanation) {
	if e.Instance != "" && e.Policy == "" {
		fmt.Fprintf(w, "policy\tnone matches this client\n")
	}
	if e.Policy != "" && e.InForce == "" {
		fmt.Fprintf(w, "policy\t%s, which has no pools for %s\n", e.Policy, e.Type)
	}
	if e.InForce != "" {
		fmt.Fprintf(w, "policy\t%s", e.Policy)
		if e.FellThrough != "" {
			fmt.Fprintf(w, ", every set of it is down, so it falls through to %s", e.FellThrough)
		}
		fmt.Fprintln(w)
		printSets(w, "passed", e.PassedSets)
		fmt.Fprintf(w, "in force\t%s (%s)", e.InForce, e.Why)
		if e.Since != nil {
			fmt.Fprintf(w, " since %s", moment(*e.Since))
		}
		fmt.Fprintln(w, until(e.Until))
	}
}

// printSets writes sets with each of their addresses, and why they are in or out.
func printSets(w io.Writer, what string, sets []admin.SetStatus) {
	for _, set := range sets {
		fmt.Fprintf(w, "%s\t%s (balance %s): %s\n", what, set.Role, set.Balance, set.Verdict)
		for _, a := range set.Members {
			fmt.Fprintf(w, "\t  %s\n", memberText(&a))
		}
	}
}

// printDistances writes how far, in space or in time, the pools are from the client, the one that is taken first.
func printDistances(w io.Writer, e *admin.Explanation) {
	if e.Place != nil {
		fmt.Fprintf(w, "place\tthe client is at %s\n", placeText(e.Place))
	}
	for _, d := range e.Distances {
		what := "distance"
		if d.Unit == "ms" {
			what = "latency"
		}
		if d.Known {
			fmt.Fprintf(w, "%s\t%s: %d %s (%s)\n", what, d.Pool, d.Value, d.Unit, d.From)
		} else {
			fmt.Fprintf(w, "%s\t%s: not known, so it comes last (%s)\n", what, d.Pool, d.From)
		}
	}
}

// placeText writes a point on the Earth: "35.69 N, 139.69 E".
func placeText(p *admin.Place) string {
	northing, easting := "N", "E"
	if p.Latitude < 0 {
		northing = "S"
	}
	if p.Longitude < 0 {
		easting = "W"
	}
	return fmt.Sprintf("%.2f %s, %.2f %s", math.Abs(p.Latitude), northing, math.Abs(p.Longitude), easting)
}

// databaseText names a geo database with the day when it was built.
func databaseText(path string, built time.Time) string {
	return fmt.Sprintf("%s (built %s)", path, built.UTC().Format(time.DateOnly))
}

func lineText(line *admin.LineMatch) string {
	text := fmt.Sprintf("%s matches by %s", line.Source, line.Prefix)
	if line.Database != "" && line.Built != nil {
		text += " of " + databaseText(line.Database, *line.Built)
	}
	switch {
	case line.Chosen:
		return text + ": policy " + line.Policy
	case line.Policy != "":
		return text + ": policy " + line.Policy + ", but a more specific source counts"
	default:
		return text + ": no policy of this instance has it for this question"
	}
}

func memberText(a *admin.AddressStatus) string {
	var b strings.Builder
	if a.Served {
		b.WriteString("+ ")
	} else {
		b.WriteString("- ")
	}
	fmt.Fprintf(&b, "%s (%s): %s", a.Address, a.Pool, a.Standing)
	if t := since(a); t != nil {
		fmt.Fprintf(&b, " for %s", age(*t))
	}
	if text := note(a); text != "" {
		b.WriteString(": " + text)
	}
	if a.Remark != "" {
		fmt.Fprintf(&b, " [%s]", a.Remark)
	}
	return b.String()
}
