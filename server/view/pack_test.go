package view

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Names and address records that are packed here are packed as the library does.
func TestPackedAsLibrary(t *testing.T) {
	label := strings.Repeat("x", 63)
	long := strings.Repeat(label+".", 3)
	for _, name := range []string{
		".", "a.", "a", "", "www.Example.com.", "www.example.com", `a\.b.c.`, `\097.b.`, "a..b.", ".a.", label + ".", "x" + label + ".",
		long + strings.Repeat("y", 61) + ".", long + strings.Repeat("y", 62) + ".", "*.a.", "_x._y.z.", "ü.example.",
	} {
		buffer := make([]byte, 300)
		want := []byte{0}
		if n, err := dns.PackDomainName(dns.Fqdn(name), buffer, 0, nil, false); err == nil {
			want = buffer[:n]
		}
		if got := wireName(name); !bytes.Equal(got, want) {
			t.Errorf("%q is packed as %q, want %q", name, got, want)
		}
	}
	c := &compiler{builder: &builder{}}
	for _, row := range []struct {
		records string
		isOwn   bool // packed here
	}{
		{"w.gtm.test. 60 A 192.0.2.1", true},
		{"w.gtm.test. 60 A 192.0.2.1\nw.gtm.test. 60 A 192.0.2.2", true},
		{"W.gtm.test. 60 AAAA 2001:db8::1\nW.gtm.test. 60 AAAA ::ffff:192.0.2.1", true},
		{"w.gtm.test. 60 A 192.0.2.1\nW.gtm.test. 60 A 192.0.2.2", false},
		{"x.gtm.test. 60 A 192.0.2.1", false},
		{"w.gtm.test. 60 CNAME x.gtm.test.\nx.gtm.test. 60 A 192.0.2.1", false},
		{`w.gtm.test. 60 TXT "x"`, false},
	} {
		var m message
		for line := range strings.Lines(row.records) {
			rr, err := dns.NewRR(line)
			if err != nil {
				t.Fatal(err)
			}
			m.answer = append(m.answer, rr)
		}
		got := m.packAddresses(key("w.gtm.test."))
		if (got != nil) != row.isOwn {
			t.Errorf("%q: packed here: %t, want %t", row.records, got != nil, row.isOwn)
		}
		if got == nil {
			continue
		}
		want := c.packMessage(m.answer[0].Header().Name, m, true)
		if !bytes.Equal(got.Body, want.Body) || got.Counts != want.Counts || got.NameLen != want.NameLen || got.Authoritative != want.Authoritative {
			t.Errorf("%q is packed as %+v, want %+v", row.records, got, want)
		}
	}
}
