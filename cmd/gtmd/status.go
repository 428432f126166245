package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

func newStatus() *cobra.Command {
	var daemon client
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "Show what the running gtmd serves, and why", Args: noArguments,
		Long: `Show what the running gtmd serves: for each policy the set in force and why, for each
address whether it is available, since when, and the reason. What is not normal comes first: that
the prober is blind, overrides, a refused configuration.`,
		RunE: func(c *cobra.Command, _ []string) error {
			var status admin.Status
			if err := daemon.get(c.Context(), "/api/v1/status", nil, &status); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), status)
			}
			return printStatus(c.OutOrStdout(), &status)
		},
	}
	daemon.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// printStatus writes the status for people: first what is wrong, then everything.
func printStatus(out io.Writer, s *admin.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, b := range s.Blind {
		fmt.Fprintf(w, "BLIND for %s, for %s: %s. No %s verdict turns down until probes are good again.\n", b.Family, age(b.Since), b.Reason, b.Family)
	}
	fmt.Fprintf(w, "gtmd %s, %s, up %s, listening on %s\n", s.Version.Version, s.Ready, age(s.Started), join(s.Listen))
	fmt.Fprintf(w, "configuration %s, hash %.12s, loaded %s ago\n", s.Config.File, s.Config.Hash, age(s.Config.Loaded))
	if s.Config.Error != "" {
		fmt.Fprintf(w, "\nThe last reload, %s ago, was REFUSED; the older configuration serves on:\n%s\n", age(*s.Config.Refused), indent(s.Config.Error))
	}
	if len(s.Overrides) > 0 {
		fmt.Fprintln(w)
		printOverrides(w, s.Overrides)
	}
	if len(s.Databases) > 0 {
		fmt.Fprintf(w, "\nDATABASE\tTYPE\tBUILT\tAGE\tSTATE\n")
	}
	for _, d := range s.Databases {
		state := d.State
		if d.Refused != nil {
			state = fmt.Sprintf("%s, for %s: %s", d.State, age(*d.Refused), d.Error)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", d.Path, d.Type, d.Built.UTC().Format(time.DateOnly), age(d.Built), state)
	}
	for _, in := range s.Instances {
		fmt.Fprintf(w, "\n%s  %s%s  TTL %d\n", in.Name, in.AccessDomain, aliases(in.Aliases), in.TTL)
		for _, p := range in.Policies {
			fmt.Fprintf(w, "  %s (%s) %s: %s in force, %s, for %s%s\n", p.Name, strings.Join(p.Sources, ", "), p.Family, p.InForce, p.Why, age(p.Since), until(p.Until))
			for _, set := range p.Sets {
				fmt.Fprintf(w, "    %s\t%s\t%s\n", set.Role, strings.Join(set.Pools, ", "), set.Verdict)
			}
		}
	}
	fmt.Fprintf(w, "\nPOOL\tADDRESS\tSTATE\tFOR\tLAST PROBE\tREASON\n")
	for i := range s.Pools {
		printPool(w, &s.Pools[i])
	}
	if len(s.Switches) > 0 {
		fmt.Fprintf(w, "\nLAST SWITCHES\n")
	}
	for i, sw := range s.Switches {
		if i == 5 {
			break
		}
		fmt.Fprintf(w, "%s\t%s, %s %s\t%s -> %s\t%s\t%s\n", sw.Time.Local().Format(time.DateTime), sw.Instance, sw.Policy, sw.Family, sw.From, sw.To, sw.Why, sw.Reason)
	}
	return w.Flush()
}

// aliases is what stands behind an access domain for its aliases.
func aliases(names []string) string {
	const most = 3
	switch {
	case len(names) == 0:
		return ""
	case len(names) > most:
		return fmt.Sprintf(" and %d aliases", len(names))
	default:
		return ", " + strings.Join(names, ", ")
	}
}

// printPool writes the rows of a pool. An address with several checks has a row for each below its own.
func printPool(w io.Writer, p *admin.PoolStatus) {
	resolved := map[string]*admin.ResolvedStatus{}
	for i := range p.Resolved {
		resolved[p.Resolved[i].Name] = &p.Resolved[i]
	}
	for i := range p.Addresses {
		a := &p.Addresses[i]
		text := note(a)
		if r := resolved[a.Address]; r != nil {
			text = strings.TrimPrefix(text+"; "+resolutionNote(r), "; ")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, a.Address, a.Standing, ageOf(since(a)), probe(&a.ProbeStatus), text)
		for j := range a.Checks {
			check := &a.Checks[j]
			what := check.HealthCheck
			if check.Address != a.Address {
				what += " " + check.Address
			}
			text := strings.Join(probeNotes(&check.ProbeStatus, check.Verdict != "down"), "; ")
			fmt.Fprintf(w, "\t  %s\t%s\t%s\t%s\t%s\n", what, check.Verdict, ageOf(check.Since), probe(&check.ProbeStatus), text)
		}
	}
}

// probe says how the last probe went.
func probe(p *admin.ProbeStatus) string {
	if p.LastProbe == nil {
		return "-"
	}
	return fmt.Sprintf("%s ago, %.1f ms", age(*p.LastProbe), p.LastMilliseconds)
}

// age is the time since t, short.
func age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return span(time.Since(t))
}

// span writes a duration, short; one that is over is 0s.
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}

func ageOf(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return age(*t)
}

func until(t *time.Time) string {
	if t == nil {
		return ""
	}
	return ", until " + t.Local().Format(time.DateTime)
}

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

func join[T fmt.Stringer](all []T) string {
	texts := make([]string, len(all))
	for i, v := range all {
		texts[i] = v.String()
	}
	return strings.Join(texts, ", ")
}
