package config

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const keyFiles = `-- good --
c2VjcmV0IG9mIHRoZSBnb29kIGtleSBvZiB0aGUgdGVzdHM=
-- short --
c2VjcmV0
-- bad --
secret!
-- blank --

`

const goodKey = "[[tsig_key]]\nname = \"K.example\"\nsecret_file = \"good\"\n" // 3 lines

func TestTransfers(t *testing.T) {
	write(t, keyFiles)
	c, err := LoadText("gtmd.toml", []byte(goodKey+zoneWith(`transfer_to = ["192.0.2.1", "2001:db8::/64", "::ffff:192.0.2.9"]
transfer_keys = ["k.EXAMPLE."]
notify = ["192.0.2.1", "192.0.2.2:5353", "[2001:db8::1]:53", "2001:db8::2"]
notify_key = "k.example"`)))
	if err != nil {
		t.Fatal(err)
	}
	z := c.Zones[0]
	var got []string
	for _, n := range z.TransferTo {
		got = append(got, netip.Prefix(n).String())
	}
	for _, p := range z.Notify {
		got = append(got, p.String())
	}
	got = append(append(got, z.TransferKeys...), z.NotifyKey, c.Keys[0].String())
	want := []string{"192.0.2.1/32", "2001:db8::/64", "192.0.2.9/32", "192.0.2.1:53", "192.0.2.2:5353", "[2001:db8::1]:53", "[2001:db8::2]:53",
		"k.example.", "k.example.", "k.example"}
	if diff := cmp.Diff(want, got); diff != "" || !z.IsExported() {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, w := range c.Warnings {
		t.Errorf("warning %s", w)
	}
}

func TestTransferProblems(t *testing.T) {
	write(t, keyFiles)
	key := func(line string) string { return "[[tsig_key]]\nname = \"k.example\"\n" + line }
	for _, row := range []struct{ name, text, want string }{
		{"no key", zoneWith(`transfer_keys = ["a"]`), `gtmd.toml:5:18: there is no TSIG key "a": define it in [[tsig_key]]`},
		{"key misspelt", goodKey + zoneWith(`notify_key = "k.exampel"`), `gtmd.toml:8:1: there is no TSIG key "k.exampel": did you mean "k.example"?`},
		{"no name", zoneWith(`transfer_keys = ["a b"]`), `gtmd.toml:5:18: "a b" is no domain name: want letters, digits and hyphens in label "a b"`},
		{"network", zoneWith(`transfer_to = ["192.0.2.1/24"]`), `gtmd.toml:5:16: transfer_to[0] in [[zone]] "gtm.example.com": "192.0.2.1/24" has bits set beyond its length: want "192.0.2.0/24"`},
		{"no network", zoneWith(`transfer_to = ["any"]`), `gtmd.toml:5:16: transfer_to[0] in [[zone]] "gtm.example.com": "any" is no address or prefix: want one such as "192.0.2.1" or "2001:db8::/64"`},
		{"network twice", zoneWith(`transfer_to = ["192.0.2.1", "192.0.2.1/32"]`), `gtmd.toml:5:29: 192.0.2.1/32 is listed already as number 1 of this list`},
		{"no address", zoneWith(`notify = ["ns.example"]`), `gtmd.toml:5:11: notify[0] in [[zone]] "gtm.example.com": "ns.example" is no address: want one such as "192.0.2.1", "192.0.2.2:5353" or "[2001:db8::1]:53"`},
		{"told twice", zoneWith(`notify = ["192.0.2.1", "192.0.2.1:53"]`), `gtmd.toml:5:24: 192.0.2.1:53 is listed already as number 1 of this list`},
		{"algorithm", key("secret_file = \"good\"\nalgorithm = \"hmac-md5\""),
			`gtmd.toml:4:1: algorithm in [[tsig_key]] "k.example": "hmac-md5" is too weak (RFC 8945 section 6): want "hmac-sha256", or another of hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512`},
		{"no secret", key(""), `gtmd.toml:1:1: missing key "secret_file" in [[tsig_key]] "k.example"`},
		{"no file", key(`secret_file = "none"`), `gtmd.toml:3:1: stat none: no such file or directory`},
		{"no base64", key(`secret_file = "bad"`), `gtmd.toml:3:1: bad: the secret is not in base64`},
		{"blank", key(`secret_file = "blank"`), `gtmd.toml:3:1: blank: the secret is empty: want it in base64, such as the output of: openssl rand -base64 32`},
		{"key twice", goodKey + goodKey, `gtmd.toml:5:1: TSIG key "k.example" is already defined at gtmd.toml:2:1`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := LoadText("gtmd.toml", []byte(row.text))
			if diff := cmp.Diff(row.want, errorText(err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTransferWarnings(t *testing.T) {
	write(t, keyFiles)
	for _, row := range []struct{ name, text, want string }{
		{"told, not allowed", zoneWith(`notify = ["192.0.2.1"]`),
			`gtmd.toml:5:1: secondaries are told of changes, and may not transfer the zone: set transfer_to or transfer_keys`},
		{"serial", zoneWith("serial = 5\ntransfer_to = [\"192.0.2.1\"]"),
			`gtmd.toml:5:1: serial is set, and moves up from there with each change of health: should the saved state be lost, it would go back, and secondaries would keep what they have; want 0 for a zone that has secondaries`},
		{"serial without secondaries", zoneWith("serial = 5"), ""},
		{"unused", goodKey, `gtmd.toml:1:1: TSIG key "k.example" is not used by any zone`},
		{"nobody to tell", goodKey + zoneWith(`notify_key = "k.example"`), `gtmd.toml:8:1: notify_key is set, and notify names no secondary that would be told`},
		{"short", "[[tsig_key]]\nname = \"k\"\nsecret_file = \"short\"\n" + zoneWith(`transfer_keys = ["k"]`),
			`gtmd.toml:3:1: the secret of TSIG key "k" has 6 octets, which can be guessed: want at least 16, such as the output of: openssl rand -base64 32`},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := LoadText("gtmd.toml", []byte(row.text))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, w := range c.Warnings {
				got += w.String()
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}
