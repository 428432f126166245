package server

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/geo"
	"gtmd/server/view"
)

// The keys of the tests: what they are called, and their secrets.
const (
	goodKey, otherKey = "transfer.key.", "other.key."
	goodSecret        = "c2VjcmV0IG9mIHRoZSBnb29kIGtleSBvZiB0aGUgdGVzdHM="
	otherSecret       = "c2VjcmV0IG9mIHRoZSBvdGhlciBrZXkgb2YgdGhlIHRlc3Q="
)

// longZone takes several messages.
var longZone = testZone + longRecords()

// secrets are those that the client takes for the right ones.
var secrets = map[string]string{goodKey: goodSecret, otherKey: otherSecret}

// TestAXFR: RFC 5936 section 2.2, with and without signature: the SOA record first and last, every record of the zone once, in
// several messages.
func TestAXFR(t *testing.T) {
	p := newPrimary(t, ZoneOptions{TransferTo: []Network{prefix(t, "127.0.0.1")}})
	var want []string
	parser := dns.NewZoneParser(strings.NewReader(longZone), "gtm.test.", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if rr.Header().Rrtype != dns.TypeSOA {
			want = append(want, rr.String())
		}
	}
	for i := range 3 {
		want = append(want, fmt.Sprintf("origin.gtm.test.\t60\tIN\tA\t198.51.100.%d", i+1))
	}
	slices.Sort(want)
	for name, m := range map[string]*dns.Msg{
		"AXFR": axfr(), "signed": signWith(axfr(), goodKey), "IXFR from an older one": ixfr(0), "IXFR, signed": signWith(ixfr(0), goodKey),
		"EDNS": axfr().SetEdns0(1232, true),
	} {
		t.Run(name, func(t *testing.T) {
			records, messages, err := p.transferred(m)
			if err != nil {
				t.Fatal(err)
			}
			last := len(records) - 1
			for _, i := range []int{0, last} {
				if soa, ok := records[i].(*dns.SOA); !ok || soa.Serial != 1 {
					t.Fatalf("record %d is %v, want the SOA record", i, records[i])
				}
			}
			var got []string
			for _, rr := range records[1:last] {
				got = append(got, rr.String())
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("records\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if messages < 2 {
				t.Errorf("%d message: the test shows nothing of the second", messages)
			}
		})
	}
	if n := p.stats.transfers.get("gtm.test.", "sent"); n != 5 {
		t.Errorf("%d transfers are counted, want 5", n)
	}
	if !strings.Contains(p.log.String(), `msg="zone transferred" zone=gtm.test. client=127.0.0.1 key=transfer.key serial=1 records=1611`) {
		t.Errorf("log: %s", p.log.String())
	}
}

// TestAXFRMessages looks at the messages themselves: RFC 5936 section 2.2.
func TestAXFRMessages(t *testing.T) {
	p := newPrimary(t, ZoneOptions{TransferTo: []Network{prefix(t, "127.0.0.0/8")}})
	conn := dial(t, "tcp", first(p.Server))
	m := axfr().SetEdns0(1232, true)
	m.Question[0].Name = "GTM.test."
	query, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	conn.Write(framed(query))
	for i, soas := 0, 0; soas < 2; i++ {
		raw := readTCP(t, conn)
		reply := unpacked(t, raw)
		if reply.Id != m.Id || !reply.Authoritative || !reply.Response || reply.Rcode != 0 || reply.Truncated || reply.RecursionAvailable {
			t.Errorf("message %d has header %v", i, reply.MsgHdr)
		}
		if len(raw) > messageSize {
			t.Errorf("message %d has %d octets", i, len(raw))
		}
		if isFirst := i == 0; isFirst != (len(reply.Question) == 1) || isFirst != (reply.IsEdns0() != nil) || isFirst && reply.Question[0].Name != "GTM.test." {
			t.Errorf("message %d: question %v, OPT %v", i, reply.Question, reply.IsEdns0())
		}
		for _, rr := range reply.Answer {
			if rr.Header().Rrtype == dns.TypeSOA {
				soas++
			}
		}
	}
	// RFC 7766 section 6.2.1: the connection is there for more.
	if reply := unpacked(t, exchange(t, conn, packet(t, "www.gtm.test.", dns.TypeA, 0, ""))); len(reply.Answer) != 1 {
		t.Errorf("the query behind the transfer got %v", reply)
	}
}

// TestTransferOptions: what a request of a transfer asks for in options is answered as by any other reply, in the first message.
func TestTransferOptions(t *testing.T) {
	p := newPrimary(t, ZoneOptions{TransferTo: []Network{prefix(t, "127.0.0.1")}})
	o := options(p.address)
	o.Cookies.Enabled, o.NSID, o.ExtendedErrors = true, "ns1", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	apply(t, p.Server, o)
	subnet := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.IP{192, 0, 2, 0}}
	for _, row := range []struct {
		name    string
		network string
		qtype   uint16
		error   int // -1: the zone is given
	}{
		{"gtm.test.", "tcp", dns.TypeAXFR, -1},
		{"example.", "tcp", dns.TypeAXFR, 18},
		{"example.", "udp", dns.TypeAXFR, 18},
		{"example.", "udp", dns.TypeIXFR, 18},
	} {
		conn := dial(t, row.network, first(p.Server))
		reply := unpacked(t, exchange(t, conn, asking(t, row.name, row.qtype, 1, cookieOption("clientCk"), askNSID, askKeepalive, subnet)))
		if (len(reply.Answer) > 0) != (row.error < 0) || !reply.RecursionDesired {
			t.Errorf("%s of %s over %s: %v", dns.TypeToString[row.qtype], row.name, row.network, reply)
		}
		if len(cookieIn(t, reply)) != 24 || option(reply, dns.EDNS0NSID) == nil || option(reply, dns.EDNS0SUBNET) == nil ||
			(option(reply, dns.EDNS0TCPKEEPALIVE) != nil) != (row.network == "tcp") {
			t.Errorf("%s of %s over %s: options %v", dns.TypeToString[row.qtype], row.name, row.network, reply.IsEdns0())
		}
		got := -1
		if e, has := option(reply, dns.EDNS0EDE).(*dns.EDNS0_EDE); has {
			got = int(e.InfoCode)
		}
		if got != row.error {
			t.Errorf("%s of %s over %s: extended error %d, want %d", dns.TypeToString[row.qtype], row.name, row.network, got, row.error)
		}
	}
}

// TestTransferRules is who may have the zone. Q08: to a stranger an AXFR is REFUSED.
func TestTransferRules(t *testing.T) {
	here, elsewhere := []Network{prefix(t, "127.0.0.0/8")}, []Network{prefix(t, "192.0.2.1"), prefix(t, "2001:db8::/64")}
	byKey := []string{"transfer.key"}
	for _, row := range []struct {
		name  string
		zone  ZoneOptions
		m     *dns.Msg
		rcode int
	}{
		{"by default nobody", ZoneOptions{}, axfr(), dns.RcodeRefused},
		{"by default nobody, IXFR", ZoneOptions{}, ixfr(0), dns.RcodeRefused},
		{"by default nobody, signed", ZoneOptions{}, signWith(axfr(), goodKey), dns.RcodeRefused},
		{"told but not allowed", ZoneOptions{Notify: []Peer{Peer(netip.MustParseAddrPort("127.0.0.1:9"))}}, axfr(), dns.RcodeRefused},
		{"network", ZoneOptions{TransferTo: here}, axfr(), dns.RcodeSuccess},
		{"network, signed with any key", ZoneOptions{TransferTo: here}, signWith(axfr(), otherKey), dns.RcodeSuccess},
		{"other network", ZoneOptions{TransferTo: elsewhere}, axfr(), dns.RcodeRefused},
		{"other network, signed", ZoneOptions{TransferTo: elsewhere}, signWith(axfr(), goodKey), dns.RcodeRefused},
		{"key", ZoneOptions{TransferKeys: byKey}, signWith(axfr(), goodKey), dns.RcodeSuccess},
		{"key, case of its name", ZoneOptions{TransferKeys: []string{"Transfer.Key."}}, signWith(axfr(), goodKey), dns.RcodeSuccess},
		{"key, not signed", ZoneOptions{TransferKeys: byKey}, axfr(), dns.RcodeRefused},
		{"key, signed with another", ZoneOptions{TransferKeys: byKey}, signWith(axfr(), otherKey), dns.RcodeRefused},
		{"both", ZoneOptions{TransferTo: here, TransferKeys: byKey}, signWith(axfr(), goodKey), dns.RcodeSuccess},
		{"both, not signed", ZoneOptions{TransferTo: here, TransferKeys: byKey}, axfr(), dns.RcodeRefused},
		{"both, from elsewhere", ZoneOptions{TransferTo: elsewhere, TransferKeys: byKey}, signWith(axfr(), goodKey), dns.RcodeRefused},
		{"name inside the zone", ZoneOptions{TransferTo: here}, new(dns.Msg).SetAxfr("www.gtm.test."), dns.RcodeRefused},
		{"no zone of ours", ZoneOptions{TransferTo: here}, new(dns.Msg).SetAxfr("example."), dns.RcodeRefused},
		{"IXFR without a serial (RFC 1995 section 3)", ZoneOptions{TransferTo: here}, new(dns.Msg).SetQuestion("gtm.test.", dns.TypeIXFR), dns.RcodeFormatError},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPrimary(t, row.zone)
			reply := p.exchanged(t, "tcp", row.m)
			if reply.Rcode != row.rcode || (row.rcode == dns.RcodeSuccess) != (len(reply.Answer) > 0) {
				t.Errorf("%s with %d records, want %s", dns.RcodeToString[reply.Rcode], len(reply.Answer), dns.RcodeToString[row.rcode])
			}
			if row.m.IsTsig() != nil && reply.IsTsig() == nil {
				t.Error("the reply is not signed (RFC 8945 section 5.3)")
			}
			isRefused := row.rcode == dns.RcodeRefused && row.m.Question[0].Name == "gtm.test." && p.transfers.rules.Load().zones["\x03gtm\x04test\x00"] != nil
			if n := p.stats.transfers.get("gtm.test.", "refused"); (n == 1) != isRefused {
				t.Errorf("%d refused transfers are counted", n)
			}
		})
	}
}

// TestIXFR: RFC 1995 section 2 and 4.
func TestIXFR(t *testing.T) {
	p := newPrimary(t, ZoneOptions{TransferTo: []Network{prefix(t, "127.0.0.1")}})
	if err := p.Swap(exported(t, 2).WithSerials(map[string]uint32{"gtm.test.": 7})); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		network string
		serial  uint32
		single  bool
	}{
		{"tcp", 7, true},
		{"tcp", 8, true}, // ahead of us
		{"tcp", 6, false},
		{"tcp", 0xffffffff, false}, // RFC 1982: before 7
		{"udp", 7, true},
		{"udp", 6, true}, // so that the client comes by TCP
	} {
		reply := p.exchanged(t, row.network, signWith(ixfr(row.serial), goodKey))
		if reply.Rcode != 0 || !reply.Authoritative || len(reply.Answer) == 0 || reply.Answer[0].(*dns.SOA).Serial != 7 || row.single != (len(reply.Answer) == 1) {
			t.Errorf("%s, serial %d: %v", row.network, row.serial, reply)
		}
	}
	if reply := p.exchanged(t, "udp", axfr()); reply.Rcode != dns.RcodeRefused { // Q07
		t.Errorf("AXFR over UDP: %s", dns.RcodeToString[reply.Rcode])
	}
	p.give(t, ZoneOptions{TransferKeys: []string{goodKey}})
	if reply := p.exchanged(t, "udp", ixfr(6)); reply.Rcode != dns.RcodeRefused || len(reply.Answer) > 0 {
		t.Errorf("IXFR over UDP from a stranger: %v", reply)
	}
}

// TestTransferLimit: more transfers than are allowed at one time get SERVFAIL, and no transfer outlives its connection.
func TestTransferLimit(t *testing.T) {
	p := newPrimary(t, ZoneOptions{TransferTo: []Network{prefix(t, "127.0.0.1")}})
	p.transfers.active.Store(2)
	if reply := p.exchanged(t, "tcp", axfr()); reply.Rcode != dns.RcodeServerFailure {
		t.Errorf("above the limit: %s", dns.RcodeToString[reply.Rcode])
	}
	if n := p.stats.transfers.get("gtm.test.", "busy"); n != 1 {
		t.Errorf("busy is counted %d times", n)
	}
	p.transfers.active.Store(0)
	r := p.responder(p.stats.join(false))
	query, err := axfr().Pack()
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	err = p.transfers.serve(r, query, netip.MustParseAddr("127.0.0.1"), func([]byte) error {
		if sent++; sent == 2 {
			return net.ErrClosed
		}
		return nil
	})
	if err == nil || sent != 2 || p.transfers.active.Load() != 0 || p.stats.transfers.get("gtm.test.", "failed") != 1 {
		t.Errorf("a connection that breaks: %v after %d messages, %d active", err, sent, p.transfers.active.Load())
	}
}

// TestTransferOfOneView: a transfer gives one state of the zone, whatever is published meanwhile.
func TestTransferOfOneView(t *testing.T) {
	p := newPrimary(t, ZoneOptions{TransferTo: []Network{prefix(t, "127.0.0.1")}})
	r := p.responder(p.stats.join(false))
	query, err := axfr().Pack()
	if err != nil {
		t.Fatal(err)
	}
	var serials []uint32
	err = p.transfers.serve(r, query, netip.MustParseAddr("127.0.0.1"), func(reply []byte) error {
		for _, rr := range unpacked(t, reply).Answer {
			if soa, ok := rr.(*dns.SOA); ok {
				serials = append(serials, soa.Serial)
			}
		}
		if len(serials) == 1 {
			if err := p.Swap(exported(t, p.View().Generation+1).WithSerials(map[string]uint32{"gtm.test.": 9})); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !slices.Equal(serials, []uint32{1, 1}) {
		t.Errorf("serials %v, error %v", serials, err)
	}
}

// TestSerialInAnswers: every SOA record that is sent has the present serial number, that of negative answers too.
func TestSerialInAnswers(t *testing.T) {
	p := newPrimary(t, ZoneOptions{TransferTo: []Network{prefix(t, "127.0.0.1")}})
	const serial = 0xfedcba98
	if err := p.Swap(exported(t, 2).WithSerials(map[string]uint32{"gtm.test.": serial})); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name  string
		qtype uint16
	}{
		{"gtm.test.", dns.TypeSOA}, {"gtm.test.", dns.TypeMX}, {"none.gtm.test.", dns.TypeA}, {"a.longer.name.below.none.gtm.test.", dns.TypeA},
		{"origin.gtm.test.", dns.TypeAAAA}, {"origin.gtm.test.", dns.TypeTXT}, {"alias.gtm.test.", dns.TypeMX},
	} {
		reply := p.exchanged(t, "udp", new(dns.Msg).SetQuestion(row.name, row.qtype))
		found := false
		for _, rr := range slices.Concat(reply.Answer, reply.Ns) {
			if soa, ok := rr.(*dns.SOA); ok {
				found = true
				if soa.Serial != serial || soa.Refresh != 7200 || soa.Minttl != 30 {
					t.Errorf("%s %s: %v", row.name, dns.TypeToString[row.qtype], soa)
				}
			}
		}
		if !found {
			t.Errorf("%s %s has no SOA record: %v", row.name, dns.TypeToString[row.qtype], reply)
		}
	}
	query := packet(t, "none.gtm.test.", dns.TypeA, 1232, "")
	r, dst := p.responder(p.stats.join(true)), make([]byte, 0, 1232)
	if n := testing.AllocsPerRun(100, func() { r.Respond(dst, query, netip.MustParseAddr("192.0.2.1"), 1232) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzTransfer sends anything to the slow paths. Whatever it is, there is no panic, replies can be read, and nobody has a record of
// the zone who is not allowed to.
func FuzzTransfer(f *testing.F) {
	p := &primary{Server: New(slog.New(slog.NewTextHandler(io.Discard, nil)), NewStats())}
	if err := p.Swap(exported(f, 1)); err != nil {
		f.Fatal(err)
	}
	p.give(f, ZoneOptions{TransferKeys: []string{goodKey}})
	for _, m := range []*dns.Msg{axfr(), ixfr(0), ixfr(1), axfr().SetEdns0(1232, true), new(dns.Msg).SetQuestion("gtm.test.", dns.TypeSOA)} {
		packed, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
		for _, secret := range []string{goodSecret, otherSecret} {
			signed, _, err := dns.TsigGenerate(signWith(m.Copy(), goodKey), secret, "", false)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(signed)
		}
	}
	r, u := p.responder(p.stats.join(false)), p.responder(p.stats.join(true))
	source := netip.MustParseAddr("192.0.2.1")
	f.Fuzz(func(t *testing.T, message []byte) {
		before := bytes.Clone(message)
		check := func(reply []byte) {
			m := unpacked(t, reply)
			if t := m.IsTsig(); t != nil && t.Error == 0 && t.MACSize > 0 {
				return // by the right key
			}
			if isTransfer(message) && len(m.Answer) > 0 {
				t.Errorf("a request that is not signed got %v", m)
			}
		}
		if isTransfer(message) {
			p.transfers.serve(r, message, source, func(reply []byte) error { check(reply); return nil })
		}
		for _, r := range []*Responder{r, u} {
			if reply := r.Respond(nil, message, source, 1232); len(reply) > 0 {
				check(reply)
			}
		}
		if !bytes.Equal(message, before) {
			t.Error("the request was changed")
		}
	})
}

func TestSecretIsNeverPrinted(t *testing.T) {
	key := keys(t)[0]
	secret, _ := base64.StdEncoding.DecodeString(goodSecret)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		if text := fmt.Sprintf(verb, key); text != "transfer.key" || strings.Contains(text, string(secret)) {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}

// TestSlowReader: a client that does not read loses its connection after the idle time of streams, and its place among the transfers
// is free again.
func TestSlowReader(t *testing.T) {
	p := newPrimary(t, ZoneOptions{TransferTo: []Network{prefix(t, "127.0.0.1")}})
	z := view.Zone{Name: "gtm.test.", Exported: true}
	text := testZone
	for i := range 400 { // 24 MB: more than the kernel holds for a connection
		text += fmt.Sprintf("large%d TXT %s\n", i, strings.Repeat(`"`+strings.Repeat("x", 250)+`" `, 240))
	}
	parser := dns.NewZoneParser(strings.NewReader(text), z.Name, "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		z.Records = append(z.Records, rr)
	}
	places, err := geo.Compile(geo.Input{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := view.Build(view.Input{Generation: 2, Zones: []view.Zone{z}, Map: places})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Swap(v); err != nil {
		t.Fatal(err)
	}
	if records, _, err := p.transferred(axfr()); err != nil || len(records) != len(z.Records)+1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	o := options("127.0.0.1:0")
	o.TCPIdleTimeout, o.TCPMessageTimeout = time.Second, time.Second
	apply(t, p.Server, o)
	p.address = first(p.Server).String()
	conn := dial(t, "tcp", first(p.Server))
	query, err := axfr().Pack()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(framed(query)); err != nil {
		t.Fatal(err)
	}
	await(t, "the transfer is broken off", func() bool { return p.stats.transfers.get("gtm.test.", "failed") == 1 })
	await(t, "its place is free", func() bool { return p.transfers.active.Load() == 0 })
	if !strings.Contains(p.log.String(), "zone transfer broken off") {
		t.Errorf("log: %s", p.log.String())
	}
}
