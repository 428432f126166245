package main

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

func newChain() *cobra.Command {
	var daemon client
	var asJSON bool
	c := &cobra.Command{
		Use:   "chain [DOMAIN]",
		Short: "Show whether business domains lead to the CDN, and who asks for the access domain",
		Long: `Show where a business domain leads: each CNAME record up to the addresses, whether that is as it should
be, and which resolvers have asked for the access domain lately: those of the CDN, if it takes its
origin from here.

With a domain, of the configuration or not, the running gtmd resolves it now. Without one, all business domains are
shown as they were when they were last resolved.

It exits with 1 when a business domain is not configured, or could not be resolved.`,
		Example: `  gtmd chain
  gtmd chain www.example.com`,
		Args: atMost(1, "at most one domain"),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := readChains(c, &daemon, args)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), r)
			} else {
				err = printChains(c.OutOrStdout(), r)
			}
			if err == nil && slices.ContainsFunc(r.Domains, isAmiss) {
				return &exitError{exitNegative, nil}
			}
			return err
		},
	}
	daemon.add(c)
	c.ValidArgsFunction = completeWith(&daemon, completeDomains)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// chains is what the command shows: domains, and who asks for the access domains of their instances.
type chains struct {
	Domains   []admin.BusinessDomainStatus `json:"domains"`
	Askers    []admin.Asker                `json:"askers"` // the latest first
	Forgotten bool                         `json:"forgotten,omitempty"`
}

// isAmiss reports whether a domain is one to look after.
func isAmiss(s admin.BusinessDomainStatus) bool {
	return s.State == admin.NotConfigured || s.State == admin.ConfigUnknown
}

// readChains asks for one domain, or for all.
func readChains(c *cobra.Command, daemon *client, args []string) (*chains, error) {
	r := &chains{Domains: []admin.BusinessDomainStatus{}, Askers: []admin.Asker{}}
	query := url.Values{}
	if len(args) == 1 {
		var s admin.BusinessDomainStatus
		if err := daemon.get(c.Context(), "/api/v1/chain", url.Values{"domain": args}, &s); err != nil {
			return nil, err
		}
		r.Domains = append(r.Domains, s)
		if s.Instance == "" {
			return r, nil // nobody is expected to ask for it
		}
		query.Set("instance", s.Instance)
	} else {
		var err error
		if r.Domains, err = readDomains(c.Context(), daemon); err != nil {
			return nil, err
		}
	}
	return r, eachPage(query, func(query url.Values) (int, bool, error) {
		var page admin.AskerList
		err := daemon.get(c.Context(), "/api/v1/askers", query, &page)
		r.Askers, r.Forgotten = append(r.Askers, page.Askers...), page.Forgotten
		return len(page.Askers), page.More, err
	})
}

// eachPage asks for a list in parts until there is no more.
func eachPage(query url.Values, read func(url.Values) (count int, more bool, err error)) error {
	query.Set("limit", "1000")
	for offset := 0; ; {
		query.Set("offset", strconv.Itoa(offset))
		count, more, err := read(query)
		if err != nil || !more || count == 0 {
			return err
		}
		offset += count
	}
}

// mostAskers is how many askers of an instance are listed.
const mostAskers = 10

// printChains writes domains for people, those to look after first, and then who asks.
func printChains(out io.Writer, r *chains) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(r.Domains) == 0 {
		fmt.Fprintln(w, "there are no business domains: give an instance its business_domains")
	}
	for _, amiss := range []bool{true, false} {
		for i := range r.Domains {
			if isAmiss(r.Domains[i]) == amiss {
				printDomain(w, &r.Domains[i])
			}
		}
	}
	var instances []string
	for i := range r.Domains {
		if in := r.Domains[i].Instance; in != "" && !slices.Contains(instances, in) {
			instances = append(instances, in)
		}
	}
	for _, in := range instances {
		asking := slices.DeleteFunc(slices.Clone(r.Askers), func(a admin.Asker) bool { return a.Instance != in })
		if len(asking) == 0 {
			fmt.Fprintf(w, "%s: no resolver has asked for its access domain since this gtmd started, as far as is remembered\n", in)
			continue
		}
		fmt.Fprintf(w, "%s: asked for by %s\n", in, count(len(asking), "resolver"))
		fmt.Fprintf(w, "  RESOLVER\tLAST\tFIRST\tCLIENT SUBNET\tADDRESS\tWHO\n")
		for _, a := range asking[:min(len(asking), mostAskers)] {
			fmt.Fprintf(w, "  %s\t%s ago\t%s ago\t%s\t%s\t%s\n", a.Address, age(a.Last), age(a.First), either(a.Subnet, "yes", "no"), either(a.Proven, "proven", "as it says"), a.Facts)
		}
		if more := len(asking) - mostAskers; more > 0 {
			fmt.Fprintf(w, "  and %d more, which asked before\n", more)
		}
	}
	if r.Forgotten {
		fmt.Fprintln(w, "Within the last hour there were more than fit in memory: some are forgotten.")
	}
	return w.Flush()
}

// printDomain writes the state of a domain and its chain.
func printDomain(w io.Writer, s *admin.BusinessDomainStatus) {
	state := map[string]string{
		admin.Configured: "configured", admin.NotConfigured: "NOT CONFIGURED", admin.ConfigUnknown: "UNKNOWN", admin.ConfigNotAsked: "not checked",
		admin.ConfigNone: "no business domain",
	}[s.State]
	if s.Loop {
		state += ", LOOP"
	}
	if s.Since != nil {
		state += " for " + age(*s.Since)
	}
	fmt.Fprintf(w, "%s: %s", s.Domain, state)
	if s.Instance != "" {
		fmt.Fprintf(w, " (%s)", s.Instance)
	}
	fmt.Fprintf(w, "\n  %s\n", s.Reason)
	for _, l := range s.Chain {
		fmt.Fprintf(w, "  %s\t%d\t%s\t%s\t%s\n", l.Name, l.TTL, l.Type, l.Data, l.Note)
	}
	if s.Checked != nil {
		fmt.Fprintf(w, "  checked %s ago, in %.1f ms\n", age(*s.Checked), s.Milliseconds)
	}
	fmt.Fprintln(w)
}

func either(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}
