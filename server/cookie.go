package server

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"os"
	"slices"
	"strings"

	"gtmd/server/wire"
)

// cookies makes and verifies DNS cookies (RFC 7873), of the form that servers of any make share (RFC 9018 section 4): the
// client cookie, version 1, three reserved octets, the time in seconds, and a SipHash-2-4 of all that and of the client's
// address. The first secret issues, all verify: a new secret is put before the old one, and no client notices. Immutable.
type cookies struct {
	secrets []cookieSecret
}

// cookieSecret is a key of SipHash.
type cookieSecret [16]byte

// cookieLen is the length of a whole cookie in octets: that of the client and RFC 9018's of the server.
const cookieLen = wire.ClientCookieLen + 16

// The ages of RFC 9018 section 4.3, in seconds.
const (
	cookieLife  = 3600 // a cookie is valid for so long
	cookieAhead = 300  // and may be issued by a clock that is so far ahead
	cookieRenew = 1800 // older ones are valid, and replaced
)

// cookieResult is what a COOKIE option was found to be.
type cookieResult uint8

// The results, also indexes of cookieNames.
const (
	cookieClient  cookieResult = iota // only a client cookie
	cookieValid                       // a server cookie of ours, for this client
	cookieInvalid                     // any other: too old, of another server, forged
)

// cookieNames are the results as metrics name them.
var cookieNames = [...]string{"client", "valid", "invalid"}

// check verifies the data of a COOKIE option, of a legal length, that came from source at now, in seconds since 1970. It
// returns the cookie to reply: the same while it is young, else a fresh one, written to fresh.
func (c *cookies) check(cookie []byte, source netip.Addr, now uint32, fresh *[cookieLen]byte) (cookieResult, []byte) {
	result := cookieClient
	if len(cookie) > wire.ClientCookieLen {
		result = cookieInvalid
	}
	if len(cookie) == cookieLen && cookie[wire.ClientCookieLen] == 1 {
		age := int32(now - binary.BigEndian.Uint32(cookie[12:])) // RFC 1982 arithmetic, as RFC 9018 section 4.3 has it
		if -cookieAhead <= age && age <= cookieLife {
			if i := c.verify(cookie, source); i >= 0 {
				result = cookieValid
				if i == 0 && age <= cookieRenew {
					return result, cookie
				}
			}
		}
	}
	copy(fresh[:], cookie[:wire.ClientCookieLen])
	binary.BigEndian.PutUint32(fresh[8:], 1<<24) // version 1, reserved 0
	binary.BigEndian.PutUint32(fresh[12:], now)
	binary.LittleEndian.PutUint64(fresh[16:], c.secrets[0].hash([16]byte(fresh[:16]), source))
	return result, fresh[:]
}

// verify returns the index of the secret that made a cookie of cookieLen octets for source; -1: none.
func (c *cookies) verify(cookie []byte, source netip.Addr) int {
	made := binary.LittleEndian.Uint64(cookie[16:])
	for i := range c.secrets {
		if c.secrets[i].hash([16]byte(cookie[:16]), source) == made {
			return i
		}
	}
	return -1
}

// hash is SipHash-2-4 of the first 16 octets of a cookie and the client's address, of 4 or 16 octets.
func (s *cookieSecret) hash(head [16]byte, source netip.Addr) uint64 {
	k0, k1 := binary.LittleEndian.Uint64(s[:]), binary.LittleEndian.Uint64(s[8:])
	h := sipHash{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
	h.add(binary.LittleEndian.Uint64(head[:]))
	h.add(binary.LittleEndian.Uint64(head[8:]))
	if source.Is4() {
		address := source.As4()
		h.add(20<<56 | uint64(binary.LittleEndian.Uint32(address[:])))
	} else {
		address := source.As16()
		h.add(binary.LittleEndian.Uint64(address[:]))
		h.add(binary.LittleEndian.Uint64(address[8:]))
		h.add(32 << 56)
	}
	h.v2 ^= 0xff
	h.round()
	h.round()
	h.round()
	h.round()
	return h.v0 ^ h.v1 ^ h.v2 ^ h.v3
}

// sipHash is the state of SipHash-2-4. The last word added has the length of the input in its top octet.
type sipHash struct{ v0, v1, v2, v3 uint64 }

func (h *sipHash) add(word uint64) {
	h.v3 ^= word
	h.round()
	h.round()
	h.v0 ^= word
}

func (h *sipHash) round() {
	h.v0 += h.v1
	h.v2 += h.v3
	h.v1 = bits.RotateLeft64(h.v1, 13) ^ h.v0
	h.v3 = bits.RotateLeft64(h.v3, 16) ^ h.v2
	h.v0 = bits.RotateLeft64(h.v0, 32)
	h.v2 += h.v1
	h.v0 += h.v3
	h.v1 = bits.RotateLeft64(h.v1, 17) ^ h.v2
	h.v3 = bits.RotateLeft64(h.v3, 21) ^ h.v0
	h.v2 = bits.RotateLeft64(h.v2, 32)
}

// newCookies is what options ask for: nil when cookies are disabled. Without a file the secret is own.
func newCookies(o CookieOptions, own cookieSecret) (*cookies, error) {
	switch {
	case !o.Enabled:
		return nil, nil
	case o.SecretFile == "":
		return &cookies{secrets: []cookieSecret{own}}, nil
	}
	text, err := os.ReadFile(o.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("read the secrets of DNS cookies: %w", err)
	}
	secrets, err := parseCookieSecrets(string(text))
	if err != nil {
		return nil, fmt.Errorf("read the secrets of DNS cookies: %s: %w", o.SecretFile, err)
	}
	return &cookies{secrets: secrets}, nil
}

// maxCookieSecrets bounds what an invalid cookie costs.
const maxCookieSecrets = 8

// CheckCookieSecrets tells what is wrong with the content of a secret_file; the error does not quote it.
func CheckCookieSecrets(text string) error {
	_, err := parseCookieSecrets(text)
	return err
}

// parseCookieSecrets reads one secret a line; empty lines and those that start with # are skipped.
func parseCookieSecrets(text string) ([]cookieSecret, error) {
	var secrets []cookieSecret
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := hex.DecodeString(line)
		if err != nil || len(key) != len(cookieSecret{}) {
			return nil, fmt.Errorf("line %d is no secret: want 32 hexadecimal digits, such as \"openssl rand -hex 16\" prints", number)
		}
		if slices.Contains(secrets, cookieSecret(key)) {
			return nil, fmt.Errorf("line %d has the secret of a line before: want each once", number)
		}
		secrets = append(secrets, cookieSecret(key))
	}
	switch {
	case len(secrets) == 0:
		return nil, errors.New("there is no secret: want a line of 32 hexadecimal digits, such as \"openssl rand -hex 16\" prints")
	case len(secrets) > maxCookieSecrets:
		return nil, fmt.Errorf("there are %d secrets: want at most %d, the first of which issues cookies", len(secrets), maxCookieSecrets)
	}
	return secrets, nil
}
