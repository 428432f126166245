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

func newAlert() *cobra.Command {
	c := &cobra.Command{
		Use: "alert", Short: "Show who is told of what happens, and try whether that works",
		Long: `Show the alert groups of the configuration, what they were told of that is not over, and how the
last messages went; send a test message.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newAlertTest(), newAlertStatus())
	return c
}

// errNotDelivered is told by the table of deliveries.
var errNotDelivered = &exitError{exitNegative, errors.New("the test message was not delivered by every method")}

func newAlertTest() *cobra.Command {
	var daemon client
	var request admin.AlertTestRequest
	var asJSON bool
	c := &cobra.Command{
		Use: "test GROUP", Short: "Send a test message to an alert group", Args: arguments(1, "an alert group"),
		Long: `Send a test message to an alert group of the running gtmd, by each of its methods or by one, and
wait until each has been tried once. The exit code is 1 when one has failed.`,
		Example: "  gtmd alert test oncall\n  gtmd alert test oncall --method mail",
		RunE: func(c *cobra.Command, args []string) error {
			request.Group, request.Author = args[0], authorOr(request.Author)
			var reply admin.AlertTestReply
			if err := daemon.post(c.Context(), "/api/v1/alerts/test", request, &reply); err != nil {
				return err
			}
			if err := printTested(c.OutOrStdout(), &reply, asJSON); err != nil {
				return err
			}
			for _, d := range reply.Deliveries {
				if d.Error != "" {
					return errNotDelivered
				}
			}
			return nil
		},
	}
	daemon.add(c)
	c.ValidArgsFunction = completeGroups(&daemon)
	c.Flags().StringVar(&request.Method, "method", "", "only by this method of the group")
	addAuthor(c, &request.Author)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printTested(out io.Writer, reply *admin.AlertTestReply, asJSON bool) error {
	if asJSON {
		return printJSON(out, reply)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, d := range reply.Deliveries {
		fmt.Fprintf(w, "%s\t%s\n", d.Method, deliveryText(&d))
	}
	return w.Flush()
}

// deliveryText says how an attempt went.
func deliveryText(d *admin.Delivery) string {
	if d.Error != "" {
		return "failed: " + d.Error
	}
	return "delivered"
}

func newAlertStatus() *cobra.Command {
	var daemon client
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "Show the alert groups, what goes on, and how the last messages went", Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			var status admin.AlertStatus
			if err := daemon.get(c.Context(), "/api/v1/alerts", nil, &status); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), status)
			}
			return printAlerts(c.OutOrStdout(), &status)
		},
	}
	daemon.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// printAlerts writes the state of alerting for people.
func printAlerts(out io.Writer, s *admin.AlertStatus) error {
	const mostDeliveries = 10
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(s.Groups) == 0 {
		fmt.Fprintln(w, "nobody is told: the configuration has no [[alert_group]]")
	} else {
		fmt.Fprintf(w, "GROUP\tMETHOD\tKIND\tTO\tWAITING\tLAST SUCCESS\tNEXT ATTEMPT\tERROR\n")
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		for j := range g.Methods {
			m := &g.Methods[j]
			next := "-"
			if m.Next != nil {
				next = "in " + span(time.Until(*m.Next))
			}
			success := "-"
			if m.LastSuccess != nil {
				success = age(*m.LastSuccess) + " ago"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", g.Name, m.Name, m.Kind, m.To, m.Queued, success, next, m.Error)
		}
		if len(g.Instances) > 0 {
			fmt.Fprintf(w, "  told of %s\n", strings.Join(g.Instances, ", "))
		}
	}
	if len(s.Firing) > 0 {
		fmt.Fprintf(w, "\nNOT OVER\tFOR\t\n")
	}
	for i := range s.Firing {
		f := &s.Firing[i]
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Kind, age(f.Since), f.Title)
	}
	if len(s.Deliveries) > 0 {
		fmt.Fprintf(w, "\nLAST MESSAGES\tGROUP\tMETHOD\tATTEMPT\tMESSAGE\t\n")
	}
	for i := range s.Deliveries[:min(len(s.Deliveries), mostDeliveries)] {
		d := &s.Deliveries[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", moment(d.Time), d.Group, d.Method, d.Attempt, d.Message, deliveryText(d))
	}
	return w.Flush()
}
