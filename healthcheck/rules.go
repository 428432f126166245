package healthcheck

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// validateKind finds what is wrong or missing in the keys that only one kind of probe has.
func (o *Options) validateKind(problem func(key, message string)) {
	switch o.Protocol {
	case DNS:
		o.validateDNS(problem)
	case GRPC:
		if !utf8.ValidString(o.Service) || strings.ContainsFunc(o.Service, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			problem("service", fmt.Sprintf("%q is not the name of a service: want its package and name, such as grpc.health.v1.Health", o.Service))
		}
	case Script:
		o.validateCommand(problem)
	case Push:
		if o.TokenFile == "" {
			problem("token_file", "is missing: want the path of a file with the token that the origin sends")
		}
	}
}

func (o *Options) validateDNS(problem func(key, message string)) {
	if _, ok := dns.IsDomainName(o.Query); o.Query != "" && !ok {
		problem("query", fmt.Sprintf("%q is not a domain name: want one such as www.example.com", o.Query))
	}
	switch upper := strings.ToUpper(o.QueryType); {
	case slices.Contains([]string{"AXFR", "IXFR", "OPT", "TSIG", "TKEY", "MAILA", "MAILB", "NONE", "RESERVED"}, upper):
		problem("query_type", fmt.Sprintf("%q is nothing that a query asks for: want a record type such as A or SOA", o.QueryType))
	case dns.StringToType[upper] == 0:
		problem("query_type", fmt.Sprintf("%q is not a record type: want one such as A, AAAA, SOA or TXT", o.QueryType))
	case upper != o.QueryType:
		problem("query_type", fmt.Sprintf("%q is not a record type: write %q", o.QueryType, upper))
	}
	for i, code := range o.ExpectRCode {
		upper := strings.ToUpper(code)
		_, known := dns.StringToRcode[upper]
		switch {
		case !known:
			problem("expect_rcode", fmt.Sprintf("%q is not a response code: want one such as NOERROR, NXDOMAIN or REFUSED", code))
		case upper != code:
			problem("expect_rcode", fmt.Sprintf("%q is not a response code: write %q", code, upper))
		case slices.Contains(o.ExpectRCode[:i], code):
			problem("expect_rcode", fmt.Sprintf("%q stands there twice: remove one", code))
		}
	}
	if o.ExpectAnswer != "" && !slices.Contains(o.ExpectRCode, "NOERROR") {
		problem("expect_answer", "only a response with NOERROR has an answer: add NOERROR to expect_rcode, or remove this")
	}
}

func (o *Options) validateCommand(problem func(key, message string)) {
	switch {
	case len(o.Command) == 0:
		problem("command", `is missing: want the path of a program and its arguments, such as ["/usr/lib/check", "{address}"]`)
		return
	case !filepath.IsAbs(o.Command[0]):
		problem("command", fmt.Sprintf("%q is not an absolute path: write where the program is, such as %q", o.Command[0], "/usr/bin/"+filepath.Base(o.Command[0])))
	case strings.ContainsAny(o.Command[0], "{}"):
		problem("command", fmt.Sprintf("the program %q depends on what is probed: only arguments may have {address}, {host} and {check}", o.Command[0]))
	}
	for _, argument := range o.Command {
		if strings.Contains(argument, "\x00") {
			problem("command", fmt.Sprintf("%q has a zero octet, which no argument can have: remove it", argument))
		}
	}
}
