package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Token is one that may be shown over TCP. The file has its hash, so that who reads the file can show nothing.
type Token struct {
	Role Role
	Name string
	Hash [sha256.Size]byte
}

// Tokens are those of a token file.
type Tokens struct {
	Tokens []Token
	// Warnings say what is unwise about the file, whoever may read it; Exposed is a warning when everybody on this machine may.
	Warnings []string
	Exposed  string
}

// PlainName is the name of the token of a file that has nothing but a token, as it is.
const PlainName = "token_file"

// tokenPrefix begins each token that NewToken makes: programs that look for leaked secrets find it by that.
const tokenPrefix = "gtmd_"

// tokenLength is how long such a token is: the prefix and 256 bits in base64.
var tokenLength = len(tokenPrefix) + base64.RawURLEncoding.EncodedLen(sha256.Size)

// NewToken returns a token of 256 random bits.
func NewToken() string {
	secret := make([]byte, sha256.Size)
	rand.Read(secret) // never fails
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
}

// isGenerated reports whether a text has the form of what NewToken returns. Nobody guesses such a token.
func isGenerated(text string) bool {
	return len(text) == tokenLength && strings.HasPrefix(text, tokenPrefix)
}

// TokenLine is the line of a token file for a token.
func TokenLine(role Role, name, token string) string {
	hash := sha256.Sum256([]byte(token))
	return fmt.Sprintf("%s %s sha256:%x", role, name, hash)
}

// CheckTokenName says what is wrong with the name of a token.
func CheckTokenName(name string) error {
	const signs = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@+"
	if name == "" || len(name) > 64 || strings.Trim(name, signs) != "" {
		return fmt.Errorf("name %q: want 1 to 64 letters, digits and . - _ @ +", name)
	}
	return nil
}

// ReadTokens reads a token file: lines "ROLE NAME sha256:HEX", empty ones, and comments that begin with "#". A file with one word
// is a token as it is, of the role read. Every line that is wrong is in the error.
func ReadTokens(path string) (Tokens, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Tokens{}, err
	}
	if !info.Mode().IsRegular() {
		return Tokens{}, fmt.Errorf("read %s: not a regular file", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Tokens{}, err
	}
	tokens, err := parseTokens(path, string(text))
	if err != nil {
		return Tokens{}, err
	}
	if info.Mode().Perm()&0o004 != 0 {
		tokens.Exposed = fmt.Sprintf("%s can be read by everybody: chmod 640 %s", path, path)
	}
	return tokens, nil
}

func parseTokens(path, text string) (tokens Tokens, err error) {
	var problems []error
	lines, names, plain := 0, map[string]int{}, ""
	for i, line := range strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if lines++; len(fields) == 1 {
			plain = fields[0]
		}
		token, err := parseToken(fields)
		if err == nil && names[token.Name] > 0 {
			err = fmt.Errorf("the name %s is that of line %d already", token.Name, names[token.Name])
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %w", path, i+1, err))
			continue
		}
		names[token.Name] = i + 1
		tokens.Tokens = append(tokens.Tokens, token)
	}
	switch {
	case lines == 0:
		return Tokens{}, fmt.Errorf("%s is empty: want a token in it", path)
	case lines == 1 && plain != "":
		return Tokens{
			Tokens:   []Token{{Role: RoleRead, Name: PlainName, Hash: sha256.Sum256([]byte(plain))}},
			Warnings: []string{fmt.Sprintf("%s has a token as it is, which may only read: \"gtmd token create --role operate NAME\" makes one whose file has only a hash", path)},
		}, nil
	}
	return tokens, errors.Join(problems...)
}

func parseToken(fields []string) (t Token, err error) {
	const want = `want "ROLE NAME sha256:HEX", as "gtmd token create" prints it` // the line is not repeated: it may be a secret
	if len(fields) != 3 {
		return t, errors.New(want)
	}
	digits, isHash := strings.CutPrefix(fields[2], "sha256:")
	hash, err := hex.DecodeString(digits)
	if !isHash || err != nil || len(hash) != sha256.Size {
		return t, errors.New("the third word is no hash: " + want)
	}
	role, ok := ParseRole(fields[0])
	if !ok {
		return t, errors.New("the first word is neither read nor operate: " + want)
	}
	if err := CheckTokenName(fields[1]); err != nil {
		return t, err
	}
	return Token{Role: role, Name: fields[1], Hash: [sha256.Size]byte(hash)}, nil
}

// Find is the token that a text is. Hashes are compared, with all of them, so that the time taken tells nothing of a token.
func (t Tokens) Find(text string) (Token, bool) { return t.byHash(sha256.Sum256([]byte(text))) }

func (t Tokens) byHash(hash [sha256.Size]byte) (found Token, ok bool) {
	for _, one := range t.Tokens {
		if subtle.ConstantTimeCompare(one.Hash[:], hash[:]) == 1 {
			found, ok = one, true
		}
	}
	return found, ok
}

// readRules reads what options say of who may do what over TCP.
func readRules(options Options) (*rules, error) {
	r := &rules{hosts: map[string]bool{}, replaced: make(chan struct{})}
	for _, host := range options.Hosts {
		r.hosts[plainHost(host)] = true
	}
	if options.Listen == "" {
		return r, nil
	}
	if options.TokenFile == "" {
		if options.NeedsToken() {
			return nil, fmt.Errorf("listen for the admin API on %s: others can reach it, so token_file is needed", options.Listen)
		}
		return r, nil
	}
	var err error
	if r.tokens, err = ReadTokens(options.TokenFile); err != nil {
		return nil, fmt.Errorf("read the admin token: %w", err)
	}
	return r, nil
}
