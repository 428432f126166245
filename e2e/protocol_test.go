//go:build e2e

package e2e

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestProtocol asks gtmd with the tools of other name servers, which would complain about a malformed reply. The rows are
// those of BEHAVIOUR section 6.
func TestProtocol(t *testing.T) {
	programs := need(t, "dig", "kdig")
	l, _ := pair(t)
	const (
		soa   = `(?m)^gtm\.test\.\s+30\s+IN\s+SOA\s`
		none  = `ANSWER: 0[,;] AUTHORITY: 1`
		test1 = `(?m)^origin\.gtm\.test\.\s+1\s+IN\s+A\s+127\.0\.0\.2$`
	)
	for _, row := range []struct {
		name string
		args string // after the server
		want []string
	}{
		{"A", "origin.gtm.test A", []string{"status: NOERROR", `(?i)flags: qr aa`, "ANSWER: 1", "AUTHORITY: 0", test1}},
		{"A without EDNS", "origin.gtm.test A +noedns", []string{"status: NOERROR", "ADDITIONAL: 0", test1}},
		{"A over TCP", "origin.gtm.test A +tcp", []string{"status: NOERROR", `\(TCP\)`, "ANSWER: 1", test1}},
		{"A over IPv6", "-6 origin.gtm.test A", []string{"status: NOERROR", test1}},
		{"AAAA without IPv6 pools", "origin.gtm.test AAAA", []string{"status: NOERROR", none, soa}},
		{"TXT", "origin.gtm.test TXT", []string{"status: NOERROR", none, soa}},
		{"TXT over TCP", "origin.gtm.test TXT +tcp", []string{"status: NOERROR", none, soa}},
		{"HTTPS", "origin.gtm.test TYPE65", []string{"status: NOERROR", none, soa}},
		{"no such name", "nothing.gtm.test A", []string{"status: NXDOMAIN", none, soa}},
		{"below the access domain", "a.origin.gtm.test A", []string{"status: NXDOMAIN", none, soa}},
		{"apex SOA", "gtm.test SOA", []string{"status: NOERROR", `gtm\.test\.\s+3600\s+IN\s+SOA\s+ns1\.gtm\.test\. hostmaster\.shop\.test\.`}},
		{"apex NS", "gtm.test NS", []string{"status: NOERROR", `gtm\.test\.\s+3600\s+IN\s+NS\s+ns1\.gtm\.test\.`}},
		{"static CNAME", "www.gtm.test A", []string{"status: NOERROR", `(?m)^www\.gtm\.test\.\s+60\s+IN\s+CNAME\s+origin\.gtm\.test\.`}},
		{"outside", "www.shop.test A", []string{"status: REFUSED", "ANSWER: 0[,;] AUTHORITY: 0"}},
		{"the root", ". NS", []string{"status: REFUSED", "ANSWER: 0[,;] AUTHORITY: 0"}},
		{"ANY", "origin.gtm.test ANY +notcp", []string{"status: NOERROR", "ANSWER: 1", `HINFO\s+"RFC8482"`}},
		{"class CH", "version.bind TXT -c CH", []string{"status: REFUSED", "ANSWER: 0"}},
	} {
		for _, program := range []string{"dig", "kdig"} {
			server := gtmdIP
			if strings.HasPrefix(row.args, "-6") {
				server = "::1"
			}
			args := append([]string{"@" + server, "-p", portOf(l.GTMD), "+norecurse", "+retry=0"}, strings.Fields(row.args)...)
			expect(t, program, row.name, programs[program], args, row.want)
		}
	}
	// What kdig cannot ask, or would ask in lower case.
	for _, row := range []struct {
		name, args string
		want       []string
	}{
		{"case of the question", "OrIgIn.GtM.tEsT A", []string{"status: NOERROR", `(?m)^;OrIgIn\.GtM\.tEsT\.\s+IN\s+A`, `(?m)^OrIgIn\.GtM\.tEsT\.\s+1\s+IN\s+A\s+127\.0\.0\.2$`}},
		{"EDNS version 1", "origin.gtm.test A +edns=1 +noednsnegotiation", []string{"status: BADVERS", "EDNS: version: 0", "ANSWER: 0, AUTHORITY: 0"}},
		{"unknown EDNS option", "origin.gtm.test A +ednsopt=65001:00ff", []string{"status: NOERROR", test1}},
		{"unknown EDNS flag", "origin.gtm.test A +ednsflags=0x40", []string{"status: NOERROR", "EDNS: version: 0, flags:;", test1}},
		{"DO", "origin.gtm.test A +dnssec", []string{"status: NOERROR", "flags: do;", test1}},
		{"NOTIFY", "gtm.test SOA +opcode=NOTIFY", []string{"opcode: NOTIFY, status: NOTIMP"}},
		{"UPDATE", "gtm.test SOA +opcode=UPDATE", []string{"opcode: UPDATE, status: NOTIMP"}},
		{"no question (RFC 9619)", "+header-only +nocookie", []string{"status: FORMERR"}},
		{"no question, for a cookie (RFC 7873 5.4)", "+header-only +cookie", []string{"status: NOERROR", `COOKIE: [0-9a-f]{48} \(good\)`}},
		{"zone transfer", "gtm.test AXFR", []string{"Transfer failed"}},
	} {
		args := append([]string{"@" + gtmdIP, "-p", portOf(l.GTMD), "+norecurse", "+retry=0"}, strings.Fields(row.args)...)
		expect(t, "dig", row.name, programs["dig"], args, row.want)
	}
}

// expect runs a program and looks for patterns in what it prints.
func expect(t *testing.T, kind, name, program string, args, want []string) {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %s %s: %v\n%s", name, kind, strings.Join(args, " "), err, out)
		return
	}
	for _, pattern := range want {
		if !regexp.MustCompile(pattern).Match(out) {
			t.Errorf("%s: %s %s: want %q in:\n%s", name, kind, strings.Join(args, " "), pattern, out)
		}
	}
}
