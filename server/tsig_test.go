package server

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestTSIG is the matrix of RFC 8945 section 5.2, over UDP, over TCP and for a transfer. The reply of miekg/dns's client is not
// used: it reads no reply with an error.
func TestTSIG(t *testing.T) {
	now := time.Now()
	p := newPrimary(t, ZoneOptions{TransferTo: []Network{prefix(t, "127.0.0.1")}})
	signed := func(m *dns.Msg, key, algorithm, secret string, at time.Time) []byte {
		m.SetTsig(key, algorithm, 300, at.Unix())
		packed, _, err := dns.TsigGenerate(m, secret, "", false)
		if err != nil {
			t.Fatal(err)
		}
		return packed
	}
	plain := func(m *dns.Msg) []byte { return signed(m, goodKey, dns.HmacSHA256, goodSecret, now) }
	// cut gives the MAC of a signed message another length. Behind it are the original ID, the error and the length of other data.
	cut := func(packed []byte, size int) []byte {
		mac := len(packed) - 6 - 32
		short := slices.Concat(packed[:mac], append(slices.Clone(packed[mac:mac+32]), 0)[:size], packed[mac+32:])
		binary.BigEndian.PutUint16(short[mac-2:], uint16(size))
		length := mac - 10 - len("\x0bhmac-sha256\x00") - 2
		binary.BigEndian.PutUint16(short[length:], binary.BigEndian.Uint16(short[length:])-uint16(32-size))
		return short
	}
	for _, row := range []struct {
		name     string
		packet   func(m *dns.Msg) []byte
		rcode    int
		tsig     int // -1: the reply has none
		isSigned bool
	}{
		{"good", plain, dns.RcodeSuccess, 0, true},
		{"name in upper case", func(m *dns.Msg) []byte {
			return signed(m, strings.ToUpper(goodKey), dns.HmacSHA256, goodSecret, now)
		}, dns.RcodeSuccess, 0, true},
		{"within the fudge", func(m *dns.Msg) []byte {
			return signed(m, goodKey, dns.HmacSHA256, goodSecret, now.Add(-290*time.Second))
		}, dns.RcodeSuccess, 0, true},
		{"not signed", func(m *dns.Msg) []byte { packed, _ := m.Pack(); return packed }, dns.RcodeSuccess, -1, false},
		{"unknown key (5.2.1)", func(m *dns.Msg) []byte {
			return signed(m, "no.such.key.", dns.HmacSHA256, goodSecret, now)
		}, dns.RcodeNotAuth, badKey, false},
		{"other algorithm (5.2.1)", func(m *dns.Msg) []byte {
			return signed(m, goodKey, dns.HmacSHA512, goodSecret, now)
		}, dns.RcodeNotAuth, badKey, false},
		{"wrong secret (5.2.2)", func(m *dns.Msg) []byte {
			return signed(m, goodKey, dns.HmacSHA256, otherSecret, now)
		}, dns.RcodeNotAuth, badSig, false},
		{"changed behind the signature (5.2.2)", func(m *dns.Msg) []byte {
			packed := plain(m)
			packed[13]++
			return packed
		}, dns.RcodeNotAuth, badSig, false},
		{"too old (5.2.3)", func(m *dns.Msg) []byte {
			return signed(m, goodKey, dns.HmacSHA256, goodSecret, now.Add(-400*time.Second))
		}, dns.RcodeNotAuth, badTime, true},
		{"of the future (5.2.3)", func(m *dns.Msg) []byte {
			return signed(m, goodKey, dns.HmacSHA256, goodSecret, now.Add(400*time.Second))
		}, dns.RcodeNotAuth, badTime, true},
		{"MAC cut (5.2.4)", func(m *dns.Msg) []byte { return cut(plain(m), 16) }, dns.RcodeNotAuth, badTrunc, true},
		{"MAC cut and wrong (5.2.2)", func(m *dns.Msg) []byte {
			return cut(signed(m, goodKey, dns.HmacSHA256, otherSecret, now), 16)
		}, dns.RcodeNotAuth, badSig, false},
		{"MAC cut too much (5.2.2.1)", func(m *dns.Msg) []byte { return cut(plain(m), 15) }, dns.RcodeFormatError, -1, false},
		{"MAC too long (5.2.2.1)", func(m *dns.Msg) []byte {
			return cut(plain(m), 33)
		}, dns.RcodeFormatError, -1, false},
		{"not the last record (5.1)", func(m *dns.Msg) []byte {
			packed := plain(m)
			packed[11]++
			return append(packed, 0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0)
		}, dns.RcodeFormatError, -1, false},
		{"twice (5.1)", func(m *dns.Msg) []byte {
			bare, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			packed := plain(m)
			packed[11]++
			return append(packed, packed[len(bare):]...)
		}, dns.RcodeFormatError, -1, false},
	} {
		for _, of := range []string{"udp", "tcp", "axfr"} {
			t.Run(row.name+" "+of, func(t *testing.T) {
				m, network := new(dns.Msg).SetQuestion("gtm.test.", dns.TypeSOA), of
				if of == "axfr" {
					m, network = axfr(), "tcp"
				}
				request := row.packet(m)
				reply := unpacked(t, exchange(t, dial(t, network, first(p.Server)), request))
				record := reply.IsTsig()
				if reply.Rcode != row.rcode || (record == nil) != (row.tsig < 0) {
					t.Fatalf("reply %v, want %s", reply, dns.RcodeToString[row.rcode])
				}
				if hasAnswer := len(reply.Answer) > 0; hasAnswer != (row.rcode == dns.RcodeSuccess) {
					t.Errorf("%d records in the answer", len(reply.Answer))
				}
				if record == nil {
					return
				}
				if int(record.Error) != row.tsig || (record.MACSize > 0) != row.isSigned {
					t.Errorf("record %v, want error %d", record, row.tsig)
				}
				if row.tsig == badTime {
					if other, _ := hex.DecodeString(record.OtherData); len(other) != 6 || binary.BigEndian.Uint32(other[2:]) < uint32(now.Unix()) {
						t.Errorf("the time of the server is %x", other)
					}
				}
			})
		}
	}
}

// TestTSIGReply has the client check the signature of replies, of each algorithm and of replies that are near the limit.
func TestTSIGReply(t *testing.T) {
	p := newPrimary(t, ZoneOptions{})
	for algorithm, option := range map[string]KeyAlgorithm{
		dns.HmacSHA224: HMACSHA224, dns.HmacSHA256: HMACSHA256, dns.HmacSHA384: HMACSHA384, dns.HmacSHA512: HMACSHA512,
	} {
		key, err := NewKey(KeyOptions{Name: goodKey, Algorithm: option}, goodSecret)
		if err != nil {
			t.Fatal(err)
		}
		rules, err := NewTransfers(nil, []*Key{key}, 1)
		if err != nil {
			t.Fatal(err)
		}
		p.SetTransfers(rules)
		for _, network := range []string{"udp", "tcp"} {
			for _, name := range []string{"gtm.test.", "none.gtm.test.", "big.gtm.test.", "www.example."} {
				m := new(dns.Msg).SetQuestion(name, dns.TypeA).SetEdns0(1232, true).SetTsig(goodKey, algorithm, 300, time.Now().Unix())
				client := dns.Client{Net: network, Timeout: patience, TsigSecret: secrets}
				reply, _, err := client.Exchange(m, p.address)
				if err != nil || reply.IsTsig() == nil || reply.IsEdns0() == nil {
					t.Errorf("%s %s %s: %v, %v", algorithm, network, name, err, reply)
				}
			}
		}
	}
	if n := p.stats.signatures.get("", "good"); n != 32 {
		t.Errorf("%d good signatures are counted, want 32", n)
	}
}

// TestTSIGLimit: the signature counts in the size of a reply over UDP, with EDNS and without.
func TestTSIGLimit(t *testing.T) {
	p := newPrimary(t, ZoneOptions{})
	r, full := p.responder(p.stats.join(true)), 0
	for size := uint16(0); size <= 1232; size += 4 {
		m := new(dns.Msg).SetQuestion("middle.gtm.test.", dns.TypeA)
		limit := 512
		if size > 0 {
			m.SetEdns0(size, false)
			limit = max(limit, int(size))
		}
		request, mac, err := dns.TsigGenerate(signWith(m, goodKey), goodSecret, "", false)
		if err != nil {
			t.Fatal(err)
		}
		reply := r.Respond(nil, request, netip.MustParseAddr("192.0.2.1"), 1232)
		if m := unpacked(t, reply); len(reply) > limit || !m.Truncated && len(m.Answer) == 0 {
			t.Fatalf("size %d: the reply has %d octets: %v", size, len(reply), m)
		}
		full += 1 - int(reply[2]>>1&1)
		if err := dns.TsigVerify(reply, goodSecret, mac, false); err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
	}
	if full == 0 || full == 309 {
		t.Errorf("%d of 309 replies were not truncated: want some of each", full)
	}
}

// TestTSIGAndOptions: padding makes the whole message a multiple of the block (RFC 8467 section 4.1), and what can be left out of an
// error is, for the signature.
func TestTSIGAndOptions(t *testing.T) {
	p := newPrimary(t, ZoneOptions{TransferTo: []Network{prefix(t, "203.0.113.0/24")}})
	r := p.responder(p.stats.join(false))
	r.encrypted = true
	withManners(t, r, Options{NSID: strings.Repeat("n", 128)})
	long := strings.Repeat("long-label-of-20.oct.", 9)
	for _, row := range []struct {
		name  string
		qtype uint16
	}{
		{"www.gtm.test.", dns.TypeA}, {"big.gtm.test.", dns.TypeA}, {"gtm.test.", dns.TypeAXFR}, {long + "example.", dns.TypeA}, {long + "example.", dns.TypeAXFR},
	} {
		m := unpacked(t, asking(t, row.name, row.qtype, 1, askNSID, askPadding))
		query, mac, err := dns.TsigGenerate(signWith(m, goodKey), goodSecret, "", false)
		if err != nil {
			t.Fatal(err)
		}
		check := func(reply []byte) error {
			m := unpacked(t, reply)
			if err := dns.TsigVerify(bytes.Clone(reply), goodSecret, mac, false); err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
			if len(reply)%paddingBlock != 0 && len(reply) != 512 || m.Rcode != 0 && len(reply) > 512 {
				t.Errorf("%s %d: the reply has %d octets", row.name, row.qtype, len(reply))
			}
			return net.ErrClosed // the first message is enough
		}
		if row.qtype == dns.TypeAXFR {
			p.transfers.serve(r, query, client, check)
		} else {
			check(r.Respond(nil, query, client, maxMessage))
		}
	}
}

// TestTSIGOfALongTransfer: each message has the time of its own signing (RFC 8945 section 5.3.1), so that the last one of a transfer
// of an hour is not refused for its age.
func TestTSIGOfALongTransfer(t *testing.T) {
	p := newPrimary(t, ZoneOptions{TransferTo: []Network{prefix(t, "127.0.0.1")}})
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	p.transfers.now = func() time.Time { return at }
	request, mac, err := dns.TsigGenerate(signWith(axfr(), goodKey), goodSecret, "", false)
	if err != nil {
		t.Fatal(err)
	}
	begin, times := at, 0
	err = p.transfers.serve(p.responder(p.stats.join(false)), request, netip.MustParseAddr("127.0.0.1"), func(reply []byte) error {
		m := unpacked(t, reply)
		if err := dns.TsigVerify(bytes.Clone(reply), goodSecret, mac, times > 0); err != nil && err != dns.ErrTime {
			t.Fatalf("message %d: %v", times, err)
		}
		if got := m.IsTsig().TimeSigned; got != uint64(at.Unix()) {
			t.Errorf("message %d was signed %d s ago", times, uint64(at.Unix())-got)
		}
		mac, times, at = m.IsTsig().MAC, times+1, at.Add(200*time.Second)
		return nil
	})
	if err != nil || times < 2 {
		t.Errorf("%d messages in %v: %v", times, at.Sub(begin), err)
	}
}

// TestTSIGCurbed: over a rate limit, replies to signed queries and to an IXFR slip like others.
func TestTSIGCurbed(t *testing.T) {
	p := newPrimary(t, ZoneOptions{TransferTo: []Network{prefix(t, "203.0.113.0/24")}})
	unsigned, err := ixfr(1).Pack()
	if err != nil {
		t.Fatal(err)
	}
	bad, _, err := dns.TsigGenerate(new(dns.Msg).SetQuestion("www.gtm.test.", dns.TypeA).SetTsig("no.such.key.", dns.HmacSHA256, 300, time.Now().Unix()), goodSecret, "", false)
	if err != nil {
		t.Fatal(err)
	}
	for name, query := range map[string][]byte{"IXFR": unsigned, "bad key": bad} {
		for slip, want := range []int{0, 1} {
			stats := NewStats()
			r := p.responder(stats.join(true))
			o := Options{RateLimit: limits(2, 2, 2, 0)}
			o.RateLimit.Slip = slip
			withManners(t, r, Options{}) // forgets what was counted
			withManners(t, r, o)
			whole, short := 0, 0
			for range 20 {
				reply := r.Respond(nil, query, client, 1232)
				switch {
				case len(reply) == 0:
				case unpacked(t, reply).Truncated:
					short++
				default:
					whole++
				}
			}
			if whole != 10 || short != want*10 {
				t.Errorf("%s, slip %d: %d replies whole, %d truncated, want 10 and %d", name, slip, whole, short, want*10)
			}
			var counted uint64
			for class := range limitNames {
				counted += stats.workers[0].limited[class][[]curb{curbDrop, curbTruncate}[slip]].Load()
			}
			if counted != 10 {
				t.Errorf("%s, slip %d: %d are counted as such, want 10", name, slip, counted)
			}
		}
	}
}

func TestNewKey(t *testing.T) {
	for _, row := range []struct{ secret, want string }{
		{"", "the secret is empty: want it in base64, such as the output of: openssl rand -base64 32"},
		{"not base64!", "the secret is not in base64"},
		{base64.StdEncoding.EncodeToString([]byte("secret")), ""},
		{" c2Vj\n\tcmV0\r\n", ""},
	} {
		key, err := NewKey(KeyOptions{Name: "k.", Algorithm: HMACSHA256}, row.secret)
		if text := fmt.Sprint(err); text != row.want && !(err == nil && row.want == "") {
			t.Errorf("%q: %v, want %q", row.secret, err, row.want)
		}
		if err == nil && key.SecretLen() != 6 {
			t.Errorf("%q has %d octets", row.secret, key.SecretLen())
		}
	}
}

func TestKeyAlgorithm(t *testing.T) {
	var a KeyAlgorithm
	for text, want := range map[string]string{
		"hmac-sha256": "", "HMAC-SHA512.": "",
		"hmac-sha1":                `"hmac-sha1" is too weak (RFC 8945 section 6): want "hmac-sha256", or another of hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512`,
		"hmac-md5.sig-alg.reg.int": `"hmac-md5.sig-alg.reg.int" is too weak (RFC 8945 section 6): want "hmac-sha256", or another of hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512`,
		"sha256":                   `"sha256" is unknown: want one of hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512`,
	} {
		if err := a.UnmarshalText([]byte(text)); err != nil && err.Error() != want || err == nil && want != "" {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
