package node_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/node"
)

// secured is header with a zone that secondaries may have, and are told of.
func (s *site) secured(t *testing.T, notify string) string {
	t.Helper()
	if err := os.WriteFile(s.path("secret"), []byte("c2VjcmV0IG9mIHRoZSBrZXkgb2YgdGhlIHRlc3Q=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	options := "transfer_to = [\"127.0.0.0/8\"]\ntransfer_keys = [\"k\"]\nnotify = [" + notify + "]\nnotify_key = \"k\"\n"
	return strings.Replace(header, "[[health_check]]", options+"[[tsig_key]]\nname = \"k\"\nsecret_file = \"$DIR/secret\"\n[[health_check]]", 1)
}

// transfer is the zone that a node gives: its serial number, and the addresses of the access domain.
func transfer(n *node.Node) (serial uint32, addresses []string, err error) {
	client := &dns.Transfer{TsigSecret: map[string]string{"k.": "c2VjcmV0IG9mIHRoZSBrZXkgb2YgdGhlIHRlc3Q="}}
	m := new(dns.Msg).SetAxfr("gtm.test.").SetTsig("k.", dns.HmacSHA256, 300, time.Now().Unix())
	envelopes, err := client.In(m, n.Addresses()[0].String())
	if err != nil {
		return 0, nil, err
	}
	for e := range envelopes {
		err = errors.Join(err, e.Error)
		for _, rr := range e.RR {
			switch rr := rr.(type) {
			case *dns.SOA:
				serial = rr.Serial
			case *dns.A:
				if rr.Hdr.Name == name {
					addresses = append(addresses, rr.A.String())
				}
			}
		}
	}
	return serial, addresses, err
}

// given is transfer as text, and the serial number.
func given(t *testing.T, n *node.Node) (serial uint32, addresses string) {
	t.Helper()
	serial, all, err := transfer(n)
	if err != nil {
		t.Fatal(err)
	}
	return serial, strings.Join(all, " ")
}

// soa is the serial number that a node answers with, in a negative answer.
func soa(t *testing.T, n *node.Node) uint32 {
	t.Helper()
	reply, err := ask(n, "none.gtm.test.", dns.TypeA, "")
	if err != nil {
		t.Fatal(err)
	}
	return reply.Ns[0].(*dns.SOA).Serial
}

// TestTransferFollows: a failover moves the access domain in the zone that is given and its serial number, the secondary is told, and
// neither a reload, a restart nor a crash takes the number back or moves it without need.
func TestTransferFollows(t *testing.T) {
	t.Parallel()
	told := make(chan uint32, 100)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	server := &dns.Server{PacketConn: conn, MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept },
		TsigSecret: map[string]string{"k.": "c2VjcmV0IG9mIHRoZSBrZXkgb2YgdGhlIHRlc3Q="},
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
			if m.IsTsig() == nil || w.TsigStatus() != nil {
				t.Errorf("a NOTIFY that is not signed: %v", m)
			}
			told <- m.Answer[0].(*dns.SOA).Serial
			w.WriteMsg(new(dns.Msg).SetReply(m).SetTsig("k.", dns.HmacSHA256, 300, time.Now().Unix()))
		})}
	go server.ActivateAndServe()
	isTold := func(want uint32) {
		t.Helper()
		for deadline := time.After(20 * time.Second); ; {
			select {
			case got := <-told:
				if got == want {
					return
				}
			case <-deadline:
				t.Fatalf("the secondary is not told of %d", want)
			}
		}
	}
	s := newSite(t, 2)
	h := s.secured(t, fmt.Sprintf("%q", conn.LocalAddr().String()))
	n := s.start(h, pools, instance)
	serial, addresses := given(t, n)
	equal(t, "addresses", addresses, s.origins[0].String())
	equal(t, "serial number of answers", soa(t, n), serial)
	if serial < 1_700_000_000 {
		t.Errorf("serial number %d is no time", serial)
	}
	isTold(serial)

	s.origins[0].stop()
	eventually(t, s.origins[1].String(), func() string { _, addresses := given(t, n); return addresses })
	after, _ := given(t, n)
	if int32(after-serial) <= 0 {
		t.Errorf("serial number %d after %d", after, serial)
	}
	equal(t, "serial number of answers", soa(t, n), after)
	isTold(after)
	equal(t, "metric", metric(t, n, `gtmd_zone_serial{zone="gtm.test."}`), fmt.Sprintf("%v", float64(after)))

	if err := s.reload(n, h, pools, instance, "# another comment\n"); err != nil {
		t.Fatal(err)
	}
	same, _ := given(t, n)
	equal(t, "after a reload that changes nothing", same, after)
	if err := s.reload(n, strings.Replace(h, "[[tsig_key]]", "negative_ttl = 7\n[[tsig_key]]", 1), pools, instance); err != nil {
		t.Fatal(err)
	}
	changed, _ := given(t, n)
	if int32(changed-after) <= 0 {
		t.Errorf("after a reload that changes the zone %d, before %d", changed, after)
	}
	isTold(changed)

	n.Close()
	saved, err := os.ReadFile(s.path("state/state.json"))
	if err != nil {
		t.Fatal(err)
	}
	n, err = node.Start(t.Context(), s.options())
	if err != nil {
		t.Fatal(err)
	}
	again, _ := given(t, n)
	equal(t, "after a restart", again, changed)
	isTold(again)
	running, err := os.ReadFile(s.path("state/state.json"))
	if err != nil || !strings.Contains(string(saved), `"ended":true`) || strings.Contains(string(running), `"ended":true`) {
		t.Errorf("only the last state says that it is the last (%v): %s\n%s", err, saved, running)
	}
	n.Close()
	// As after a crash: what is saved may be older than what was published.
	if err := os.WriteFile(s.path("state/state.json"), running, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err = node.Start(t.Context(), s.options()); err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	crashed, _ := given(t, n)
	if int32(crashed-again) <= 0 {
		t.Errorf("after a crash %d, before %d", crashed, again)
	}
}

// TestTransferReload: keys and rules are those of the last good reload.
func TestTransferReload(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	h := s.secured(t, "")
	n := s.start(header, pools, instance)
	refused := func() string {
		_, _, err := transfer(n)
		return fmt.Sprint(err != nil)
	}
	equal(t, "refused", refused(), "true")
	if err := s.reload(n, h, pools, instance); err != nil {
		t.Fatal(err)
	}
	equal(t, "refused", refused(), "false")
	if err := os.WriteFile(s.path("secret"), []byte("YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3Q="), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.reload(n, h, pools, instance); err != nil {
		t.Fatal(err)
	}
	equal(t, "refused with the old secret", refused(), "true")
	if err := os.WriteFile(s.path("secret"), []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.reload(n, h, pools, instance); err == nil || !strings.Contains(err.Error(), "the secret is not in base64") {
		t.Errorf("reload with a bad secret: %v", err)
	}
	if text := s.log.String(); strings.Contains(text, "c2VjcmV0") || strings.Contains(text, "YW5vdGhl") {
		t.Error("the log has a secret")
	}
}
