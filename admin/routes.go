package admin

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// route is one thing that is answered.
type route struct {
	pattern string // as [http.ServeMux] reads it
	name    string // in metrics
	who     Access
	handler http.HandlerFunc
	open    bool // nobody is asked who he is, nor for whom he takes this server; what needs that asks for a token of its own
	costs   bool // it takes much to answer
	waits   bool // it waits for others, as for the network: it takes no turn
	json    bool // its body is JSON
	page    bool // it is for people
}

// routes are all that a listener answers. What is for some only is there for all, and refused by the gate.
func (s *Server) routes() []route {
	all := []route{
		{pattern: "GET /healthz", name: "healthz", who: Everyone, handler: s.healthz, open: true},
		{pattern: "GET /-/healthy", name: "healthz", who: Everyone, handler: s.healthz, open: true},
		{pattern: "GET /readyz", name: "readyz", who: Everyone, handler: s.readyz, open: true},
		{pattern: "GET /-/ready", name: "readyz", who: Everyone, handler: s.readyz, open: true},
		{pattern: "POST /api/v1/push/{check}/{address}", name: "push", who: Everyone, handler: s.push, open: true},
		{pattern: "GET /metrics", name: "metrics", handler: promhttp.HandlerFor(s.gatherer, promhttp.HandlerOpts{}).ServeHTTP},
		{pattern: "POST " + LoginPath, name: "login", who: Everyone, handler: s.login, page: true},
		{pattern: "POST /logout", name: "logout", who: Everyone, handler: s.logout, page: true},
	}
	for _, r := range []struct {
		path, name string
		handler    http.HandlerFunc
	}{
		{"openapi.json", "openapi", s.openAPI},
		{"status", "status", s.status},
		{"summary", "summary", s.summary},
		{"instances", "instances", s.instances},
		{"instances/{name}", "instance", s.instance},
		{"policies", "policies", s.policies},
		{"sets", "sets", s.sets},
		{"pools", "pools", s.pools},
		{"pools/{name}", "pool", s.pool},
		{"addresses", "addresses", s.addresses},
		{"targets", "targets", s.targets},
		{"target", "target", s.target},
		{"lines", "lines", s.lines},
		{"overrides", "overrides", s.listOverrides},
		{"switches", "switches", s.switches},
		{"drills", "drills", s.drills},
		{"events", "events", s.events},
		{"events/stream", "events_stream", s.streamEvents},
		{"config", "config", s.configText},
		{"business-domains", "business_domains", s.businessDomains},
		{"askers", "askers", s.askers},
		{"alerts", "alerts", s.alerts},
	} {
		all = append(all, route{pattern: "GET /api/v1/" + r.path, name: r.name, handler: r.handler})
	}
	all = append(all,
		route{pattern: "GET /api/v1/explain", name: "explain", handler: s.explain, costs: true},
		route{pattern: "GET /api/v1/chain", name: "chain", handler: s.chain, costs: true, waits: true},
		route{pattern: "POST /api/v1/overrides/preview", name: "override_preview", handler: s.preview, json: true, costs: true},
		route{pattern: "POST /api/v1/diff", name: "diff", who: Local, handler: s.diff, json: true, costs: true},
	)
	for _, r := range []struct {
		path, name string
		handler    http.HandlerFunc
	}{
		{"reload", "reload", s.reload},
		{"switch", "switch", s.switchSet},
		{"overrides", "override", s.setOverride},
		{"overrides/clear", "override_clear", s.clearOverride},
		{"drills", "drill", s.startDrill},
		{"drills/stop", "drill_stop", s.stopDrill},
		{"probe", "probe", s.probe},
		{"alerts/test", "alert_test", s.testAlert},
	} {
		all = append(all, route{pattern: "POST /api/v1/" + r.path, name: r.name, who: Operators, handler: r.handler, json: true})
	}
	for _, p := range s.pages {
		if p.Pattern == "" {
			continue // see gate
		}
		all = append(all, route{pattern: p.Pattern, name: p.Name, who: p.Access, handler: p.Handler, costs: p.Costs, waits: p.Waits, page: true})
	}
	return all
}
