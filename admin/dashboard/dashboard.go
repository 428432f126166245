// Package dashboard is the pages that people see at / of the admin address: rendered here, of what the Backend of the API
// says, with a stylesheet and a few modules of JavaScript that are part of the program. Nothing is fetched from elsewhere.
//
// A page is one Go file, which makes its data, and one file in pages, which shows them. Without JavaScript every page works
// and is as old as its load; with it, main is fetched again on every change and at least every five seconds.
package dashboard

import (
	"bytes"
	"errors"
	"html/template"
	"log/slog"
	"net/http"

	"gtmd/admin"
)

// A page is how one page is reached and what makes it.
type page struct {
	pattern string // as [http.ServeMux] reads it
	name    string // in metrics
	access  admin.Access
	file    string // in pages; it defines "main"
	// build makes what is shown. The view of a nil view and a nil error was written by build itself, as a redirection is. An
	// error is shown as a page: a *[fault] with its status, any other as 500.
	build func(http.ResponseWriter, *http.Request) (*view, error)
}

// list is every page. A page is added here.
func (d *dashboard) list() []page {
	return []page{
		{"GET /{$}", "page_overview", admin.Readers, "overview.html", d.overview},
		{"GET /instances", "page_instances", admin.Readers, "instances.html", d.instances},
		{"GET /instance", "page_instance", admin.Readers, "instance.html", d.instance},
		{"GET /pools", "page_pools", admin.Readers, "pools.html", d.pools},
		{"GET /pool", "page_pool", admin.Readers, "pool.html", d.pool},
		{"GET /address", "page_address", admin.Readers, "address.html", d.address},
		{"GET /events", "page_events", admin.Readers, "events.html", d.events},
		{"GET /explain", "page_explain", admin.Readers, "explain.html", d.explain},
		{"GET /steer", "page_steer", admin.Readers, "steer.html", d.steer},
		{"GET /steer/confirm", "page_confirm", admin.Readers, "confirm.html", d.confirm},
		{"GET /steer/clear", "page_confirm_clear", admin.Readers, "confirm.html", d.confirmClear},
		{"POST /steer/override", "page_override", admin.Operators, "", d.setOverride},
		{"POST /steer/clear", "page_override_clear", admin.Operators, "", d.clearOverride},
		{"POST /steer/drill", "page_drill", admin.Operators, "", d.startDrill},
		{"POST /steer/stop", "page_drill_stop", admin.Operators, "", d.stopDrill},
		{"GET /business", "page_business", admin.Readers, "business.html", d.business},
		{"GET /alerts", "page_alerts", admin.Readers, "alerts.html", d.alerts},
		{"POST /alerts/test", "page_alert_test", admin.Operators, "alerts.html", d.testAlert},
		{"GET /config", "page_config", admin.Readers, "configuration.html", d.configuration},
		{"POST /config/reload", "page_reload", admin.Operators, "", d.reload},
		{"", "page_missing", admin.Readers, "fault.html", d.missing},
		{"GET /login", "page_login", admin.Everyone, "login.html", d.login},
	}
}

// costs reports whether a page takes much: an explanation, a chain that is resolved, a change that is tried.
func (p page) costs() bool {
	switch p.name {
	case "page_explain", "page_business", "page_confirm", "page_confirm_clear":
		return true
	}
	return false
}

// dashboard makes the pages. It is never changed after New.
type dashboard struct {
	backend   admin.Backend
	log       *slog.Logger
	templates map[string]*template.Template // by the file of the page; "fault.html" shows errors
}

// New returns the pages, their stylesheet and scripts, and the stream at /live.
func New(backend admin.Backend, log *slog.Logger) []admin.Page {
	d := &dashboard{backend: backend, log: log, templates: parse()}
	pages := append(assets(), admin.Page{Pattern: "GET /live", Name: "live", Access: admin.Readers, Handler: d.live})
	for _, p := range d.list() {
		pages = append(pages, admin.Page{Pattern: p.pattern, Name: p.name, Access: p.access, Costs: p.costs(), Waits: p.name == "page_business", Handler: d.serve(p)})
	}
	return pages
}

// A fault is an error that is the reader's: what was asked for is not there, or makes no sense.
type fault struct {
	status int
	title  string
	text   string
}

func (f *fault) Error() string { return f.text }

// missing is the fault of something that is not there.
func missing(title, text string) error { return &fault{http.StatusNotFound, title, text} }

func (d *dashboard) missing(_ http.ResponseWriter, r *http.Request) (*view, error) {
	return nil, missing("There is no such page", "Nothing is at "+r.URL.Path+".")
}

func (d *dashboard) serve(p page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusOK
		file := p.file
		v, err := p.build(w, r)
		switch {
		case err != nil:
			f, isFault := errors.AsType[*fault](err)
			if !isFault {
				f = &fault{http.StatusInternalServerError, "This page could not be made", err.Error()}
			}
			status, file, v = f.status, "fault.html", &view{Title: f.title, Data: f.text}
		case v == nil:
			return
		case v.Status != 0:
			status = v.Status
		}
		d.write(w, file, status, v)
	}
}

// write renders a whole page before its first byte is sent.
func (d *dashboard) write(w http.ResponseWriter, file string, status int, v *view) {
	var body bytes.Buffer
	if err := d.templates[file].ExecuteTemplate(&body, "layout", v); err != nil {
		d.log.Error("render a page of the dashboard", "page", file, "error", err)
		http.Error(w, "this page could not be rendered; the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(bytes.ToValidUTF8(body.Bytes(), []byte("\ufffd"))) // a reason can have the octets of an origin
}
