package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

func newProbe() *cobra.Command {
	var daemon client
	var request admin.ProbeRequest
	var asJSON bool
	c := &cobra.Command{
		Use: "probe ADDRESS|POOL", Short: "Probe an address or a pool now, beside the schedule",
		Long: `Have the running gtmd probe an address, or every address of a pool, now: with the probes of the
schedule and from where it stands, but beside it. What comes out changes no verdict; STANDING is
the verdict that the scheduled probes have come to. Of a domain name the addresses behind it are
probed. A push check sends nothing: the last report of the origin is shown.

The exit code is 0 when every probe was good, else 1.`,
		Example: `  gtmd probe 192.0.2.1
  gtmd probe test1
  gtmd probe 192.0.2.1 --pool test1 --json`,
		Args: arguments(1, "an address or a pool"),
		RunE: func(c *cobra.Command, args []string) error {
			isPool, err := isPool(c.Context(), &daemon, args[0], request.Pool)
			if err != nil {
				return err
			}
			if isPool {
				request.Pool = args[0]
			} else {
				request.Address = args[0]
			}
			request.Author = authorOr(request.Author)
			if err := request.Check(); err != nil {
				return &exitError{exitUsage, err}
			}
			var reply admin.ProbeReply
			err = showing(c.ErrOrStderr(), func(took string) string { return "probing " + args[0] + ": " + took }, func() error { return daemon.post(c.Context(), "/api/v1/probe", request, &reply) })
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), reply)
			} else {
				err = printProbes(c.OutOrStdout(), reply.Probes)
			}
			if err != nil {
				return err
			}
			return badProbes(reply.Probes)
		},
	}
	daemon.add(c)
	c.ValidArgsFunction = completeWith(&daemon, completeProbe)
	c.Flags().StringVar(&request.Pool, "pool", "", "only the address of this pool")
	completeFlag(c, "pool", completeWith(&daemon, func(s *admin.Status, _ *cobra.Command, _ []string) []string { return poolsOf(s) }))
	addAuthor(c, &request.Author)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// isPool reports whether an argument is meant as the name of a pool: it is no IP address, stands beside no pool, and is the name of a
// pool that is probed or at least not written like a domain name.
func isPool(ctx context.Context, daemon *client, text, beside string) (bool, error) {
	if _, err := netip.ParseAddr(text); err == nil || beside != "" {
		return false, nil
	}
	if !strings.Contains(text, ".") {
		return true, nil
	}
	var list admin.TargetList
	err := daemon.get(ctx, "/api/v1/targets", url.Values{"pool": {text}}, &list)
	return len(list.Targets) > 0, err
}

// printProbes writes a table of probes.
func printProbes(out io.Writer, all []admin.ProbeNow) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "ADDRESS\tCHECK\tRESULT\tMS\tCONNECT\tTLS\tFIRST BYTE\tBODY\tSTANDING\tREASON\n")
	for i := range all {
		p := &all[i]
		phases := p.Phases
		if phases == nil {
			phases = &admin.Phases{}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Address, checkName(p), resultText(p), p.Milliseconds, phase(phases.ConnectMS),
			phase(phases.TLSMS), phase(phases.FirstByteMS), phase(phases.BodyMS), p.Standing, probeRemarks(p))
	}
	return w.Flush()
}

// checkName is the health check with the name that was asked.
func checkName(p *admin.ProbeNow) string {
	if p.Host == "" {
		return p.HealthCheck
	}
	return p.HealthCheck + " (" + p.Host + ")"
}

func resultText(p *admin.ProbeNow) string {
	switch {
	case p.Void:
		return "void"
	case !p.Good:
		return "BAD"
	case p.Degraded != "":
		return "degraded"
	default:
		return "good"
	}
}

// phase writes the milliseconds of a part of a probe; one that there was not is a dash.
func phase(ms float64) string {
	if ms == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", ms)
}

// probeRemarks is everything that there is to say of a probe.
func probeRemarks(p *admin.ProbeNow) string {
	var all []string
	for _, text := range []string{p.Reason, p.Degraded} {
		if text != "" {
			all = append(all, text)
		}
	}
	if p.CertificateExpires != nil {
		all = append(all, "certificate until "+p.CertificateExpires.UTC().Format(time.DateOnly))
	}
	if p.Note != "" {
		all = append(all, p.Note)
	}
	return strings.Join(all, "; ")
}

// badProbes is an error unless all are good.
func badProbes(all []admin.ProbeNow) error {
	bad := 0
	for i := range all {
		if !all[i].Good {
			bad++
		}
	}
	if bad == 0 {
		return nil
	}
	return fmt.Errorf("%d of %s not good", bad, plural(len(all), "probe was", "probes were"))
}
