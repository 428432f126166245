package server

import (
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func cookieOption(cookie string) dns.EDNS0 {
	return &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString([]byte(cookie))}
}

// cookieIn is the cookie of a reply; "" when it has none.
func cookieIn(tb testing.TB, m *dns.Msg) string {
	tb.Helper()
	if o, has := option(m, dns.EDNS0COOKIE).(*dns.EDNS0_COOKIE); has {
		return string(unhex(tb, o.Cookie))
	}
	return ""
}

func TestCookies(t *testing.T) {
	r, stats := newResponder(t, true)
	withManners(t, r, Options{Cookies: CookieOptions{Enabled: true}})
	r.clock.wall.Store(1_700_000_000)
	ask := func(name string, options ...dns.EDNS0) *dns.Msg {
		t.Helper()
		return unpacked(t, r.Respond(nil, asking(t, name, dns.TypeA, 1, options...), client, 1232))
	}
	m := ask("www.gtm.test.", cookieOption("clientCk"))
	whole := cookieIn(t, m)
	if m.Rcode != 0 || len(m.Answer) != 1 || len(whole) != 24 || !strings.HasPrefix(whole, "clientCk\x01\x00\x00\x00") {
		t.Errorf("C01: rcode %d, cookie %x", m.Rcode, whole)
	}
	if issued := whole[12:16]; issued != "\x65\x53\xf1\x00" { // 1,700,000,000
		t.Errorf("C06: issued at %x", issued)
	}
	if m := ask("www.gtm.test.", cookieOption(whole)); m.Rcode != 0 || cookieIn(t, m) != whole {
		t.Errorf("C02: rcode %d, cookie %x, want it back", m.Rcode, cookieIn(t, m))
	}
	for id, wrong := range map[string]string{
		"C03 forged": whole[:23] + "x", "C03 of another server": whole[:8] + strings.Repeat("x", 32),
		"C08 for another client cookie (RFC 7873 5.2.4)": "Xl" + whole[2:], "E22 other versions": whole[:8] + "\x02" + whole[9:],
	} {
		m := ask("www.gtm.test.", cookieOption(wrong))
		if got := cookieIn(t, m); m.Rcode != 0 || len(m.Answer) != 1 || len(got) != 24 || got[:8] != wrong[:8] || got == wrong {
			t.Errorf("%s: rcode %d, cookie %x", id, m.Rcode, got)
		}
	}
	if m := unpacked(t, r.Respond(nil, asking(t, "www.gtm.test.", dns.TypeA, 1, cookieOption(whole)), client.Next(), 1232)); cookieIn(t, m) == whole {
		t.Error("C08: another client's cookie is valid")
	}
	for _, name := range []string{"example.com.", "missing.gtm.test.", "all.gtm.test.", "x.sub.gtm.test.", "big.gtm.test."} {
		if m := ask(name, cookieOption("clientCk")); len(cookieIn(t, m)) != 24 {
			t.Errorf("C01 %s: cookie %x", name, cookieIn(t, m))
		}
	}
	if m := ask("www.gtm.test.", askNothing); cookieIn(t, m) != "" {
		t.Error("C01: a cookie that was not asked for")
	}
	// The renewed cookie is the next valid one.
	r.clock.wall.Add(2000)
	if m := ask("www.gtm.test.", cookieOption(whole)); cookieIn(t, m) == whole || cookieIn(t, ask("www.gtm.test.", cookieOption(cookieIn(t, m)))) != cookieIn(t, m) {
		t.Error("C06: after half an hour the cookie is not renewed (RFC 9018 4.3)")
	}
	if got := [...]uint64{stats.workers[0].cookies[cookieClient].Load(), stats.workers[0].cookies[cookieValid].Load(), stats.workers[0].cookies[cookieInvalid].Load()}; got != [...]uint64{6, 3, 5} {
		t.Errorf("counted %v", got)
	}
}

// C05: a query without a question gets a cookie (RFC 7873 section 5.4), and FORMERR where there are none.
func TestCookieWithoutQuestion(t *testing.T) {
	m := new(dns.Msg)
	m.Id = 77
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = []dns.EDNS0{cookieOption("clientCk")}
	query, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, enabled := range []bool{true, false} {
		r, _ := newResponder(t, true)
		withManners(t, r, Options{Cookies: CookieOptions{Enabled: enabled}})
		got := unpacked(t, r.Respond(nil, query, client, 1232))
		wantRcode, wantLen := dns.RcodeSuccess, 24
		if !enabled {
			wantRcode, wantLen = dns.RcodeFormatError, 0
		}
		if got.Id != 77 || got.Rcode != wantRcode || len(cookieIn(t, got)) != wantLen || len(got.Question)+len(got.Answer)+len(got.Ns) != 0 {
			t.Errorf("cookies %v: %v", enabled, got)
		}
	}
}

// A server that takes over the random secret of another takes its cookies.
func TestCookieSecretTakenOver(t *testing.T) {
	o := options("127.0.0.1:0")
	o.Cookies.Enabled = true
	a, b := newServer(t, o), New(slog.New(slog.DiscardHandler), NewStats())
	if a.CookieSecret() == b.CookieSecret() || a.CookieSecret() == [16]byte{} {
		t.Error("the secrets of two servers are not random")
	}
	cookie := cookieIn(t, unpacked(t, exchange(t, dial(t, "udp", first(a)), asking(t, "www.gtm.test.", dns.TypeA, 1, cookieOption("clientCk")))))
	b.SetCookieSecret(a.CookieSecret())
	if err := b.Swap(newView(t, 1, nil)); err != nil {
		t.Fatal(err)
	}
	apply(t, b, o)
	t.Cleanup(b.Close)
	if got := cookieIn(t, unpacked(t, exchange(t, dial(t, "udp", first(b)), asking(t, "www.gtm.test.", dns.TypeA, 1, cookieOption(cookie))))); got != cookie {
		t.Errorf("cookie %x, want %x", got, cookie)
	}
}

// C07: two servers with one secret file accept each other's cookies.
func TestCookieOfAnotherServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cookies")
	if err := os.WriteFile(file, []byte(strings.Repeat("0a", 16)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options("127.0.0.1:0", "127.0.0.2:0")
	o.Cookies = CookieOptions{Enabled: true, SecretFile: file}
	a, b := newServer(t, o), newServer(t, o)
	query := asking(t, "www.gtm.test.", dns.TypeA, 1, cookieOption("clientCk"))
	cookie := cookieIn(t, unpacked(t, exchange(t, dialFrom(t, "127.0.0.1", "udp", first(a)), query)))
	query = asking(t, "www.gtm.test.", dns.TypeA, 1, cookieOption(cookie))
	for _, address := range append(a.Addresses(), b.Addresses()...) {
		for _, network := range []string{"udp", "tcp"} {
			if got := cookieIn(t, unpacked(t, exchange(t, dialFrom(t, "127.0.0.1", network, address), query))); got != cookie {
				t.Errorf("%s at %v: cookie %x, want %x", network, address, got, cookie)
			}
		}
	}
}
