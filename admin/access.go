package admin

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Access is who may use a route or a page.
type Access int

const (
	Readers   Access = iota // over TCP those with a token, where one is needed; all who may use the socket
	Everyone                // no token is needed
	Operators               // what changes something: all who may use the socket, and over TCP those with a token of the role operate
	Local                   // only those who may use the socket: the permissions of its file say who
)

// Role is what somebody may do.
type Role int

const (
	NoRole      Role = iota
	RoleRead         // see
	RoleOperate      // see and change
)

// String is the role as a token file has it.
func (r Role) String() string {
	switch r {
	case RoleRead:
		return "read"
	case RoleOperate:
		return "operate"
	default:
		return "none"
	}
}

// ParseRole reads what String writes, but for none.
func ParseRole(text string) (Role, bool) {
	for _, r := range []Role{RoleRead, RoleOperate} {
		if text == r.String() {
			return r, true
		}
	}
	return NoRole, false
}

// LoginPath is where a browser sends a token to, in the form fields "token" and "next"; a page of the dashboard has the same path.
const LoginPath = "/login"

// visit is what is known of a request when its handler runs.
type visit struct {
	role    Role
	session bool // whether a cookie said who it is
	gate    *gate
}

type visitKey struct{}

func visitOf(ctx context.Context) visit {
	v, _ := ctx.Value(visitKey{}).(visit)
	return v
}

// RoleOf is what whoever sent a request may do.
func RoleOf(ctx context.Context) Role { return visitOf(ctx).role }

// WithRole notes a role in a context, for tests of handlers.
func WithRole(ctx context.Context, role Role) context.Context {
	v := visitOf(ctx)
	v.role = role
	return context.WithValue(ctx, visitKey{}, v)
}

// IsLoggedIn reports whether a request is part of a session, which [Logout] ends.
func IsLoggedIn(ctx context.Context) bool { return visitOf(ctx).session }

// CanLogIn reports whether there is a token that a session could begin with: over the socket and without a token file there is none.
func CanLogIn(ctx context.Context) bool {
	g := visitOf(ctx).gate
	return g != nil && !g.socket && len(g.server.rules.Load().tokens.Tokens) > 0
}

// NeedsLogin reports whether whoever sent a request has to log in before he may change something.
func NeedsLogin(r *http.Request) bool {
	return RoleOf(r.Context()) < RoleOperate && CanLogIn(r.Context())
}

// LoginURL is the path of the login page that leads back to the page of a request.
func LoginURL(r *http.Request) string {
	next := "/"
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		next = r.URL.RequestURI()
	}
	return LoginPath + "?next=" + url.QueryEscape(localPath(next))
}

// localPath is a path of this server, or "/" when a text is none: a browser that is sent there stays here.
func localPath(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") || !utf8.ValidString(path) {
		return "/"
	}
	if u, err := url.Parse(path); err != nil || u.Host != "" || u.Scheme != "" {
		return "/"
	}
	return path
}

// Author is who is noted as the author of a change: over the socket the one who is given, or the user at the other end of it; over
// TCP the name of the token, after the one who is given.
func Author(ctx context.Context, given string) string {
	caller := CallerOf(ctx)
	given = strings.TrimSpace(given)
	switch {
	case given == "" || given == caller.Name:
		return caller.Name
	case caller.Name == "" || caller.Remote == "":
		return given
	default:
		return given + " (token " + caller.Name + ")"
	}
}
