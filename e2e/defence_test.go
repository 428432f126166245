//go:build e2e

package e2e

import (
	"encoding/hex"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// defences is a lab of name servers of several makes, with one zone, one secret of DNS cookies and one rate limit.
type defences struct {
	*lab
	servers []defender
	secrets string // the file of gtmd's secrets
}

// defender is one of the servers.
type defender struct{ name, address string }

// defenceSecret is the secret of all.
const defenceSecret = "e5e973e5a6b2a43f48e7dc849e37bfcf"

// defenceRecords are those of the zone, but for what gtmd has from its options.
const defenceRecords = "$TTL 60\nns1 A 127.0.0.53\nwww0 A 192.0.2.10\nwww1 A 192.0.2.11\nwww2 A 192.0.2.12\nwww3 A 192.0.2.13\n"

// newDefences starts gtmd on two addresses, BIND, Knot and NSD. Without a rate BIND and Knot answer nobody that sends a cookie
// other than a valid one.
func newDefences(t *testing.T, rate int) *defences {
	t.Helper()
	programs := need(t, "named", "knotd", "nsd")
	d := &defences{lab: newLab(t, shop)}
	d.client = overSocket(d.Socket)
	d.access = "www0.gtm.test"
	d.secrets = d.write(t, "secrets", defenceSecret+"\n")
	d.write(t, "zone", defenceRecords)
	d.write(t, "gtmd.toml", fill(t, "defence/gtmd.toml", map[string]any{
		"Listen": []string{d.GTMD, d.GTMD6}, "Secrets": d.secrets, "Rate": rate, "Socket": d.Socket, "Dir": d.dir,
	}))
	d.startGTMD(t)
	d.servers = append(d.servers, defender{"gtmd", d.GTMD})
	for _, program := range []struct {
		name, program, config, ip string
		args                      []string
	}{
		{"BIND", "named", "named.conf", "127.0.0.1", []string{"-g", "-c"}}, // it listens on addresses of interfaces only
		{"Knot", "knotd", "knot.conf", "127.0.0.21", []string{"-c"}},
		{"NSD", "nsd", "nsd.conf", "127.0.0.22", []string{"-d", "-c"}},
	} {
		s := defender{program.name, net.JoinHostPort(program.ip, freePort(t, program.ip))}
		dir := filepath.Join(d.dir, program.program)
		d.write(t, program.program+"/zone", "@ 3600 SOA ns1.gtm.test. hostmaster.gtm.test. 1 7200 900 1209600 30\n@ 3600 NS ns1.gtm.test.\n"+defenceRecords)
		config := d.write(t, program.program+"/"+program.config, fill(t, "defence/"+program.config, map[string]any{
			"Dir": dir, "IP": program.ip, "Port": portOf(s.address), "Secret": defenceSecret, "Rate": rate,
		}))
		start(t, dir, programs[program.program], append(program.args, config)...)
		d.answers(t, s.address, d.access)
		d.servers = append(d.servers, s)
	}
	return d
}

// cookieClient asks with a DNS cookie from one address. It has one user at a time.
type cookieClient struct {
	conn   *dns.Conn
	cookie string // what it sends, in hexadecimal digits
}

// newCookieClient makes a client at an address, with a client cookie of its own.
func newCookieClient(t *testing.T, ip, server string) *cookieClient {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(ip)}}
	conn, err := dialer.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &cookieClient{&dns.Conn{Conn: conn, UDPSize: 1232}, hex.EncodeToString([]byte("clientCk"))}
}

// ask asks once, without another try, and returns the reply and its cookie. With an empty cookie it sends none.
func (c *cookieClient) ask(name string) (m *dns.Msg, cookie string, err error) {
	q := new(dns.Msg).SetQuestion(name, dns.TypeA)
	q.RecursionDesired = false
	if c.cookie != "" {
		q.SetEdns0(1232, false)
		q.IsEdns0().Option = append(q.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: c.cookie})
	}
	c.conn.SetDeadline(time.Now().Add(time.Second))
	if err := c.conn.WriteMsg(q); err != nil {
		return nil, "", err
	}
	for m, err = c.conn.ReadMsg(); err == nil && m.Id != q.Id; { // of a query that was given up
		m, err = c.conn.ReadMsg()
	}
	if err != nil {
		return nil, "", err
	}
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if o, is := o.(*dns.EDNS0_COOKIE); is {
				cookie = o.Cookie
			}
		}
	}
	if c.cookie != "" && (len(cookie) != 48 || !strings.HasPrefix(cookie, c.cookie[:16])) {
		return m, cookie, fmt.Errorf("the cookie %s is no reply to %s", cookie, c.cookie)
	}
	return m, cookie, nil
}

// learn takes over the server cookie of a reply.
func (c *cookieClient) learn(t *testing.T) {
	t.Helper()
	_, cookie, err := c.ask("www0.gtm.test.")
	if err != nil {
		t.Fatal(err)
	}
	c.cookie = cookie
}
