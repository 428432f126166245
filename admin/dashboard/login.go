package dashboard

import (
	"cmp"
	"net/http"

	"gtmd/admin"
)

// loggingIn is what the login page shows.
type loggingIn struct {
	Path, Next string
	IsFailed   bool
	// CanLogIn is whether there is a token file that a token could be of.
	CanLogIn bool
}

func (d *dashboard) login(_ http.ResponseWriter, r *http.Request) (*view, error) {
	query := r.URL.Query()
	return &view{Title: "Log in", Bare: true, Still: true, Data: loggingIn{
		Path: admin.LoginPath, Next: cmp.Or(query.Get("next"), "/"), IsFailed: query.Has("failed"), CanLogIn: admin.CanLogIn(r.Context()),
	}}, nil
}
