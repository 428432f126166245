package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"gtmd/admin"
)

// selftestReport is what selftest prints with --json.
type selftestReport struct {
	Server string           `json:"server"`
	Zone   string           `json:"zone"`
	Name   string           `json:"name,omitempty"` // the access domain that was asked for; empty: there is none
	OK     bool             `json:"ok"`
	Rows   []selftestResult `json:"rows"`
}

// selftestResult is what became of one row over one transport.
type selftestResult struct {
	Check     string `json:"check"`
	RFC       string `json:"rfc"`
	Transport string `json:"transport"` // "udp" or "tcp"
	OK        bool   `json:"ok"`
	// Got says what is wrong with the reply, Skipped why nothing was asked.
	Got     string `json:"got,omitempty"`
	Skipped string `json:"skipped,omitempty"`
}

func newSelftest() *cobra.Command {
	var daemon client
	var server, zone, name string
	var asJSON bool
	c := &cobra.Command{
		Use:   "selftest",
		Short: "Ask a running server what RFC 8906 and its like want answered",
		Long: `Ask a server over real sockets, UDP and TCP, the questions of RFC 8906 (what servers and the boxes before
them get wrong), and some more, and say of each with its RFC whether the reply is what it should be. It
shows what a client sees, so also what a firewall on the way does.

Without --server the first address is asked that the running gtmd listens on. Without --zone and --name
its first access domain is asked for, and the zone around it. Any authoritative server can be asked.`,
		Example: `  gtmd selftest
  gtmd selftest --server 192.0.2.53 --zone gtm.example.com`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			t := selftest{zone: zone, name: name, patience: selftestPatience}
			var err error
			if t.server, err = serverAddress(server); err != nil {
				return err
			}
			if err := t.prepare(c.Context(), &daemon); err != nil {
				return err
			}
			report := t.run(c.Context())
			if asJSON {
				err = printJSON(c.OutOrStdout(), report)
			} else {
				err = printSelftest(c.OutOrStdout(), &report)
			}
			if err == nil && !report.OK {
				err = &exitError{code: exitNegative}
			}
			return err
		},
	}
	daemon.add(c)
	c.Flags().StringVar(&server, "server", "", "the server to ask, ADDRESS or ADDRESS:PORT")
	c.Flags().StringVar(&zone, "zone", "", "a zone that it is authoritative for")
	c.Flags().StringVar(&name, "name", "", "an access domain in it")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// serverAddress reads an address with or without a port; empty: the zero value.
func serverAddress(text string) (netip.AddrPort, error) {
	if text == "" {
		return netip.AddrPort{}, nil
	}
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at, nil
	}
	ip, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.AddrPort{}, &exitError{exitUsage, fmt.Errorf("--server %q: want an address such as 192.0.2.53 or [2001:db8::53]:5300", text)}
	}
	return netip.AddrPortFrom(ip, 53), nil
}

// selftest asks one server.
type selftest struct {
	server     netip.AddrPort
	zone, name string // fully qualified once prepared; an empty name: there is no access domain
	patience   time.Duration
}

// prepare finds out, of the running gtmd, what was not said.
func (t *selftest) prepare(ctx context.Context, daemon *client) error {
	if !t.server.IsValid() || t.zone == "" && t.name == "" {
		var status admin.Status
		if err := daemon.get(ctx, "/api/v1/status", nil, &status); err != nil {
			return err
		}
		if !t.server.IsValid() {
			if len(status.Listen) == 0 {
				return errors.New("the running gtmd listens on no DNS address: name one with --server")
			}
			t.server = reachable(status.Listen[0])
		}
		if t.zone == "" && t.name == "" {
			if len(status.Instances) == 0 {
				return errors.New("the running gtmd has no access domain: name a zone with --zone")
			}
			t.name = status.Instances[0].AccessDomain
		}
	}
	if t.name != "" {
		t.name = dns.Fqdn(t.name)
	}
	if t.zone != "" {
		t.zone = dns.Fqdn(t.zone)
		return nil
	}
	// A question for a type that an access domain does not have is answered with the SOA record of its zone.
	reply, err := t.ask(ctx, "udp", query(t.name, dns.TypeSOA))
	if err != nil {
		return fmt.Errorf("ask %s for the zone of %s: %w", t.server, t.name, err)
	}
	for _, rr := range append(reply.Answer, reply.Ns...) {
		if rr.Header().Rrtype == dns.TypeSOA {
			t.zone = rr.Header().Name
			return nil
		}
	}
	return fmt.Errorf("%s does not tell the zone of %s: name it with --zone", t.server, t.name)
}

// run asks everything.
func (t *selftest) run(ctx context.Context) selftestReport {
	report := selftestReport{Server: t.server.String(), Zone: t.zone, Name: t.name, OK: true}
	for _, row := range selftestRows(t.zone, t.name, t.large(ctx)) {
		for _, transport := range []string{"udp", "tcp"} {
			if row.only != "" && row.only != transport {
				continue
			}
			result := selftestResult{Check: row.check, RFC: row.rfc, Transport: transport}
			switch {
			case row.packet == nil:
				result.Skipped = row.skip
			default:
				if err := t.try(ctx, transport, &row); err != nil {
					result.Got = err.Error()
				} else {
					result.OK = true
				}
			}
			report.OK = report.OK && (result.OK || result.Skipped != "")
			report.Rows = append(report.Rows, result)
		}
	}
	return report
}

// large finds a question whose answer has more than 512 octets; nil: there is none among the likely ones.
func (t *selftest) large(ctx context.Context) *dns.Question {
	for _, q := range []dns.Question{{Name: t.name, Qtype: dns.TypeA}, {Name: t.name, Qtype: dns.TypeAAAA}, {Name: t.zone, Qtype: dns.TypeNS},
		{Name: t.zone, Qtype: dns.TypeTXT}, {Name: t.zone, Qtype: dns.TypeDNSKEY}, {Name: t.zone, Qtype: dns.TypeMX}} {
		if q.Name == "" {
			continue
		}
		packet, err := query(q.Name, q.Qtype).Pack()
		if err != nil {
			continue
		}
		if raw, err := t.exchange(ctx, "tcp", packet, t.patience); err == nil && len(raw) > dns.MinMsgSize {
			return &q
		}
	}
	return nil
}

// How long a reply may take, and how long to wait for one that should not come.
const (
	selftestPatience = 3 * time.Second
	selftestSilence  = 300 * time.Millisecond
)

// try asks one row; nil: the reply is what it should be.
func (t *selftest) try(ctx context.Context, transport string, row *selftestRow) error {
	packet, err := row.packet()
	if err != nil {
		return err
	}
	wait := t.patience
	if row.isSilent {
		wait = selftestSilence
	}
	raw, err := t.exchange(ctx, transport, packet, wait)
	switch {
	case row.isSilent && err != nil:
		return nil // nothing came, or the connection was closed
	case row.isSilent:
		return errors.New("a reply, and there should be none")
	case err != nil:
		return err
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(raw); err != nil {
		return fmt.Errorf("a reply that cannot be read: %w", err)
	}
	if reply.Id != uint16(packet[0])<<8|uint16(packet[1]) || !reply.Response {
		return errors.New("something that is no reply to the query")
	}
	return row.verify(reply, raw)
}

// ask is exchange for a message.
func (t *selftest) ask(ctx context.Context, transport string, m *dns.Msg) (*dns.Msg, error) {
	packet, err := m.Pack()
	if err != nil {
		return nil, err
	}
	raw, err := t.exchange(ctx, transport, packet, t.patience)
	if err != nil {
		return nil, err
	}
	reply := new(dns.Msg)
	return reply, reply.Unpack(raw)
}

// exchange sends a packet from a new socket and waits for one.
func (t *selftest) exchange(ctx context.Context, transport string, packet []byte, wait time.Duration) ([]byte, error) {
	dialer := net.Dialer{Timeout: t.patience}
	raw, err := dialer.DialContext(ctx, transport, t.server.String())
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	conn := &dns.Conn{Conn: raw, UDPSize: dns.MaxMsgSize}
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(packet); err != nil {
		return nil, err
	}
	reply := make([]byte, dns.MaxMsgSize)
	n, err := conn.Read(reply)
	if failed := net.Error(nil); errors.As(err, &failed) && failed.Timeout() {
		return nil, fmt.Errorf("no reply within %s", wait)
	}
	return reply[:n], err
}

// printSelftest writes the rows, and at the end how many are not as they should be.
func printSelftest(out io.Writer, r *selftestReport) error {
	fmt.Fprintf(out, "%s, zone %s", r.Server, r.Zone)
	if r.Name != "" {
		fmt.Fprintf(out, ", access domain %s", r.Name)
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	failed, skipped := 0, 0
	for _, row := range r.Rows {
		verdict := "ok"
		switch {
		case row.Skipped != "":
			skipped++
			verdict = "skipped: " + row.Skipped
		case !row.OK:
			failed++
			verdict = "FAILED: " + row.Got
		}
		fmt.Fprintf(w, "%s\t%s\tRFC %s\t%s\n", row.Transport, row.Check, row.RFC, verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d ok, %d failed, %d skipped\n", len(r.Rows)-failed-skipped, failed, skipped)
	return err
}
