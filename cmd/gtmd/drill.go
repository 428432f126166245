package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

func newDrill() *cobra.Command {
	c := &cobra.Command{
		Use:   "drill",
		Short: "Try what happens when something is down: for a time, and back by itself",
		Long: `Have an address, a pool or a set of a policy count as down for a time, to see that what should
take over does. Its end is kept by the running gtmd: it comes back by itself, whatever becomes of
this command, and over restarts and upgrades of gtmd. A report says what was answered before,
during and after.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newDrillStart(), newDrillStop(), newDrillReport(), newDrillList())
	return c
}

func newDrillStart() *cobra.Command {
	var daemon client
	var request admin.DrillRequest
	var lasts time.Duration
	var asJSON, wait bool
	c := &cobra.Command{
		Use: "start [ADDRESS]", Short: "Have something count as down for a time",
		Long: `Have an address, a pool or a set of a policy count as down for a time. What it is on is named as
for "gtmd override set".

It is refused when what would take over is not available at this moment, when an instance would
have nothing left to answer with, and when another drill runs on the same instance; --force does
it all the same. Something that is under an override already is not drilled.

With --wait this command stays until the end, tells what happens, and prints the report; Ctrl-C
stops the drill. The exit code is 1 then when not everything is as it was before.`,
		Example: `  gtmd drill start --pool test1 --for 10m --reason "game day" --wait
  gtmd drill start 192.0.2.1 --for 30s --reason "one of two"
  gtmd drill start --instance cdn-origin --policy Global --set primary --for 5m --reason "region lost"`,
		Args: atMost(1, "one address at most"),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				request.Address = args[0]
			}
			request.For, request.Author = admin.Duration(lasts), authorOr(request.Author)
			if err := checkDrill(&request); err != nil {
				return &exitError{exitUsage, err}
			}
			interrupted, stop := c.Context(), func() {}
			if wait { // before there is a drill that an interrupt would leave behind
				interrupted, stop = signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
				defer stop()
			}
			var d admin.Drill
			if err := daemon.post(c.Context(), "/api/v1/drills", request, &d); err != nil {
				return err
			}
			if wait {
				return watchDrill(interrupted, stop, c, &daemon, &d, request.Author, asJSON)
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), d)
			}
			printDrillStart(c.OutOrStdout(), &d)
			_, err := fmt.Fprintf(c.OutOrStdout(), "\"gtmd drill report %s\" says what becomes of it, \"gtmd drill stop %s\" ends it now.\n", d.ID, d.ID)
			return err
		},
	}
	daemon.add(c)
	addTarget(c, &request.OverrideTarget)
	completeTarget(c, &daemon)
	c.ValidArgsFunction = completeWith(&daemon, completeAddress)
	c.Flags().DurationVar(&lasts, "for", 0, "how long, from 1s to 24h (needed)")
	c.Flags().StringVar(&request.Reason, "reason", "", "why, for people (needed)")
	c.Flags().BoolVar(&request.Force, "force", false, "also when what would take over is not available")
	c.Flags().BoolVar(&wait, "wait", false, "stay until the end and print the report; Ctrl-C stops the drill")
	addAuthor(c, &request.Author)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// checkDrill says, in the words of the command line, what is missing.
func checkDrill(r *admin.DrillRequest) error {
	switch {
	case r.OverrideTarget == (admin.OverrideTarget{}):
		return errNoTarget
	case r.For == 0:
		return errors.New("want --for: how long, such as 10m")
	case r.Reason == "":
		return errors.New("want --reason: why, for those who find it later")
	}
	return r.Check()
}

// drillPoll is how often the state of a drill is asked for, and drillPatience how long gtmd may be out of reach after its end.
const (
	drillPoll     = time.Second
	drillPatience = time.Minute
)

// watchDrill stays with a drill until its end, or stops it when ctx ends by an interrupt, and prints the report. Stop lets a second
// interrupt end this command.
func watchDrill(ctx context.Context, stop func(), c *cobra.Command, daemon *client, d *admin.Drill, author string, asJSON bool) error {
	said := c.ErrOrStderr()
	printDrillStart(said, d)
	fmt.Fprintln(said, "Ctrl-C stops it.")
	told, isAway, lastBeat := drillNews{}, false, time.Now()
	told.print(said, d)
	for d.State == admin.DrillRunning {
		select {
		case <-ctx.Done():
			stop()
			stopped, err := stopDrill(c.Context(), daemon, d.ID, author)
			if err != nil {
				return fmt.Errorf("stop drill %s, which ends by itself at %s: %w", d.ID, moment(d.Ends), err)
			}
			d = stopped
			continue
		case <-time.After(drillPoll):
		}
		now, err := findDrill(ctx, daemon, d.ID)
		switch {
		case ctx.Err() != nil:
			continue
		case err != nil && isUnreachable(err) && time.Since(d.Ends) < drillPatience:
			if !isAway {
				fmt.Fprintf(said, "gtmd cannot be reached: the drill ends by itself at %s all the same; trying again\n", moment(d.Ends))
			}
			isAway = true
			continue
		case err != nil:
			return err
		}
		d, isAway = now, false
		told.print(said, d)
		if time.Since(lastBeat) >= time.Minute && d.State == admin.DrillRunning {
			lastBeat = time.Now()
			fmt.Fprintf(said, "%s left\n", span(time.Until(d.Ends)))
		}
	}
	if asJSON {
		if err := printJSON(c.OutOrStdout(), d); err != nil {
			return err
		}
	} else if err := printDrill(c.OutOrStdout(), d); err != nil {
		return err
	}
	if d.CameBack == nil || !*d.CameBack {
		return fmt.Errorf("not everything is as it was before; \"gtmd drill report %s\" says when it is", d.ID)
	}
	return nil
}

// readDrills are all drills, the latest first.
func readDrills(ctx context.Context, daemon *client) (list admin.DrillList, err error) {
	err = daemon.get(ctx, "/api/v1/drills", url.Values{"limit": {"1000"}}, &list)
	return list, err
}

// findDrill is the drill of an ID; without one, the latest.
func findDrill(ctx context.Context, daemon *client, id string) (*admin.Drill, error) {
	list, err := readDrills(ctx, daemon)
	if err != nil {
		return nil, err
	}
	for i := range list.Drills {
		if id == "" || list.Drills[i].ID == id {
			return &list.Drills[i], nil
		}
	}
	if id == "" {
		return nil, errors.New("there was no drill yet")
	}
	return nil, fmt.Errorf("there is no drill %s", id)
}

func stopDrill(ctx context.Context, daemon *client, id, author string) (*admin.Drill, error) {
	var d admin.Drill
	err := daemon.post(ctx, "/api/v1/drills/stop", admin.StopDrillRequest{ID: id, Author: author}, &d)
	return &d, err
}
