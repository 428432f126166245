package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

// eventFlags are the flags of "gtmd events".
type eventFlags struct {
	kinds                         []string
	instance, pool, address, text string
	since, until                  string
	limit                         int
	follow, asJSON                bool
}

func newEvents() *cobra.Command {
	var daemon client
	var flags eventFlags
	c := &cobra.Command{
		Use: "events", Short: "Show what has happened, and who did what", Args: noArguments,
		Long: `Show the latest events of the running gtmd, the oldest first: addresses and sets that went down
and came back, switches, and every change that somebody asked for, with who and why. Each kind
is in docs/events.md.

With --follow further ones are printed as they come, also over a restart of gtmd, until this is
interrupted. With --json it is a list, and with --follow a line of JSON for each event.`,
		Example: `  gtmd events --since 2h
  gtmd events --follow --kind switch --kind fail_open
  gtmd events --instance cdn-origin --text refused --limit 1000 --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			query, err := flags.query(time.Now())
			if err != nil {
				return &exitError{exitUsage, err}
			}
			var list admin.EventList
			if err := daemon.get(c.Context(), "/api/v1/events", query, &list); err != nil {
				return err
			}
			out := c.OutOrStdout()
			if flags.asJSON && !flags.follow {
				return printJSON(out, list)
			}
			slices.Reverse(list.Events)
			if list.More && !flags.asJSON {
				fmt.Fprintf(c.ErrOrStderr(), "older ones are left out: see --limit, --since and --until\n")
			}
			if err := printEvents(out, list.Events, flags.asJSON); err != nil {
				return err
			}
			if flags.follow {
				ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
				defer stop()
				return follow(ctx, &daemon, query, list.Latest, out, c.ErrOrStderr(), flags.asJSON)
			}
			if len(list.Events) == 0 {
				_, err = fmt.Fprintln(out, "there are no such events")
			}
			return err
		},
	}
	daemon.add(c)
	f := c.Flags()
	f.StringArrayVar(&flags.kinds, "kind", nil, "only events of this kind, such as switch; may be repeated")
	f.StringVar(&flags.instance, "instance", "", "only those of an instance, and of the addresses that it uses")
	f.StringVar(&flags.pool, "pool", "", "only those of a pool")
	f.StringVar(&flags.address, "address", "", "only those of an address")
	f.StringVar(&flags.text, "text", "", "only those with this in the message, the reason or the author")
	f.StringVar(&flags.since, "since", "", "only those since then: a time such as 2026-12-24T18:00:00Z, or how long ago, such as 2h")
	f.StringVar(&flags.until, "until", "", "only those before then")
	f.IntVar(&flags.limit, "limit", admin.DefaultEvents, fmt.Sprintf("how many at most, the latest ones; 1 to %d", admin.MaxEvents))
	f.BoolVarP(&flags.follow, "follow", "f", false, "print further ones as they come")
	f.BoolVar(&flags.asJSON, "json", false, "print JSON")
	kinds := admin.EventKind("").Values()
	names := make([]cobra.Completion, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	completeFlag(c, "kind", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	completeFlag(c, "instance", completeWith(&daemon, func(s *admin.Status, _ *cobra.Command, _ []string) []string { return instancesOf(s) }))
	completeFlag(c, "pool", completeWith(&daemon, func(s *admin.Status, _ *cobra.Command, _ []string) []string { return poolsOf(s) }))
	completeFlag(c, "address", completeWith(&daemon, func(s *admin.Status, _ *cobra.Command, _ []string) []string { return addressesOf(s) }))
	return c
}

// query is what the flags ask the API for.
func (f *eventFlags) query(now time.Time) (url.Values, error) {
	query := url.Values{}
	known := admin.EventKind("").Values()
	for _, kind := range f.kinds {
		if !slices.Contains(known, admin.EventKind(kind)) {
			names := make([]string, len(known))
			for i, k := range known {
				names[i] = string(k)
			}
			return nil, fmt.Errorf("--kind %q: want one of %s", kind, strings.Join(names, ", "))
		}
		query.Add("kind", kind)
	}
	if f.limit < 1 || f.limit > admin.MaxEvents {
		return nil, fmt.Errorf("--limit %d: want 1 to %d", f.limit, admin.MaxEvents)
	}
	if f.follow && f.until != "" {
		return nil, fmt.Errorf("--follow and --until: want one of them")
	}
	query.Set("limit", strconv.Itoa(f.limit))
	for name, value := range map[string]string{"instance": f.instance, "pool": f.pool, "address": f.address, "text": f.text} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for name, value := range map[string]string{"since": f.since, "until": f.until} {
		if value == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, value)
		if ago, agoErr := time.ParseDuration(value); agoErr == nil && ago >= 0 {
			at, err = now.Add(-ago), nil
		}
		if err != nil {
			return nil, fmt.Errorf("--%s %q: want a time such as %s, or how long ago, such as 2h", name, value, now.UTC().Format(time.RFC3339))
		}
		query.Set(name, at.UTC().Format(time.RFC3339Nano))
	}
	return query, nil
}

// followInterval is how often new events are asked for.
const followInterval = 500 * time.Millisecond

// follow prints events after an ID as they come, until ctx ends or they cannot be printed. While gtmd does not answer, as during a
// restart, it waits.
func follow(ctx context.Context, daemon *client, query url.Values, last uint64, out, complaints io.Writer, asJSON bool) error {
	query.Set("limit", strconv.Itoa(admin.MaxEvents))
	isAway := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followInterval):
		}
		query.Set("after", strconv.FormatUint(max(last, 1), 10))
		var list admin.EventList
		err := daemon.get(ctx, "/api/v1/events", query, &list)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !isUnreachable(err) {
			return err
		}
		if isAway != (err != nil) {
			if isAway = err != nil; isAway {
				fmt.Fprintf(complaints, "%v: waiting for it\n", err)
			} else {
				fmt.Fprintln(complaints, "gtmd answers again")
			}
		}
		if err := printEvents(out, list.Events, asJSON); err != nil {
			return err
		}
		if n := len(list.Events); list.More && n > 0 {
			last = list.Events[n-1].ID
		} else {
			last = max(last, list.Latest)
		}
	}
}

// printEvents writes a line for each event.
func printEvents(out io.Writer, events []admin.Event, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(out)
		for i := range events {
			if err := encoder.Encode(&events[i]); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i := range events {
		e := &events[i]
		fmt.Fprintf(w, "%s\t%-16s\t%s\n", moment(e.Time), e.Kind, eventText(e))
	}
	return w.Flush()
}

// eventText is an event in words, with the reason and who did it.
func eventText(e *admin.Event) string {
	text := e.Message
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	var by []string
	if e.Author != "" {
		by = append(by, "by "+e.Author)
	}
	if e.Via != "" {
		by = append(by, "via "+e.Via)
	}
	if e.Remote != "" {
		by = append(by, "from "+e.Remote)
	}
	if len(by) > 0 {
		text += " (" + strings.Join(by, ", ") + ")"
	}
	return text
}
