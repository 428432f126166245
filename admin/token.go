package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// readToken returns the hash of the token that requests must carry; nil where they need none.
func readToken(options Options) (*[sha256.Size]byte, error) {
	if !options.NeedsToken() {
		return nil, nil
	}
	if options.TokenFile == "" {
		return nil, fmt.Errorf("listen for the admin API on %s: others can reach it, so token_file is needed", options.Listen)
	}
	text, err := os.ReadFile(options.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("read the admin token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return nil, fmt.Errorf("read the admin token: %s is empty", options.TokenFile)
	}
	hash := sha256.Sum256([]byte(token))
	return &hash, nil
}

// requireToken lets requests through that carry the token, and those whose pattern is open. Hashes are compared, so that
// the time taken tells nothing of the token, not even its length.
func (s *Server) requireToken(mux *http.ServeMux, open map[string]bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// What the mux makes of the path decides, so that no spelling of a path is open for one and not for the other.
		if _, pattern := mux.Handler(r); !open[pattern] {
			got := sha256.Sum256([]byte(bearer(r)))
			if want := s.token.Load(); want != nil && subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
				unauthorized(w, "a bearer token is needed: the content of the token_file")
				return
			}
		}
		mux.ServeHTTP(w, r)
	})
}

func unauthorized(w http.ResponseWriter, want string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="gtmd"`)
	replyError(w, http.StatusUnauthorized, errors.New(want))
}

// bearer returns the token of an Authorization header (RFC 6750 section 2.1).
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
