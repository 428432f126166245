package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Bounds of sessions.
const (
	sessionTime      = 12 * time.Hour
	maxSessions      = 1024
	maxTokenSessions = 64 // of one token
)

// sessionCookie names the cookie of a session.
const sessionCookie = "gtmd_session"

// Why a login is refused. A [*LimitError] is another reason.
var ErrToken = errors.New("there is no such token")

// session is a browser that has shown a token.
type session struct {
	token  [sha256.Size]byte // the hash of the token: when that is gone, so is the session
	begun  time.Time
	number uint64 // in the order in which they began
}

// sessions are those that are open, by the hash of the secret in their cookie. They are in memory only: a restart ends them.
type sessions struct {
	mu   sync.Mutex
	open map[[sha256.Size]byte]session
	last uint64
}

// begin opens a session for a token and returns the secret of its cookie. The oldest ones give way.
func (s *sessions) begin(token [sha256.Size]byte, now time.Time) string {
	secret := rand.Text() + rand.Text() // 260 bits
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[[sha256.Size]byte]session{}
	}
	for hash, open := range s.open {
		if now.Sub(open.begun) >= sessionTime {
			delete(s.open, hash)
		}
	}
	s.giveWay(maxTokenSessions, func(open session) bool { return open.token == token })
	s.giveWay(maxSessions, func(session) bool { return true })
	s.last++
	s.open[sha256.Sum256([]byte(secret))] = session{token: token, begun: now, number: s.last}
	return secret
}

// giveWay ends the oldest session of a sort when there are as many as may be. The caller holds mu.
func (s *sessions) giveWay(most int, isOne func(session) bool) {
	count, first, oldest := 0, ^uint64(0), [sha256.Size]byte{}
	for hash, open := range s.open {
		if isOne(open) {
			count++
			if open.number < first {
				first, oldest = open.number, hash
			}
		}
	}
	if count >= most {
		delete(s.open, oldest)
	}
}

// token is the hash of the token that the session of a cookie began with.
func (s *sessions) token(secret string, now time.Time) (token [sha256.Size]byte, ok bool) {
	hash := sha256.Sum256([]byte(secret)) // a lookup by the hash tells nothing of the secret by its time
	s.mu.Lock()
	defer s.mu.Unlock()
	open, ok := s.open[hash]
	if ok && now.Sub(open.begun) >= sessionTime {
		delete(s.open, hash)
		return token, false
	}
	return open.token, ok
}

func (s *sessions) end(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, sha256.Sum256([]byte(secret)))
}

// Login begins a session for whoever has a token and sets its cookie. It returns [ErrToken] for a wrong token and a [*LimitError]
// after too many.
func Login(w http.ResponseWriter, r *http.Request, token string) error {
	g := visitOf(r.Context()).gate
	if g == nil || !CanLogIn(r.Context()) {
		return fmt.Errorf("%w: no token file is configured, or this is the unix socket, which needs no login", ErrToken)
	}
	found, err := g.check(r, strings.TrimSpace(token))
	if err != nil {
		return err
	}
	if old, err := r.Cookie(sessionCookie); err == nil {
		g.server.sessions.end(old.Value)
	}
	http.SetCookie(w, newCookie(r, g.server.sessions.begin(found.Hash, time.Now()), int(sessionTime/time.Second)))
	g.server.log.Info("login", "token", found.Name, "role", found.Role.String(), "from", r.RemoteAddr)
	return nil
}

// Logout ends the session of a request, if it has one, and removes its cookie.
func Logout(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		if g := visitOf(r.Context()).gate; g != nil {
			g.server.sessions.end(cookie.Value)
		}
	}
	http.SetCookie(w, newCookie(r, "", -1))
}

// newCookie is the cookie of a session. A browser sends it back only to this server, only from its own pages, and shows it to no
// script; over https, also that of a proxy before us, only over https.
func newCookie(r *http.Request, secret string, seconds int) *http.Cookie {
	return &http.Cookie{
		Name: sessionCookie, Value: secret, Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	}
}

// login takes the form of the login page.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.PostFormValue("next"))
	err := Login(w, r, r.PostFormValue("token"))
	limited, isLimited := errors.AsType[*LimitError](err)
	switch {
	case err == nil:
		http.Redirect(w, r, next, http.StatusSeeOther)
	case isLimited:
		limited.tell(w)
	default:
		http.Redirect(w, r, LoginPath+"?"+url.Values{"failed": {"1"}, "next": {next}}.Encode(), http.StatusSeeOther)
	}
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	Logout(w, r)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
