package server

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/geo"
	"gtmd/policy"
	"gtmd/server/view"
)

// withManners gives a responder the manners that options ask for.
func withManners(tb testing.TB, r *Responder, o Options) {
	tb.Helper()
	m, err := newManners(o, cookieSecret{1}, r.manners.Load())
	if err != nil {
		tb.Fatal(err)
	}
	r.manners.Store(m)
}

// asking is a query with options; with none at all, it has no OPT record.
func asking(tb testing.TB, name string, qtype, class uint16, options ...dns.EDNS0) []byte {
	tb.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.Question[0].Qclass = class
	if len(options) > 0 {
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = options
	}
	packed, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return packed
}

var (
	askNSID      = &dns.EDNS0_NSID{Code: dns.EDNS0NSID}
	askKeepalive = &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE}
	askPadding   = &dns.EDNS0_PADDING{Padding: []byte{0}}
	askNothing   = &dns.EDNS0_LOCAL{Code: 65001}
)

// option is the option of a reply; nil when it has none of the code.
func option(m *dns.Msg, code uint16) dns.EDNS0 {
	if opt := m.IsEdns0(); opt != nil {
		if i := slices.IndexFunc(opt.Option, func(o dns.EDNS0) bool { return o.Option() == code }); i >= 0 {
			return opt.Option[i]
		}
	}
	return nil
}

func TestReplyOptionsByTransport(t *testing.T) {
	nsid := &dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: hex.EncodeToString([]byte("ns1"))}
	keepalive := &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE, Timeout: 100, Length: 2}
	for _, test := range []struct {
		id             string
		udp, encrypted bool
		options        []dns.EDNS0
		want           []dns.EDNS0
	}{
		{"E01 no EDNS", true, false, nil, nil},
		{"E05 nothing asked", true, false, []dns.EDNS0{askNothing}, nil},
		{"E17 NSID asked (RFC 5001 2.2)", true, false, []dns.EDNS0{askNSID}, []dns.EDNS0{nsid}},
		{"E17 over TCP", false, false, []dns.EDNS0{askNSID}, []dns.EDNS0{nsid}},
		{"E18 keepalive over UDP is ignored (RFC 7828 3.3.1)", true, false, []dns.EDNS0{askKeepalive}, nil},
		{"E19 keepalive over TCP, in 100 ms (RFC 7828 3.1)", false, false, []dns.EDNS0{askKeepalive}, []dns.EDNS0{keepalive}},
		{"E19 not asked", false, false, []dns.EDNS0{askNothing}, nil},
		{"E21 padding over UDP (RFC 7830 6)", true, false, []dns.EDNS0{askPadding}, nil},
		{"E21 padding over plain TCP (RFC 7830 6)", false, false, []dns.EDNS0{askPadding}, nil},
		{"E21 not asked over an encrypted stream (RFC 8467 4.1)", false, true, []dns.EDNS0{askNothing}, nil},
	} {
		r, _ := newResponder(t, test.udp)
		r.encrypted = test.encrypted
		withManners(t, r, Options{NSID: "ns1", TCPIdleTimeout: 10 * time.Second})
		m := unpacked(t, r.Respond(nil, asking(t, "www.gtm.test.", dns.TypeA, 1, test.options...), client, 1232))
		if opt := m.IsEdns0(); (opt != nil) != (test.options != nil) {
			t.Errorf("%s: OPT record %v", test.id, opt)
		} else if opt != nil && !slices.EqualFunc(opt.Option, test.want, func(a, b dns.EDNS0) bool { return a.Option() == b.Option() && a.String() == b.String() }) {
			t.Errorf("%s: options %v, want %v", test.id, opt.Option, test.want)
		}
	}
	// E21: every reply over an encrypted stream is a multiple of 468 octets when the client pads (RFC 8467 section 4.1).
	r, _ := newResponder(t, false)
	r.encrypted = true
	for _, name := range []string{"www.gtm.test.", "missing.gtm.test.", "example.com.", "big.gtm.test."} {
		reply := r.Respond(nil, asking(t, name, dns.TypeA, 1, askPadding), client, maxMessage)
		if m := unpacked(t, reply); len(reply)%468 != 0 || option(m, dns.EDNS0PADDING) == nil {
			t.Errorf("E21 %s: %d octets, options %v", name, len(reply), m.IsEdns0())
		}
	}
	// Nothing is told that is not configured.
	r, _ = newResponder(t, true)
	if m := unpacked(t, r.Respond(nil, asking(t, "www.gtm.test.", dns.TypeA, 1, askNSID, cookieOption("clientCk")), client, 1232)); len(m.IsEdns0().Option) != 0 {
		t.Errorf("without configuration: options %v", m.IsEdns0().Option)
	}
}

func TestChaos(t *testing.T) {
	told := Options{Version: "gtmd 1.2", Identity: "ns1.example"}
	for _, test := range []struct {
		id           string
		options      Options
		name         string
		qtype, class uint16
		rcode        int
		want         string
	}{
		{"Q05 version.bind (RFC 4892)", told, "version.bind.", dns.TypeTXT, dns.ClassCHAOS, 0, "gtmd 1.2"},
		{"Q05 in any case", told, "VERSION.Server.", dns.TypeTXT, dns.ClassCHAOS, 0, "gtmd 1.2"},
		{"Q06 id.server (RFC 4892)", told, "id.server.", dns.TypeTXT, dns.ClassCHAOS, 0, "ns1.example"},
		{"Q06 hostname.bind", told, "hostname.bind.", dns.TypeANY, dns.ClassCHAOS, 0, "ns1.example"},
		{"Q05 off by default", Options{}, "version.bind.", dns.TypeTXT, dns.ClassCHAOS, dns.RcodeRefused, ""},
		{"Q06 off by default", Options{}, "id.server.", dns.TypeTXT, dns.ClassCHAOS, dns.RcodeRefused, ""},
		{"Q06 one alone", Options{Version: "x"}, "id.server.", dns.TypeTXT, dns.ClassCHAOS, dns.RcodeRefused, ""},
		{"Q05 another type", told, "version.bind.", dns.TypeA, dns.ClassCHAOS, dns.RcodeRefused, ""},
		{"Q04 another name of class CH", told, "www.gtm.test.", dns.TypeA, dns.ClassCHAOS, dns.RcodeRefused, ""},
		{"Q04 class IN", told, "version.bind.", dns.TypeTXT, dns.ClassINET, dns.RcodeRefused, ""},
		{"Q04 class HS", told, "www.gtm.test.", dns.TypeA, dns.ClassHESIOD, dns.RcodeRefused, ""},
		{"Q04 class NONE", told, "www.gtm.test.", dns.TypeA, dns.ClassNONE, dns.RcodeRefused, ""},
		{"Q04 class ANY", told, "www.gtm.test.", dns.TypeA, dns.ClassANY, dns.RcodeRefused, ""},
		{"Q04 class 42", told, "www.gtm.test.", dns.TypeA, 42, dns.RcodeRefused, ""},
		{"Q04 class 0", told, "www.gtm.test.", dns.TypeA, 0, dns.RcodeRefused, ""},
	} {
		r, _ := newResponder(t, true)
		withManners(t, r, test.options)
		m := unpacked(t, r.Respond(nil, asking(t, test.name, test.qtype, test.class), client, 512))
		got := ""
		if len(m.Answer) == 1 {
			txt := m.Answer[0].(*dns.TXT)
			got = strings.Join(txt.Txt, "|")
			if txt.Hdr.Name != test.name || txt.Hdr.Class != dns.ClassCHAOS || txt.Hdr.Ttl != 0 {
				t.Errorf("%s: %v", test.id, txt)
			}
		}
		if m.Rcode != test.rcode || got != test.want || m.Authoritative != (test.want != "") {
			t.Errorf("%s: rcode %d, AA %v, %q, want %d, %q", test.id, m.Rcode, m.Authoritative, got, test.rcode, test.want)
		}
	}
}

func TestExtendedErrors(t *testing.T) {
	confided := Options{ExtendedErrors: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
	down := failingView(t)
	for _, test := range []struct {
		id           string
		source       string
		down         bool
		name         string
		qtype, class uint16
		code         int // -1: none
	}{
		{"E20 outside our zones (RFC 8914 4.21)", "203.0.113.9", false, "example.com.", dns.TypeA, 1, 20},
		{"E20 to nobody else", "192.0.2.1", false, "example.com.", dns.TypeA, 1, -1},
		{"E20 a transfer (RFC 8914 4.19)", "203.0.113.9", false, "gtm.test.", dns.TypeAXFR, 1, 18},
		{"E20 MAILB (RFC 8914 4.22)", "203.0.113.9", false, "gtm.test.", dns.TypeMAILB, 1, 21},
		{"E20 another class (RFC 8914 4.22)", "203.0.113.9", false, "www.gtm.test.", dns.TypeA, 4, 21},
		{"E20 an answer", "203.0.113.9", false, "all.gtm.test.", dns.TypeA, 1, -1},
		{"E20 NXDOMAIN", "203.0.113.9", false, "missing.gtm.test.", dns.TypeA, 1, -1},
		{"E20 fail open (RFC 8914 4.1)", "203.0.113.9", true, "down.gtm.test.", dns.TypeA, 1, 0},
		{"E20 fail open, to nobody else", "192.0.2.1", true, "down.gtm.test.", dns.TypeA, 1, -1},
	} {
		r, _ := newResponder(t, true)
		withManners(t, r, confided)
		if test.down {
			r.view.Store(down)
		}
		reply := r.Respond(nil, asking(t, test.name, test.qtype, test.class, askNothing), netip.MustParseAddr(test.source), 1232)
		got := -1
		if e, has := option(unpacked(t, reply), dns.EDNS0EDE).(*dns.EDNS0_EDE); has {
			got = int(e.InfoCode)
			if e.ExtraText == "" {
				t.Errorf("%s: no text", test.id)
			}
		}
		if got != test.code {
			t.Errorf("%s: extended error %d, want %d", test.id, got, test.code)
		}
	}
	// Without EDNS there is nowhere to put it.
	r, _ := newResponder(t, true)
	withManners(t, r, confided)
	if m := unpacked(t, r.Respond(nil, asking(t, "example.com.", dns.TypeA, 1), client, 512)); len(m.Extra) != 0 {
		t.Errorf("E01: %v", m)
	}
}

// failingView has the access domain down.gtm.test., none of whose addresses is up.
func failingView(tb testing.TB) *view.View {
	tb.Helper()
	places, err := geo.Compile(geo.Input{})
	if err != nil {
		tb.Fatal(err)
	}
	z := view.Zone{Name: "gtm.test."}
	parser := dns.NewZoneParser(strings.NewReader(testZone), z.Name, "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		z.Records = append(z.Records, rr)
	}
	pool := policy.NewPool(policy.PoolOptions{Name: "gone", Type: policy.TypeIPv4, Balance: policy.BalanceAll,
		Addresses: []policy.AddressOptions{{Address: "198.51.100.1", Mode: policy.ModeIntelligent, Weight: 1}}}, func(a *policy.AddressOptions) [][]string { return [][]string{{a.Address}} })
	o := policy.InstanceOptions{Name: "down", AccessDomain: "down.gtm.test.", TTL: 60, Policies: []policy.PolicyOptions{policyOf("Global", "global", "gone", policy.BalanceAll)}}
	o.Policies[0].Primary.MinAvailable = policy.Count(1)
	in := view.Instance{Instance: policy.NewInstance(o, map[string]*policy.Pool{"gone": pool}), Sources: [][]geo.Selector{{geo.Global}}}
	d := policy.Decide(in.Policies[0].Decided[policy.IPv4], policy.State{Health: func(*policy.Address) policy.Health { return policy.Down }}, policy.Memory{}, time.Unix(1e9, 0))
	in.Decisions = append(in.Decisions, [2]*policy.Decision{d})
	if d.Why != policy.FailOpen {
		tb.Fatalf("the policy is not in its last resort: %v", d.Why)
	}
	v, err := view.Build(view.Input{Generation: 1, Zones: []view.Zone{z}, Map: places, Instances: []view.Instance{in}})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// Q03: an error is no longer than the query and what the OPT record has to say.
func TestErrorsDoNotAmplify(t *testing.T) {
	r, _ := newResponder(t, true)
	withManners(t, r, Options{Cookies: CookieOptions{Enabled: true}, NSID: "ns1", Version: strings.Repeat("x", 255)})
	// A signature whose names are pointers to that of the question.
	pointing := packet(t, strings.Repeat("long-label-of-20.oct.", 11)+"example.", dns.TypeA, 0, "")
	pointing[11] = 1
	pointing = append(append(pointing, "\xc0\x0c\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x12\xc0\x0c"...), make([]byte, 16)...)
	for _, query := range [][]byte{
		pointing,
		packet(t, "example.com.", dns.TypeA, 0, ""),
		packet(t, ".", dns.TypeNS, 0, ""), // Q02
		packet(t, "example.com.", dns.TypeANY, 4096, "192.0.2.0/24"),
		asking(t, "www.gtm.test.", dns.TypeA, 4, askNothing),
		asking(t, "gtm.test.", dns.TypeAXFR, 1),
		append(packet(t, "www.gtm.test.", dns.TypeA, 0, ""), 0),
		packet(t, "www.gtm.test.", dns.TypeA, 0, "")[:20],
	} {
		if reply := r.Respond(nil, query, client, 1232); len(reply) > len(query) || reply[3]&15 == 0 {
			t.Errorf("query %x: %d octets, reply %d: %x", query, len(query), len(reply), reply)
		}
	}
}

// Over real sockets: a reload keeps the random secret, takes up another one of the file, and NSID.
func TestMannersReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cookies")
	write := func(secrets ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(secrets, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := options("127.0.0.1:0")
	o.Cookies.Enabled = true
	s := newServer(t, o)
	o.Listen[0] = first(s)
	conn := dial(t, "udp", first(s))
	ask := func(cookie string) (string, *dns.Msg) {
		t.Helper()
		m := unpacked(t, exchange(t, conn, asking(t, "www.gtm.test.", dns.TypeA, 1, cookieOption(cookie), askNSID)))
		return cookieIn(t, m), m
	}
	fresh, m := ask("clientCk")
	if len(fresh) != 24 || option(m, dns.EDNS0NSID) != nil {
		t.Fatalf("cookie %x, NSID %v", fresh, option(m, dns.EDNS0NSID))
	}
	if issued := time.Unix(int64(fresh[12])<<24|int64(fresh[13])<<16|int64(fresh[14])<<8|int64(fresh[15]), 0); time.Since(issued).Abs() > 5*time.Minute {
		t.Errorf("C06: issued at %v", issued)
	}
	o.NSID = "ns7"
	apply(t, s, o)
	again, m := ask(fresh)
	if nsid, has := option(m, dns.EDNS0NSID).(*dns.EDNS0_NSID); again != fresh || !has || nsid.Nsid != "6e7337" {
		t.Errorf("after a reload: cookie %x, want %x; NSID %v", again, fresh, option(m, dns.EDNS0NSID))
	}
	old, next := strings.Repeat("0a", 16), strings.Repeat("0b", 16)
	write(old)
	o.Cookies.SecretFile = file
	apply(t, s, o)
	if again, _ := ask(fresh); again == fresh {
		t.Error("the random secret goes on beside the file")
	}
	fresh, _ = ask("clientCk")
	write(next, old)
	if again, _ := ask(fresh); again != fresh {
		t.Error("the file is read without a reload")
	}
	apply(t, s, o)
	renewed, _ := ask(fresh)
	if renewed == fresh {
		t.Error("a cookie of the old secret is not renewed (RFC 9018 5)")
	}
	write(next)
	apply(t, s, o)
	if again, _ := ask(renewed); again != renewed {
		t.Error("the renewed cookie is not of the new secret")
	}
	write("nonsense")
	if change, err := s.Prepare(o); err == nil {
		change.Discard()
		t.Error("a file without secrets is taken")
	}
	if again, _ := ask(renewed); again != renewed {
		t.Error("a file that cannot be used changes something")
	}
}

// E22: options that are asked for together are each answered, and EXPIRE (RFC 7314), which is for transfers, is not.
func TestOptionsTogether(t *testing.T) {
	o := options("127.0.0.1:0")
	o.Cookies.Enabled, o.NSID = true, "ns1"
	s := newServer(t, o)
	query := asking(t, "ecs.gtm.test.", dns.TypeA, 1, askNSID, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, Address: netip.IPv4Unspecified().AsSlice()},
		&dns.EDNS0_LOCAL{Code: dns.EDNS0EXPIRE}, cookieOption("clientCk"), askKeepalive, askPadding)
	for network, want := range map[string][]uint16{
		"udp": {dns.EDNS0SUBNET, dns.EDNS0COOKIE, dns.EDNS0NSID},
		"tcp": {dns.EDNS0SUBNET, dns.EDNS0COOKIE, dns.EDNS0TCPKEEPALIVE, dns.EDNS0NSID},
	} {
		m := unpacked(t, exchange(t, dial(t, network, first(s)), query))
		var got []uint16
		for _, o := range m.IsEdns0().Option {
			got = append(got, o.Option())
		}
		subnet, _ := option(m, dns.EDNS0SUBNET).(*dns.EDNS0_SUBNET)
		if len(m.Answer) != 4 || !slices.Equal(got, want) || subnet == nil || subnet.SourceScope != 0 {
			t.Errorf("%s: %d answers, options %v, want %v", network, len(m.Answer), m.IsEdns0().Option, want)
		}
	}
}

func TestOptionsValidate(t *testing.T) {
	o := Options{NSID: strings.Repeat("n", 129), Version: strings.Repeat("v", 256), Identity: strings.Repeat("i", 255)}
	var got bytes.Buffer
	o.Validate(func(key, message string) { got.WriteString(key + " " + message + "\n") })
	if want := "nsid has 129 octets: want at most 128\nversion has 256 octets: want at most 255\n"; got.String() != want {
		t.Errorf("problems %q, want %q", got.String(), want)
	}
}

// FuzzManners wants of every packet, over each transport: a reply that can be read, of no more octets than it may have, with
// no option that was not asked for, and for an error no more octets than the query and what it asked for in options.
func FuzzManners(f *testing.F) {
	f.Add(packet(f, "www.gtm.test.", dns.TypeA, 1232, "192.0.2.0/24"), uint8(0))
	f.Add(asking(f, "big.gtm.test.", dns.TypeA, 1, askNSID, cookieOption("clientCk"), askKeepalive, askPadding), uint8(1))
	f.Add(asking(f, "example.com.", dns.TypeAXFR, 1, askPadding, cookieOption(strings.Repeat("x", 24))), uint8(2))
	f.Add(asking(f, "version.bind.", dns.TypeTXT, dns.ClassCHAOS, askNSID), uint8(0))
	f.Add(asking(f, "missing.gtm.test.", dns.TypeA, 1, cookieOption(strings.Repeat("x", 9))), uint8(1))
	o := Options{
		Cookies: CookieOptions{Enabled: true}, NSID: "ns1.example", Version: "version", Identity: "ns1.example",
		ExtendedErrors: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, TCPIdleTimeout: time.Second, RateLimit: limits(1, 1, 1, 1),
	}
	udp, stats := newResponder(f, true)
	tcp := *udp
	tcp.count = stats.join(false)
	dot := tcp
	dot.encrypted = true
	f.Fuzz(func(t *testing.T, packet []byte, transport uint8) {
		r, limit := []*Responder{udp, &tcp, &dot}[transport%3], maxMessage
		if r == udp {
			limit = 1232
		}
		withManners(t, r, o)
		original := bytes.Clone(packet)
		reply := r.Respond(nil, packet, client, limit)
		if !bytes.Equal(packet, original) {
			t.Fatal("the packet was written to")
		}
		if len(reply) == 0 {
			if r != udp && len(packet) >= 12 && packet[2]&0x80 == 0 {
				t.Fatal("a query over a stream has no reply")
			}
			return
		}
		m := unpacked(t, reply)
		if r == udp {
			limit = r.query.Limit(limit)
		}
		if len(reply) > limit {
			t.Fatalf("%d octets, limit %d", len(reply), limit)
		}
		q := &r.query
		for code, asked := range map[uint16]bool{
			dns.EDNS0COOKIE: q.Cookie != nil, dns.EDNS0NSID: q.HasNSID, dns.EDNS0TCPKEEPALIVE: q.HasKeepalive && r != udp, dns.EDNS0PADDING: q.HasPadding && r == &dot,
			dns.EDNS0SUBNET: q.HasSubnet, dns.EDNS0EDE: q.HasEDNS, dns.EDNS0EXPIRE: false,
		} {
			if option(m, code) != nil && !asked {
				t.Fatalf("option %d was not asked for: %v", code, m.IsEdns0())
			}
		}
		if len(m.Answer)+len(m.Ns) == 0 && r == udp && option(m, dns.EDNS0EDE) == nil && len(reply) > len(packet)+16+len(o.NSID) {
			t.Fatalf("%d octets of error for %d", len(reply), len(packet))
		}
	})
}
