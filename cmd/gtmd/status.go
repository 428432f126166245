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
	var options statusOptions
	c := &cobra.Command{
		Use: "status", Short: "Show what the running gtmd serves, and why",
		Long: `Show what the running gtmd serves: for each policy the set in force and why, for each
address whether it is available, since when, and the reason. What is not normal comes first: that
the prober is blind, a refused configuration, a state that is not saved, alerts that are not
delivered, business domains that lead elsewhere, overrides. Where there is more than a screen holds, only what is not normal is listed, the worst first, with the numbers of the rest; --all shows everything.

With --watch it is shown anew every two seconds, or as often as is said: --watch=10s.

With --nagios it is a check of Nagios and its like: one line with numbers, and the exit code 0 (ok),
1 (warning: something is down or was refused, clients are well), 2 (critical: clients get nothing, or what is not
healthy) or 3 (unknown: gtmd cannot be reached).`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 1 && options.watch > 0 {
				return nil // --watch 10s
			}
			return noArguments(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				interval, err := time.ParseDuration(args[0])
				if err != nil {
					return &exitError{exitUsage, fmt.Errorf("--watch %s: want a time such as 10s", args[0])}
				}
				options.watch = interval
			}
			return status(c, &daemon, &options)
		},
	}
	daemon.add(c)
	c.Flags().BoolVar(&options.asJSON, "json", false, "print JSON")
	c.Flags().BoolVarP(&options.all, "all", "a", false, "print everything, however much it is")
	c.Flags().BoolVar(&options.nagios, "nagios", false, "be a check of Nagios")
	c.Flags().DurationVarP(&options.watch, "watch", "w", 0, "print it again and again, as often as this")
	c.Flags().Lookup("watch").NoOptDefVal = "2s"
	return c
}

type statusOptions struct {
	asJSON, all, nagios bool
	watch               time.Duration // 0: once
}

// mostRows is how many addresses and policies are listed one by one.
const mostRows = 40

func status(c *cobra.Command, daemon *client, options *statusOptions) error {
	out := c.OutOrStdout()
	if chosen := chosenFlags(c, "json", "nagios", "watch"); len(chosen) > 1 {
		return &exitError{exitUsage, fmt.Errorf("want one of %s", strings.Join(chosen, " and "))}
	}
	if c.Flags().Changed("watch") {
		if err := checkInterval(options.watch); err != nil {
			return err
		}
		return watchStatus(c, daemon, options.watch, func(s *admin.Status, more []trouble, height int) []string {
			var b strings.Builder
			printScreen(&b, s, options.all, height, more...)
			return strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
		})
	}
	var status admin.Status
	more, err := readStatus(c.Context(), daemon, &status)
	switch {
	case err != nil && options.nagios:
		fmt.Fprintf(out, "GTMD UNKNOWN - %s\n", strings.ReplaceAll(err.Error(), "|", "/"))
		return &exitError{code: nagiosUnknown}
	case err != nil:
		return err
	case options.asJSON:
		return printJSON(out, status)
	case options.nagios:
		if code := printNagios(out, &status, more...); code != nagiosOK {
			return &exitError{code: code}
		}
		return nil
	}
	return printScreen(out, &status, options.all, mostRows, more...)
}

// chosenFlags are those of some flags that the command line has.
func chosenFlags(c *cobra.Command, names ...string) (chosen []string) {
	for _, name := range names {
		if c.Flags().Changed(name) {
			chosen = append(chosen, "--"+name)
		}
	}
	return chosen
}

// checkInterval refuses what would keep the server busy.
func checkInterval(interval time.Duration) error {
	if interval < 100*time.Millisecond {
		return &exitError{exitUsage, fmt.Errorf("an interval of %s: want at least 100ms", interval)}
	}
	return nil
}

// printScreen writes everything when it is little or wanted, else the digest in at most so many lines. More is what is not normal
// beside the status.
func printScreen(out io.Writer, s *admin.Status, all bool, most int, more ...trouble) error {
	rows := 0
	for i := range s.Instances {
		for j := range s.Instances[i].Policies {
			rows += 1 + len(s.Instances[i].Policies[j].Sets)
		}
	}
	for i := range s.Pools {
		rows += len(s.Pools[i].Addresses)
	}
	if all || rows <= mostRows {
		return printStatus(out, s, more...)
	}
	d := digestOf(s, more...)
	for _, line := range d.lines(most) {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

// printStatus writes the status for people: first what is wrong, then everything.
func printStatus(out io.Writer, s *admin.Status, more ...trouble) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, b := range s.Blind {
		fmt.Fprintf(w, "BLIND for %s, for %s: %s. No %s verdict turns down until probes are good again.\n", b.Family, age(b.Since), b.Reason, b.Family)
	}
	fmt.Fprintf(w, "gtmd %s, %s, up %s, listening on %s\n", s.Version.Version, s.Ready, age(s.Started), join(s.Listen))
	fmt.Fprintf(w, "configuration %s, hash %.12s, loaded %s ago\n", s.Config.File, s.Config.Hash, age(s.Config.Loaded))
	if s.Config.Error != "" {
		fmt.Fprintf(w, "\nThe last reload, %s ago, was REFUSED; the older configuration serves on:\n%s\n", age(*s.Config.Refused), indent(s.Config.Error))
	}
	if s.StateError != "" {
		more = append([]trouble{unsaved(s)}, more...)
	}
	if len(more) > 0 {
		fmt.Fprintln(w)
	}
	for _, t := range more {
		fmt.Fprintln(w, t.text)
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
		fmt.Fprintf(w, "%s\t%s, %s %s\t%s -> %s\t%s\t%s\n", moment(sw.Time), sw.Instance, sw.Policy, sw.Family, sw.From, sw.To, sw.Why, sw.Reason)
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

// moment writes a time for people, in the zone of this command.
func moment(t time.Time) string { return t.Local().Format(time.DateTime) }

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
	return ", until " + moment(*t)
}

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

func join[T fmt.Stringer](all []T) string {
	texts := make([]string, len(all))
	for i, v := range all {
		texts[i] = v.String()
	}
	return strings.Join(texts, ", ")
}
