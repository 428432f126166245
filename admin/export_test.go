package admin

import (
	"cmp"
	"net/http"
	"syscall"
)

// Patterns are those of the routes, as "GET /api/v1/status".
func (s *Server) Patterns() (all []string) {
	for _, r := range s.routes() {
		all = append(all, r.pattern)
	}
	return all
}

// HandlerFor is the handler of a listener over TCP with those options, without the listener.
func (s *Server) HandlerFor(options Options) (http.Handler, error) {
	rules, err := readRules(options)
	if err != nil {
		return nil, err
	}
	s.rules.Store(rules)
	return s.newGate(cmp.Or(options.Listen, "127.0.0.1:0")), nil
}

// ListenUnix opens a unix socket as Prepare does, before its file gets its permissions for good.
var ListenUnix = listenUnix

// Umask sets that of the process and returns what it was.
var Umask = syscall.Umask
