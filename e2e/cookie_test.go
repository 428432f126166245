//go:build e2e

package e2e

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestCookiesOfOthers has gtmd, BIND, Knot and NSD with one secret judge each other's cookies, and cookies of ten ages (reliability.md, figure
// 24; RFC 9018 sections 4.3 and 5). BIND and Knot are set up to say BADCOOKIE to who has no valid one; gtmd and a second one count; NSD shows only
// by sending back a young cookie unchanged that it has taken it.
func TestCookiesOfOthers(t *testing.T) {
	dig := need(t, "dig")["dig"]
	d := newDefences(t, 0)
	second := d.second(t)
	const source = "127.0.5.1"
	judges := append(d.servers, defender{"gtmd on IPv6", d.GTMD6}, defender{"second gtmd", second.GTMD})
	verdict := func(s defender, from, cookie string) (isValid bool, reply string) {
		t.Helper()
		if strings.HasPrefix(s.address, "[") {
			from = "::1"
		}
		c := newCookieClient(t, from, s.address)
		c.cookie = cookie
		counter := d.lab
		if s.address == second.GTMD {
			counter = second
		}
		before := counter.metric(t, "gtmd_dns_cookies_total", `result="valid"`)
		m, reply, err := c.ask("www0.gtm.test.")
		if err != nil {
			t.Fatalf("%s: cookie %s: %v", s.name, cookie, err)
		}
		valid := counter.metric(t, "gtmd_dns_cookies_total", `result="valid"`) - before
		switch {
		case s.name == "NSD":
			isValid = reply == cookie
		case s.name == "BIND" || s.name == "Knot":
			isValid = m.Rcode == dns.RcodeSuccess
			if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeBadCookie {
				t.Errorf("%s answers %s", s.name, dns.RcodeToString[m.Rcode])
			}
		default:
			isValid = valid == 1
			if m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
				t.Errorf("%s: a cookie that is valid or not (%v) must be answered:\n%v", s.name, isValid, m)
			}
		}
		return isValid, reply
	}

	// C01, C06: the cookies that all issue are the one of RFC 9018 section 4, computed here.
	secret, client := unhex(t, defenceSecret), netip.MustParseAddr(source)
	issued := map[string]string{}
	for _, s := range judges {
		from := client
		if strings.HasPrefix(s.address, "[") {
			from = netip.IPv6Loopback()
		}
		c := newCookieClient(t, from.String(), s.address)
		_, cookie, err := c.ask("www0.gtm.test.")
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(int64(binary.BigEndian.Uint32(unhex(t, cookie)[12:])), 0)
		if want := cookieOf(secret, from, at); cookie != want || time.Since(at).Abs() > 5*time.Minute {
			t.Errorf("%s issues %s at %v, want %s", s.name, cookie, at, want)
		}
		if from == client {
			issued[s.name] = cookie
		}
	}
	// C02, C07, C08: what one has issued the others take, from the client that it was issued to.
	table := "\n| issued by |"
	for _, s := range judges {
		table += " " + s.name + " |"
	}
	for _, issuer := range append(d.servers, judges[len(judges)-1]) {
		table += "\n| " + issuer.name + " |"
		for _, s := range judges {
			if s.address == d.GTMD6 {
				table += " - |" // the client has another address there
				continue
			}
			isValid, reply := verdict(s, source, issued[issuer.name])
			table += fmt.Sprintf(" %v |", isValid)
			if !isValid {
				t.Errorf("%s does not take the cookie of %s", s.name, issuer.name)
			}
			if isOurs := strings.Contains(s.name, "gtmd"); isOurs && reply != issued[issuer.name] {
				t.Errorf("%s replaces the young cookie of %s", s.name, issuer.name)
			}
			if isValid, _ := verdict(s, "127.0.5.2", issued[issuer.name]); isValid {
				t.Errorf("%s takes the cookie of %s from another client", s.name, issuer.name)
			}
			expect(t, "dig", s.name, dig, []string{"@" + s.address[:strings.LastIndexByte(s.address, ':')], "-p", portOf(s.address), "-b", source,
				"+norecurse", "+retry=0", "+nobadcookie", "+cookie=" + issued[issuer.name], "www0.gtm.test", "A"},
				[]string{"status: NOERROR", `COOKIE: [0-9a-f]{48} \(good\)`, `(?m)^www0\.gtm\.test\.\s+60\s+IN\s+A\s+192\.0\.2\.10$`})
		}
	}
	t.Log(table)

	// The ages. A minute on either side of a bound is more than a test takes. What is valid is the same for all. When a valid cookie is replaced
	// is not: BIND does so always, NSD and gtmd after half an hour as RFC 9018 section 4.3 has it, Knot never.
	table = "\n| age |"
	for _, s := range judges {
		table += " " + s.name + " |"
	}
	for _, row := range []struct {
		age   time.Duration
		valid bool
		young bool // not replaced
	}{
		{0, true, true}, {10 * time.Minute, true, true}, {29 * time.Minute, true, true}, {31 * time.Minute, true, false}, {59 * time.Minute, true, false},
		{61 * time.Minute, false, false}, {24 * time.Hour, false, false}, {-4 * time.Minute, true, true}, {-6 * time.Minute, false, false}, {-time.Hour, false, false},
	} {
		table += fmt.Sprintf("\n| %v |", row.age)
		for _, s := range judges {
			from := client
			if s.address == d.GTMD6 {
				from = netip.IPv6Loopback()
			}
			cookie := cookieOf(secret, from, time.Now().Add(-row.age))
			isValid, reply := verdict(s, source, cookie)
			kept := "replaced"
			if reply == cookie {
				kept = "kept"
			}
			if s.name == "NSD" { // which shows nothing else
				table += " " + kept + " |"
				isValid = row.valid
			} else {
				table += fmt.Sprintf(" %v, %s |", map[bool]string{true: "valid", false: "invalid"}[isValid], kept)
			}
			if isValid != row.valid {
				t.Errorf("%s: a cookie that is %v old: valid %v, want %v", s.name, row.age, isValid, row.valid)
			}
			if isOurs := strings.Contains(s.name, "gtmd"); (isOurs || s.name == "NSD") && (reply == cookie) != row.young {
				t.Errorf("%s: a cookie that is %v old is %s", s.name, row.age, kept)
			}
		}
	}
	t.Log(table)
}

// second starts another gtmd with the secrets of the first.
func (d *defences) second(t *testing.T) *lab {
	t.Helper()
	const ip = "127.0.0.23"
	l := &lab{names: d.names, dir: d.dir, program: d.program, GTMD: net.JoinHostPort(ip, freePort(t, ip)), Admin: d.Admin, Socket: filepath.Join(d.dir, "second.sock")}
	l.client = overSocket(l.Socket)
	config := l.write(t, "second.toml", fill(t, "defence/gtmd.toml", map[string]any{
		"Listen": []string{l.GTMD}, "Secrets": d.secrets, "Rate": 0, "Socket": l.Socket, "Dir": filepath.Join(d.dir, "second"),
	}))
	start(t, l.dir, l.program, "run", "--config", config)
	l.answers(t, l.GTMD, l.access)
	return l
}

// TestCookieRollOver replaces the secret of a gtmd that limits rates, again and again, while clients with cookies ask much more than is
// allowed to who has none: one that takes over every cookie it is sent, and one that keeps a cookie for as long as its secret is there. They get
// every answer (reliability.md, figure 24; RFC 9018 section 5).
func TestCookieRollOver(t *testing.T) {
	d := newLab(t, shop)
	d.client, d.access = overSocket(d.Socket), "www0.gtm.test"
	d.write(t, "zone", defenceRecords)
	d.write(t, "gtmd.toml", fill(t, "defence/gtmd.toml", map[string]any{
		"Listen": []string{d.GTMD}, "Secrets": "secrets", "Rate": 1, "Socket": d.Socket, "Dir": d.dir,
	}))
	secret := func(n int) string { return fmt.Sprintf("%032x\n", n) }
	d.write(t, "secrets", secret(1))
	d.startGTMD(t)
	eager, slow := newHolder(t, "127.1.1.1", d.GTMD), newHolder(t, "127.1.1.2", d.GTMD)
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { eager.run(stop) })
	running.Go(func() { slow.run(stop) })
	stranger := newCookieClient(t, "127.1.1.3", d.GTMD)
	stranger.cookie = ""
	asked := 0
	step := func(secrets string) {
		t.Helper()
		d.write(t, "secrets", secrets)
		if out, code := d.run(t, "reload"); code != 0 {
			t.Fatalf("gtmd reload ends with %d:\n%s", code, out)
		}
		for _, h := range []*holder{eager, slow} {
			h.more(t, 100)
		}
	}
	const rolls = 5
	for n := 1; n <= rolls; n++ {
		slow.keeps.Store(true)
		slow.more(t, 1)
		step(secret(n) + secret(n+1)) // where several servers share the secret, all know the new one first
		step(secret(n+1) + secret(n))
		slow.keeps.Store(false) // an hour has passed
		slow.more(t, 2)
		step(secret(n + 1))
		stranger.conn.SetDeadline(time.Now().Add(time.Second))
		for range 20 {
			if err := stranger.conn.WriteMsg(new(dns.Msg).SetQuestion("www0.gtm.test.", dns.TypeA)); err != nil {
				t.Fatal(err)
			}
		}
		asked += 20
	}
	close(stop)
	running.Wait()
	invalid, limited := d.metric(t, "gtmd_dns_cookies_total", `result="invalid"`), d.metric(t, "gtmd_dns_rate_limited_total", `class="answer"`)
	t.Logf("%d roll-overs, %d reloads: %d answers to who takes each new cookie, %d to who keeps the old; %d bad, %v invalid cookies; %v of the %d queries without a cookie over the limit",
		rolls, 3*rolls, eager.good.Load(), slow.good.Load(), len(eager.bad)+len(slow.bad), invalid, limited, asked)
	for _, bad := range append(eager.bad, slow.bad...) {
		t.Error(bad)
	}
	if invalid != 0 {
		t.Errorf("%v cookies were not valid", invalid)
	}
	if limited < float64(asked)/2 {
		t.Error("the limits have not worked")
	}
}

// holder is a client with a cookie that asks all the time.
type holder struct {
	*cookieClient
	keeps atomic.Bool // it does not take over the cookies that it is sent
	good  atomic.Int64
	bad   []string // what it got instead of answers; valid when run has ended
}

// newHolder makes a holder with a server cookie.
func newHolder(t *testing.T, ip, server string) *holder {
	t.Helper()
	h := &holder{cookieClient: newCookieClient(t, ip, server)}
	h.learn(t)
	return h
}

// run asks until stop is closed.
func (h *holder) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
		m, cookie, err := h.ask("www0.gtm.test.")
		switch {
		case err != nil:
			h.bad = append(h.bad, err.Error())
		case m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 || m.Truncated:
			h.bad = append(h.bad, m.String())
		default:
			if !h.keeps.Load() {
				h.cookie = cookie
			}
			h.good.Add(1)
		}
	}
}

// more waits until the holder has got n more answers.
func (h *holder) more(t *testing.T, n int64) {
	t.Helper()
	until := h.good.Load() + n
	eventually(t, 10*time.Second, fmt.Sprintf("%d answers to who has a cookie", n), func() bool { return h.good.Load() >= until })
}

// cookieOf is the cookie of RFC 9018 section 4.2 for the client cookie "clientCk", made at a time.
func cookieOf(secret []byte, client netip.Addr, at time.Time) string {
	cookie := append([]byte("clientCk"), 1, 0, 0, 0)
	cookie = binary.BigEndian.AppendUint32(cookie, uint32(at.Unix()))
	return hex.EncodeToString(binary.LittleEndian.AppendUint64(cookie, sipHash24(secret, append(cookie[:16:16], client.AsSlice()...))))
}

// sipHash24 is SipHash-2-4 as its paper has it (Aumasson, Bernstein, section 2), for input of any length. It shares nothing with that of the
// server, and what it makes is compared with what BIND, Knot and NSD issue.
func sipHash24(key, input []byte) uint64 {
	k0, k1 := binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[8:])
	v0, v1, v2, v3 := k0^0x736f6d6570736575, k1^0x646f72616e646f6d, k0^0x6c7967656e657261, k1^0x7465646279746573
	rounds := func(n int) {
		for range n {
			v0, v2 = v0+v1, v2+v3
			v1, v3 = bits.RotateLeft64(v1, 13)^v0, bits.RotateLeft64(v3, 16)^v2
			v0 = bits.RotateLeft64(v0, 32)
			v2, v0 = v2+v1, v0+v3
			v1, v3 = bits.RotateLeft64(v1, 17)^v2, bits.RotateLeft64(v3, 21)^v0
			v2 = bits.RotateLeft64(v2, 32)
		}
	}
	padded := append([]byte{}, input...)
	for len(padded)%8 != 7 {
		padded = append(padded, 0)
	}
	padded = append(padded, byte(len(input)))
	for ; len(padded) > 0; padded = padded[8:] {
		m := binary.LittleEndian.Uint64(padded)
		v3 ^= m
		rounds(2)
		v0 ^= m
	}
	v2 ^= 0xff
	rounds(4)
	return v0 ^ v1 ^ v2 ^ v3
}

// unhex is what hexadecimal digits stand for.
func unhex(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
