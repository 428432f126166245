package server

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func unhex(tb testing.TB, text string) []byte {
	tb.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func secretOf(tb testing.TB, text string) cookieSecret { return cookieSecret(unhex(tb, text)) }

// The test vectors of RFC 9018 appendix A.
func TestCookieVectors(t *testing.T) {
	const learning, rolled, old = "e5e973e5a6b2a43f48e7dc849e37bfcf", "445536bcd2513298075a5d379663c962", "dd3bdf9344b678b185a6f5cb60fca715"
	tests := []struct {
		id      string
		secrets []string
		source  string
		now     uint32
		cookie  string
		result  cookieResult
		want    string
	}{
		{"A.1 learning a new server cookie", []string{learning}, "198.51.100.100", 1559731985,
			"2464c4abcf10c957", cookieClient, "2464c4abcf10c957010000005cf79f111f8130c3eee29480"},
		{"A.2 the same client, 40 minutes later", []string{learning}, "198.51.100.100", 1559734385,
			"2464c4abcf10c957010000005cf79f111f8130c3eee29480", cookieValid, "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"},
		{"A.3 another client, reserved octets that are not 0, fresh", []string{learning}, "203.0.113.203", 1559727985 + 60,
			"fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", cookieValid, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5"},
		{"A.3 and renewed", []string{learning}, "203.0.113.203", 1559734700,
			"fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", cookieInvalid, "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"},
		{"A.4 IPv6 with a secret that was rolled over", []string{rolled, old}, "2001:db8:220:1:59de:d0f4:8769:82b8", 1559741961,
			"22681ab97d52c298010000005cf7c57926556bd0934c72f8", cookieValid, "22681ab97d52c298010000005cf7c609a6bb79d16625507a"},
		{"A.4 before the roll-over", []string{old}, "2001:db8:220:1:59de:d0f4:8769:82b8", 1559741817,
			"22681ab97d52c298", cookieClient, "22681ab97d52c298010000005cf7c57926556bd0934c72f8"},
	}
	for _, test := range tests {
		c := &cookies{}
		for _, secret := range test.secrets {
			c.secrets = append(c.secrets, secretOf(t, secret))
		}
		var fresh [cookieLen]byte
		result, got := c.check(unhex(t, test.cookie), netip.MustParseAddr(test.source), test.now, &fresh)
		if result != test.result || hex.EncodeToString(got) != test.want {
			t.Errorf("%s: %s, %x, want %s, %s", test.id, cookieNames[result], got, cookieNames[test.result], test.want)
		}
	}
}

// The vectors of SipHash's reference implementation for 20 and 32 octets: the key and the input are 0, 1, 2, ...
func TestSipHash(t *testing.T) {
	var count [32]byte
	for i := range count {
		count[i] = byte(i)
	}
	key := cookieSecret(count[:16])
	for want, source := range map[uint64]netip.Addr{
		0xbed65cf21aa2ee98: netip.AddrFrom4([4]byte(count[16:20])),
		0x7127512f72f27cce: netip.AddrFrom16([16]byte(count[16:])),
	} {
		if got := key.hash([16]byte(count[:16]), source); got != want {
			t.Errorf("%v: %x, want %x", source, got, want)
		}
	}
}

// RFC 9018 section 4.3: valid for an hour, from a clock that is at most 5 minutes ahead, renewed after half an hour.
func TestCookieAge(t *testing.T) {
	c := &cookies{secrets: []cookieSecret{{1}}}
	for _, issued := range []uint32{1_700_000_000, 100, ^uint32(0) - 100} { // also around the end of the 32 bits (RFC 1982)
		var made, fresh [cookieLen]byte
		_, cookie := c.check([]byte("clientCk"), client, issued, &made)
		for _, test := range []struct {
			age     int32
			result  cookieResult
			renewed bool
		}{
			{-301, cookieInvalid, true}, {-300, cookieValid, false}, {0, cookieValid, false}, {1800, cookieValid, false},
			{1801, cookieValid, true}, {3600, cookieValid, true}, {3601, cookieInvalid, true}, {1 << 30, cookieInvalid, true},
		} {
			result, got := c.check(cookie, client, issued+uint32(test.age), &fresh)
			if renewed := !bytes.Equal(got, cookie); result != test.result || renewed != test.renewed {
				t.Errorf("issued %d, %d s old: %s, renewed %v, want %s, %v", issued, test.age, cookieNames[result], renewed, cookieNames[test.result], test.renewed)
			}
			if result == cookieInvalid && !bytes.Equal(got[:8], cookie[:8]) {
				t.Errorf("the client's part is not echoed: %x", got)
			}
		}
	}
}

// C03, C08: a cookie with any bit changed, of another client, or cut or grown, is not accepted.
func TestCookieForged(t *testing.T) {
	c := &cookies{secrets: []cookieSecret{{1}, {2}}}
	const now = 1_700_000_000
	var made, fresh [cookieLen]byte
	_, good := c.check([]byte("clientCk"), client, now, &made)
	if result, _ := c.check(good, client, now, &fresh); result != cookieValid {
		t.Fatal("a cookie of our own is not valid")
	}
	for bit := range 8 * cookieLen {
		forged := bytes.Clone(good)
		forged[bit/8] ^= 1 << (bit % 8)
		if result, got := c.check(forged, client, now, &fresh); result != cookieInvalid || !bytes.Equal(got[:8], forged[:8]) {
			t.Errorf("bit %d changed: %s, reply %x", bit, cookieNames[result], got)
		}
	}
	for _, other := range []string{"203.0.113.2", "::ffff:203.0.113.1", "2001:db8::1"} {
		if result, _ := c.check(good, netip.MustParseAddr(other), now, &fresh); result != cookieInvalid {
			t.Errorf("the cookie is valid for %s too", other)
		}
	}
	for _, length := range []int{16, 23, 25, 40} {
		cookie := append(bytes.Clone(good), make([]byte, 20)...)[:length]
		if result, _ := c.check(cookie, client, now, &fresh); result != cookieInvalid {
			t.Errorf("%d octets: %s", length, cookieNames[result])
		}
	}
}

// C07 and the roll-over of RFC 9018 section 5: three steps, in none of which a server refuses a cookie of the other.
func TestCookieRollOver(t *testing.T) {
	old, next := cookieSecret{1}, cookieSecret{2}
	const now = 1_700_000_000
	steps := [][]cookieSecret{{old}, {old, next}, {next, old}, {next}}
	for i := 1; i < len(steps)-1; i++ {
		for _, a := range steps[i-1 : i+1] {
			for _, b := range steps[i-1 : i+1] {
				var made, fresh [cookieLen]byte
				_, cookie := (&cookies{a}).check([]byte("clientCk"), client, now, &made)
				if result, _ := (&cookies{b}).check(cookie, client, now, &fresh); result != cookieValid {
					t.Errorf("step %d: a cookie made with %v is %s with %v", i, a, cookieNames[result], b)
				}
			}
		}
	}
}

func TestParseCookieSecrets(t *testing.T) {
	a, b := strings.Repeat("0a", 16), strings.Repeat("B0", 16)
	got, err := parseCookieSecrets("# made by hand\n\n " + a + " \r\n" + b)
	if want := []cookieSecret{secretOf(t, a), secretOf(t, b)}; err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %x, %v, want %x", got, err, want)
	}
	var many strings.Builder
	for i := range byte(9) {
		many.WriteString(hex.EncodeToString(bytes.Repeat([]byte{i}, 16)) + "\n")
	}
	for text, want := range map[string]string{
		"":                    `there is no secret: want a line of 32 hexadecimal digits, such as "openssl rand -hex 16" prints`,
		"# nothing\n":         `there is no secret: want a line of 32 hexadecimal digits, such as "openssl rand -hex 16" prints`,
		a + "\n" + a[1:]:      `line 2 is no secret: want 32 hexadecimal digits, such as "openssl rand -hex 16" prints`,
		a + "\n\n" + a + "0a": `line 3 is no secret: want 32 hexadecimal digits, such as "openssl rand -hex 16" prints`,
		"secret":              `line 1 is no secret: want 32 hexadecimal digits, such as "openssl rand -hex 16" prints`,
		a + "\n" + a:          `line 2 has the secret of a line before: want each once`,
		many.String():         `there are 9 secrets: want at most 8, the first of which issues cookies`,
	} {
		if err := CheckCookieSecrets(text); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}

func TestNewCookies(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "cookies")
	if err := os.WriteFile(file, []byte(strings.Repeat("0a", 16)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := newCookies(CookieOptions{}, cookieSecret{7}); c != nil || err != nil {
		t.Errorf("disabled: %v, %v", c, err)
	}
	if c, err := newCookies(CookieOptions{Enabled: true}, cookieSecret{7}); err != nil || c.secrets[0] != (cookieSecret{7}) {
		t.Errorf("without a file: %v, %v", c, err)
	}
	if c, err := newCookies(CookieOptions{Enabled: true, SecretFile: file}, cookieSecret{7}); err != nil || c.secrets[0] != secretOf(t, strings.Repeat("0a", 16)) {
		t.Errorf("with a file: %v, %v", c, err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		filepath.Join(dir, "none"): "read the secrets of DNS cookies: open " + filepath.Join(dir, "none") + ": no such file or directory",
		empty:                      "read the secrets of DNS cookies: " + empty + `: there is no secret: want a line of 32 hexadecimal digits, such as "openssl rand -hex 16" prints`,
	} {
		if _, err := newCookies(CookieOptions{Enabled: true, SecretFile: name}, cookieSecret{}); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// Whatever a client sends, the reply has its part and is accepted the next time.
func FuzzCookie(f *testing.F) {
	f.Add([]byte("clientCk"), []byte{192, 0, 2, 1}, uint32(0))
	f.Add(unhex(f, "2464c4abcf10c957010000005cf79f111f8130c3eee29480"), []byte{198, 51, 100, 100}, uint32(1559731985))
	f.Add(unhex(f, "22681ab97d52c298010000005cf7c57926556bd0934c72f8"), make([]byte, 16), uint32(1559741961))
	f.Add(make([]byte, 40), make([]byte, 16), ^uint32(0))
	ours := &cookies{secrets: []cookieSecret{secretOf(f, "e5e973e5a6b2a43f48e7dc849e37bfcf"), {1}}}
	f.Fuzz(func(t *testing.T, cookie, address []byte, now uint32) {
		source, isAddress := netip.AddrFromSlice(address)
		if !isAddress || len(cookie) != 8 && (len(cookie) < 16 || len(cookie) > 40) {
			return // the decoder lets no other through
		}
		source = source.Unmap()
		var fresh, again [cookieLen]byte
		original := bytes.Clone(cookie)
		result, reply := ours.check(cookie, source, now, &fresh)
		if !bytes.Equal(cookie, original) || len(reply) != cookieLen || !bytes.Equal(reply[:8], cookie[:8]) {
			t.Fatalf("cookie %x, reply %x", cookie, reply)
		}
		if result == cookieValid && len(cookie) != cookieLen || result == cookieClient && len(cookie) != 8 {
			t.Fatalf("%d octets are %s", len(cookie), cookieNames[result])
		}
		if result, next := ours.check(reply, source, now, &again); result != cookieValid || !bytes.Equal(next, reply) {
			t.Fatalf("our own cookie %x is %s, reply %x", reply, cookieNames[result], next)
		}
		if result, _ := ours.check(reply, source.Next(), now, &again); result == cookieValid {
			t.Fatalf("cookie %x is valid for another address", reply)
		}
	})
}

// FuzzCookieSecrets wants secrets or an error of every file, and no text of the file in the error.
func FuzzCookieSecrets(f *testing.F) {
	f.Add("# secret\n" + strings.Repeat("0a", 16) + "\n")
	f.Add("0a0b\n")
	f.Add(strings.Repeat("é", 16))
	f.Fuzz(func(t *testing.T, text string) {
		secrets, err := parseCookieSecrets(text)
		if (err == nil) != (len(secrets) > 0) || len(secrets) > maxCookieSecrets {
			t.Fatalf("%d secrets, error %v", len(secrets), err)
		}
	})
}
