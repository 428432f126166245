package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// rules are what the configuration says of who may do what over TCP. Immutable.
type rules struct {
	tokens Tokens
	hosts  map[string]bool // names in Host headers; see isHost
	// replaced is closed when others with other tokens count.
	replaced chan struct{}
}

func (r *rules) sameTokens(other *rules) bool {
	return slices.Equal(r.tokens.Tokens, other.tokens.Tokens)
}

// gate is what every request to one listener passes before it gets to its route.
type gate struct {
	server *Server
	socket bool
	// needsToken is whether others than this machine reach the listener, so that reading takes a token. It is that of the listener, not of
	// the configuration: a request on one that is about to end is not let in by the rules of the next.
	needsToken bool
	mux        *http.ServeMux
	// guarded has what a request passes before it gets to the mux, by the pattern that the mux finds for it. So no spelling of a path
	// is open for one and not for the other, and the redirection to the right spelling is guarded, too.
	guarded map[string]http.Handler
	missing http.HandlerFunc // what tells people that there is no such page
	// ending is closed when the listener ends: streams end then.
	ending chan struct{}
}

// newGate returns the gate of one listener: of what was asked for over TCP, or, when that is empty, of the socket.
func (s *Server) newGate(listen string) *gate {
	g := &gate{server: s, socket: listen == "", needsToken: (&Options{Listen: listen}).NeedsToken(), mux: http.NewServeMux(), guarded: map[string]http.Handler{}, ending: make(chan struct{}), missing: http.NotFound}
	for _, r := range s.routes() {
		g.mux.HandleFunc(r.pattern, r.handler)
		r.handler = g.mux.ServeHTTP
		g.guarded[r.pattern] = s.metrics.observe(r.name, g.guard(r))
	}
	for _, p := range s.pages {
		if p.Pattern == "" {
			g.missing = p.Handler
		}
	}
	return g
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	handler, pattern := g.mux.Handler(r)
	if guarded := g.guarded[pattern]; guarded != nil {
		guarded.ServeHTTP(w, r)
		return
	}
	// Nothing has the path, or nothing the method: whoever may not read does not learn which.
	g.guard(route{who: Readers, page: isSafe(r) && !isAPI(r) && strings.Contains(r.Header.Get("Accept"), "text/html"), handler: func(w http.ResponseWriter, r *http.Request) {
		switch {
		case isAPI(r):
		case isSafe(r) && pattern == "":
			g.missing(w, r)
			return
		default:
			handler.ServeHTTP(w, r)
			return
		}
		verdict := &statusRecorder{ResponseWriter: discard{w.Header()}}
		handler.ServeHTTP(verdict, r)
		w.Header().Del("Content-Length")
		if verdict.code == http.StatusMethodNotAllowed {
			replyError(w, verdict.code, fmt.Errorf("%s: want the method %s", r.URL.Path, w.Header().Get("Allow")))
			return
		}
		replyError(w, http.StatusNotFound, fmt.Errorf("there is nothing at %s: /api/v1/openapi.json has what there is", r.URL.Path))
	}})(w, r)
}

// discard keeps what a handler does to the header of a reply, and drops the reply.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

// isSafe reports whether a request changes nothing (RFC 9110 section 9.2.1).
func isSafe(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// guard lets requests through to a route that may use it, and tells the handler who it is.
func (g *gate) guard(route route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, caller, refused := g.admit(r, route)
		if refused != nil {
			g.refuse(w, r, route, caller, *refused)
			return
		}
		ctx := context.WithValue(WithCaller(r.Context(), caller), visitKey{}, who)
		if id, ok := r.Context().Value(connectionKey{}).(*connection); ok && (caller.Name != "" || g.socket) {
			id.isKnown.Store(true)
		}
		r = r.WithContext(ctx)
		if g.socket || route.open || route.waits || !isSafe(r) && !route.costs {
			route.handler(w, r)
			return
		}
		if err := g.server.turns.serve(w, r, route.handler); err != nil {
			g.server.metrics.refused.WithLabelValues("limit").Inc()
			w.Header().Set("Retry-After", "5")
			if route.page {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			replyError(w, http.StatusServiceUnavailable, err)
		}
	}
}

// refusal is why a request does not get to its route.
type refusal struct {
	code int
	why  string // in metrics
	err  error
}

// admit says who sends a request, and whether he may use a route.
func (g *gate) admit(r *http.Request, route route) (visit, Caller, *refusal) {
	who := visit{gate: g}
	caller := Caller{Via: "tcp", Remote: r.RemoteAddr}
	if g.socket {
		caller = Caller{Via: "socket"}
	}
	if route.page {
		caller.Via = "dashboard"
	}
	if route.open {
		return who, caller, nil
	}
	// The socket has its hosts and origins checked, too: a browser may reach it through a forwarded port.
	if !g.isHost(r.Host) {
		return who, caller, &refusal{http.StatusMisdirectedRequest, "host", fmt.Errorf(
			"the host %q is not one of this server: ask for an address or localhost, or name the host in hosts of [admin]", oneLine(r.Host, maxName))}
	}
	crossOrigin := !isSafe(r) && g.server.origins.Check(r) != nil
	if g.socket {
		who.role = RoleOperate
		if !isSafe(r) {
			caller.Name = peerName(r.Context())
		}
		if crossOrigin {
			return who, caller, &errCrossOrigin
		}
		return who, caller, nil
	}
	token, err := g.identify(r, &who)
	who.role, caller.Name = token.Role, token.Name
	if who.role == NoRole && !g.needsToken {
		who.role = RoleRead
	}
	switch {
	case crossOrigin:
		return who, caller, &errCrossOrigin
	case err == nil || route.who == Everyone:
		return who, caller, g.may(r, route, who, caller)
	}
	if _, isLimited := errors.AsType[*LimitError](err); isLimited {
		return who, caller, &refusal{http.StatusTooManyRequests, "limit", err}
	}
	return who, caller, &errNoToken
}

// Why requests are refused.
var (
	errCrossOrigin = refusal{http.StatusForbidden, "origin", errors.New("a page of another server has sent this: only pages of this server may change something")}
	errNoToken     = refusal{http.StatusUnauthorized, "token", errors.New("a bearer token is needed: one of the token_file")}
	errNoOperator  = refusal{http.StatusUnauthorized, "token", errors.New("a bearer token with the role operate is needed: one of the token_file")}
	errReadOnly    = refusal{http.StatusForbidden, "role", errors.New("over TCP this is read-only: use the unix socket, or set token_file in [admin]")}
	errLocal       = refusal{http.StatusForbidden, "role", errors.New("this is only for the unix socket")}
	errNotJSON     = refusal{http.StatusUnsupportedMediaType, "type", errors.New("want the header Content-Type: application/json")}
)

// may says why somebody may not use a route over TCP, nil when he may.
func (g *gate) may(r *http.Request, route route, who visit, caller Caller) *refusal {
	switch {
	case route.who == Local:
		return &errLocal
	case route.who == Operators && who.role < RoleOperate && len(g.server.rules.Load().tokens.Tokens) == 0:
		return &errReadOnly
	case route.who == Operators && who.role < RoleOperate && caller.Name == "":
		return &errNoOperator
	case route.who == Operators && who.role < RoleOperate:
		return &refusal{http.StatusForbidden, "role", fmt.Errorf("the token %s may only read: this takes one with the role operate", caller.Name)}
	case route.who == Readers && who.role < RoleRead:
		return &errNoToken
	case route.json && r.ContentLength != 0 && !isJSON(r):
		return &errNotJSON
	}
	var err error
	switch client := cmp.Or(caller.Name, clientKey(r)); {
	case route.costs:
		err = g.server.reads.take(client, time.Now())
	case route.who == Operators && !isSafe(r):
		err = g.server.changes.take(client, time.Now())
	}
	if err != nil {
		return &refusal{http.StatusTooManyRequests, "limit", err}
	}
	return nil
}

// identify is the token that a request shows, or whose session it is part of. Without either it is the zero Token.
func (g *gate) identify(r *http.Request, who *visit) (Token, error) {
	rules := g.server.rules.Load()
	if len(rules.tokens.Tokens) == 0 {
		return Token{}, nil
	}
	if token, ok := bearer(r); ok {
		return g.check(r, token)
	}
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return Token{}, nil
	}
	hash, ok := g.server.sessions.token(cookie.Value, time.Now())
	if !ok {
		return Token{}, nil
	}
	token, ok := rules.tokens.byHash(hash)
	who.session = ok
	return token, nil
}

// check is the token that a text is. After too many wrong ones a network is refused, but for tokens that nobody guesses.
func (g *gate) check(r *http.Request, text string) (Token, error) {
	client, now := clientKey(r), time.Now()
	if !isGenerated(text) {
		if err := g.server.failures.left(client, now); err != nil {
			return Token{}, err
		}
	}
	if token, ok := g.server.rules.Load().tokens.Find(text); ok {
		return token, nil
	}
	g.server.metrics.authFailures.Inc()
	if err := g.server.failures.take(client, now); err != nil {
		return Token{}, err
	}
	g.server.log.Warn("a wrong token was shown to the admin API", "from", r.RemoteAddr, "path", oneLine(r.URL.Path, maxName))
	return Token{}, ErrToken
}

// refuse replies to a request that may not go on. What would have changed something is noted.
func (g *gate) refuse(w http.ResponseWriter, r *http.Request, route route, caller Caller, why refusal) {
	s := g.server
	s.metrics.refused.WithLabelValues(why.why).Inc()
	if (route.who == Operators || route.who == Local) && !isSafe(r) && s.notes.take(clientKey(r), time.Now()) == nil {
		what := r.Method + " " + oneLine(r.URL.Path, maxName)
		s.log.Warn("a change was refused", "what", what, "why", why.err, "via", caller.Via, "from", caller.Remote, "token", caller.Name)
		s.backend.Refused(WithCaller(r.Context(), caller), what, why.err.Error())
	}
	limited, isLimited := errors.AsType[*LimitError](why.err)
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case isLimited && route.page:
		limited.tell(w)
	case isLimited:
		limited.reply(w)
	case why.code == http.StatusUnauthorized && route.page:
		http.Redirect(w, r, LoginURL(r), http.StatusSeeOther)
	case why.code == http.StatusUnauthorized:
		unauthorized(w, why.err.Error())
	case route.page:
		http.Error(w, why.err.Error(), why.code)
	default:
		replyError(w, why.code, why.err)
	}
}
