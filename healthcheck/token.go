package healthcheck

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxToken bounds a token, in octets.
const maxToken = 4 << 10

// token is the secret of a push check, hashed: tokens of any length compare in the same time, and it is not in memory
// in the clear.
type token [sha256.Size]byte

// readToken returns the token in a file, or nil when none is named. Its error names the key and the file.
func readToken(file string) (*token, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("token_file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	secret := strings.TrimSpace(string(text))
	switch {
	case err != nil:
		return nil, fmt.Errorf("token_file: %w", err)
	case len(text) > maxToken:
		return nil, fmt.Errorf("token_file: %s holds more than the %d octets that a token may have", file, maxToken)
	case secret == "":
		return nil, fmt.Errorf("token_file: %s holds no token: it is empty", file)
	}
	t := token(sha256.Sum256([]byte(secret)))
	return &t, nil
}

// equals compares in constant time. Nothing equals a nil token, which takes the same time to find.
func (t *token) equals(candidate string) bool {
	hash := sha256.Sum256([]byte(candidate))
	secret, exists := token{}, 0
	if t != nil {
		secret, exists = *t, 1
	}
	return subtle.ConstantTimeCompare(secret[:], hash[:])&exists == 1
}
