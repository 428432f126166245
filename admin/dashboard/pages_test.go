package dashboard_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"

	"gtmd/admin"
	"gtmd/admin/dashboard"
)

// site is the pages of a backend, as a server would have them.
type site struct {
	mux *http.ServeMux
	log strings.Builder
}

func newSite(b admin.Backend) *site {
	s := &site{mux: http.NewServeMux()}
	for _, p := range dashboard.New(b, slog.New(slog.NewTextHandler(&s.log, nil))) {
		if p.Pattern == "" {
			p.Pattern = "GET /" // what the gate does
		}
		s.mux.HandleFunc(p.Pattern, p.Handler)
	}
	return s
}

func (s *site) get(path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

// paths are the pages of a backend: one of each kind, and those of everything that it has, up to a few.
func paths(b *backend) []string {
	all := []string{"/", "/?q=x&state=attention", "/instances", "/instances?state=backup", "/pools", "/pools?state=down&page=2",
		"/events", "/events?kind=switch&instance=cdn-origin", "/explain", "/explain?name=origin.gtm.example.com&client=192.0.2.0%2F24&suppose=pool%3Ax%3Ddown",
		"/steer", "/steer?address=198.51.100.21&pool=hk-origin", "/steer?instance=static&policy=Global&set=primary", "/business", "/business?domain=www.shop.example.",
		"/alerts", "/config", "/login", "/login?failed=1&next=%2Fsteer"}
	if len(b.status.Overrides) > 0 && b.status.Overrides[0].ID == "o17" {
		all = append(all, "/steer/confirm?address=198.51.100.21&state=drain&reason=new+kernel&author=alice&for=30m", "/steer/clear?id=o17")
	}
	for _, in := range b.status.Instances[:min(len(b.status.Instances), 3)] {
		name := url.QueryEscape(in.Name)
		all = append(all, "/instance?name="+name, "/instance?range=7d&family=ipv6&name="+name)
	}
	for _, p := range b.status.Pools[:min(len(b.status.Pools), 8)] {
		all = append(all, "/pool?name="+url.QueryEscape(p.Name))
		for _, a := range p.Addresses[:min(len(p.Addresses), 3)] {
			all = append(all, "/address?address="+url.QueryEscape(a.Address))
		}
	}
	return all
}

// backends are the kinds of process that every page is shown of.
func backends() map[string]*backend {
	return map[string]*backend{"full": full(), "empty": {}, "hostile": hostile(), "large": large(1000, 10)}
}

func TestPagesRender(t *testing.T) {
	for name, b := range backends() {
		t.Run(name, func(t *testing.T) {
			s := newSite(b)
			for _, path := range paths(b) {
				w := s.get(path)
				if w.Code != http.StatusOK {
					t.Errorf("GET %s: status %d", path, w.Code)
					continue
				}
				checkPage(t, s, path, w.Body.String())
			}
			if s.log.Len() > 0 {
				t.Errorf("the log has %s", s.log.String())
			}
		})
	}
}

func TestMissing(t *testing.T) {
	s := newSite(full())
	for _, path := range []string{"/instance?name=nope", "/instance", "/pool?name=%3Cscript%3E", "/address?address=192.0.2.250", "/address"} {
		w := s.get(path)
		if w.Code != http.StatusNotFound {
			t.Errorf("GET %s: status %d, want 404", path, w.Code)
		}
		checkPage(t, s, path, w.Body.String())
	}
}

// checkPage wants a page that is well-formed, has each id once, a label for each control, a name for each link and button,
// nothing inline that the Content-Security-Policy forbids, and only links that lead somewhere.
func checkPage(t *testing.T, s *site, path, body string) {
	t.Helper()
	for _, problem := range wellFormed(body) {
		t.Errorf("GET %s: %s", path, problem)
	}
	if !utf8.ValidString(body) {
		t.Errorf("GET %s: it is not UTF-8", path)
	}
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	ids, labels, titles, h1, main := map[string]int{}, map[string]bool{}, 0, 0, 0
	var controls, links []*html.Node
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if id := attribute(n, "id"); id != "" {
			ids[id]++
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("GET %s: <%s> has the attribute %s, which the policy forbids", path, n.Data, a.Key)
			}
		}
		switch n.Data {
		case "script", "style":
			if n.FirstChild != nil {
				t.Errorf("GET %s: an inline <%s>: %q", path, n.Data, n.FirstChild.Data)
			}
			links = append(links, n)
		case "label":
			labels[attribute(n, "for")] = true
		case "input", "select", "textarea":
			controls = append(controls, n)
		case "a", "link", "form":
			links = append(links, n)
		case "title":
			if n.Parent.Data == "head" {
				titles++
			}
		case "h1":
			h1++
		case "main":
			main++
		case "table":
			if n.FirstChild == nil || find(n, "caption") == nil {
				t.Errorf("GET %s: a table without a caption", path)
			}
		case "th":
			if attribute(n, "scope") == "" {
				t.Errorf("GET %s: <th> %q without a scope", path, text(n))
			}
		case "button":
			if strings.TrimSpace(text(n)+attribute(n, "aria-label")) == "" {
				t.Errorf("GET %s: a button without a name", path)
			}
		}
	}
	if titles != 1 || h1 != 1 || main != 1 {
		t.Errorf("GET %s: %d titles, %d h1, %d main, want one of each", path, titles, h1, main)
	}
	for id, count := range ids {
		if count > 1 {
			t.Errorf("GET %s: id %q is there %d times", path, id, count)
		}
	}
	for _, n := range controls {
		if id := attribute(n, "id"); attribute(n, "type") != "hidden" && attribute(n, "type") != "submit" && !labels[id] && attribute(n, "aria-label") == "" {
			t.Errorf("GET %s: <%s name=%q> without a label", path, n.Data, attribute(n, "name"))
		}
	}
	for n := range doc.Descendants() {
		for _, name := range []string{"aria-labelledby", "aria-describedby", "popovertarget"} {
			if id := attribute(n, name); id != "" && ids[id] == 0 {
				t.Errorf("GET %s: %s names %q, which is not there", path, name, id)
			}
		}
	}
	for _, n := range links {
		checkLink(t, s, path, n, ids)
	}
}

// elsewhere are the first parts of paths that the API has.
var elsewhere = []string{"/api/v1/", "/metrics", "/login", "/logout"}

func checkLink(t *testing.T, s *site, path string, n *html.Node, ids map[string]int) {
	t.Helper()
	if attribute(n, "method") == "dialog" {
		return // it only closes one
	}
	target := attribute(n, "href") + attribute(n, "src") + attribute(n, "action")
	if n.Data == "a" && strings.TrimSpace(text(n)) == "" {
		t.Errorf("GET %s: the link to %s has no text", path, target)
	}
	if id, isHere := strings.CutPrefix(target, "#"); isHere {
		if ids[id] == 0 {
			t.Errorf("GET %s: a link to #%s, which is not there", path, id)
		}
		return
	}
	u, err := url.Parse(target)
	if err != nil || !strings.HasPrefix(target, "/") || u.Host != "" {
		t.Errorf("GET %s: <%s> leads to %q", path, n.Data, target)
		return
	}
	method := strings.ToUpper(attribute(n, "method"))
	if method == "" {
		method = "GET"
	}
	if _, pattern := s.mux.Handler(httptest.NewRequest(method, u.RequestURI(), nil)); pattern == "" {
		for _, prefix := range elsewhere {
			if strings.HasPrefix(u.Path, prefix) {
				return
			}
		}
		t.Errorf("GET %s: <%s> leads to %s, which no page has", path, n.Data, target)
	}
}

// void are the elements without an end tag (WHATWG HTML, section 13.1.2).
var void = map[string]bool{"meta": true, "link": true, "input": true, "br": true, "hr": true, "img": true}

// wellFormed says which tags do not match: a browser would mend them, and not as it was meant.
func wellFormed(body string) (problems []string) {
	var open []string
	tokens := html.NewTokenizer(strings.NewReader(body))
	for {
		switch kind := tokens.Next(); kind {
		case html.ErrorToken:
			if tokens.Err() != io.EOF {
				problems = append(problems, tokens.Err().Error())
			}
			if len(open) > 0 {
				problems = append(problems, fmt.Sprintf("never closed: %v", open))
			}
			return problems
		case html.StartTagToken:
			if name := tokens.Token().Data; !void[name] {
				open = append(open, name)
			}
		case html.EndTagToken:
			name := tokens.Token().Data
			if len(open) == 0 || open[len(open)-1] != name {
				return append(problems, fmt.Sprintf("</%s> where %v are open", name, open))
			}
			open = open[:len(open)-1]
		}
	}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if strings.EqualFold(a.Key, name) {
			return a.Val
		}
	}
	return ""
}

func find(n *html.Node, name string) *html.Node {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == name {
			return d
		}
	}
	return nil
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// Hostile texts: every one of them could be a name, a reason or a remark, as far as the types go.
var hostileTexts = []string{
	`<script>alert("x")</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, "javascript:alert(1)", "</main></body>", "{{.}}", "a/b?c=d&e#f%41",
	"\u202eover\u202c \u2067right to left\u2069", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd", "\U0001f525\U0001f468\u200d\U0001f469\u200d\U0001f467 \u4e2d\u6587", strings.Repeat("W", 300), strings.Repeat("long words ", 27), ".", "..",
	"line\nbreak\ttab\x00nul\x1bescape", "\xff\xfe not UTF-8",
}

// hostile has such texts wherever a text can be.
func hostile() *backend {
	b := full()
	next := -1
	text := func() string { next++; return hostileTexts[next%len(hostileTexts)] }
	s := &b.status
	s.Config.File, s.Config.Error, s.Config.Warnings, s.StateError, s.Ready = text(), text(), []string{text(), text()}, text(), text()
	for i := range s.Databases {
		s.Databases[i].Path, s.Databases[i].Type, s.Databases[i].Error = text(), text(), text()
	}
	for i := range s.Blind {
		s.Blind[i].Reason, s.Blind[i].Family = text(), text()
	}
	for i := range s.Overrides {
		o := &s.Overrides[i]
		o.Author, o.Reason, o.Phase, o.ID, o.State = text(), text(), text(), text(), text()
	}
	for i := range b.drills {
		b.drills[i].Author, b.drills[i].Reason, b.drills[i].Pool = text(), text(), text()
	}
	for i, p := range hostileTexts {
		s.Pools = append(s.Pools, poolOf(b, p, "ipv4", []string{text(), text()}, fmt.Sprintf("203.0.113.%d", 100+i)))
		a := &s.Pools[len(s.Pools)-1].Addresses[0]
		a.Address, a.Remark, a.Standing, a.Verdict, a.Reason, a.LastError, a.Degraded, a.Warning, a.Mode = text(), text(), "down", "down", text(), text(), text(), text(), text()
		a.Override = &admin.OverrideNote{ID: text(), State: text(), Reason: text(), Author: text()}
		b.targets[len(b.targets)-1].Address, b.targets[len(b.targets)-2].Address = a.Address, a.Address
		for k := range b.targets[len(b.targets)-1].Results[:20] {
			r := &b.targets[len(b.targets)-1].Results[k]
			r.Good, r.Reason, r.Verdict = false, text(), text()
		}
		s.Instances = append(s.Instances, admin.InstanceStatus{Name: p, AccessDomain: text(), Aliases: []string{text()}, BusinessDomains: []string{text()}, Policies: []admin.PolicyStatus{
			policyOf(text(), []string{text()}, "ipv4", 1, text(), time.Hour, []string{p}, []string{"hk-origin"}), policyOf(text(), []string{text()}, text(), 0, "failover", time.Hour, []string{p, "gone"}, nil)}})
		s.Switches = append(s.Switches, admin.Switch{Time: before(time.Hour), Instance: text(), Policy: text(), Family: text(), From: text(), To: text(), Why: text(), Reason: text()})
		b.events = append(b.events, admin.Event{ID: uint64(i), Time: before(time.Hour), Kind: admin.EventSwitch, Instance: p, Policy: s.Instances[len(s.Instances)-1].Policies[0].Name, Family: "ipv4", From: text(), To: text(), Reason: text(), Message: text()},
			admin.Event{ID: uint64(i), Time: before(time.Hour), Kind: admin.EventAddressDown, Address: a.Address, Pool: text(), Reason: text(), Message: text()})
		b.sources = append(b.sources, admin.SourceStatus{Source: p, Name: text(), Country: text(), Prefixes: []string{text()}, Databases: []string{text()}, Uses: []admin.SourceUse{{Instance: p, Policy: text(), Family: "ipv4", InForce: text(), Why: text()}}})
		b.business = append(b.business, admin.BusinessDomainStatus{Domain: text(), Instance: p, State: admin.NotConfigured, Reason: text(), Loop: true})
		b.askers.Askers = append(b.askers.Askers, admin.Asker{Instance: p, Address: netip.MustParseAddr("192.0.2.1"), Facts: text()})
		b.alerts.Groups = append(b.alerts.Groups, admin.AlertGroupStatus{Name: text(), Methods: []admin.AlertMethodStatus{{Name: text(), Error: text()}}})
	}
	s.Instances, s.Pools = s.Instances[3:], s.Pools[7:] // those are hostile
	return b
}

// Nothing of a hostile text becomes an element: what is not ours would show.
func TestHostileTextsStayTexts(t *testing.T) {
	b := hostile()
	s := newSite(b)
	pages := []string{"/", "/instances", "/pools"}
	for _, name := range hostileTexts {
		pages = append(pages, "/instance?name="+url.QueryEscape(name), "/pool?name="+url.QueryEscape(name), "/?q="+url.QueryEscape(name), "/address?address="+url.QueryEscape(b.status.Pools[0].Addresses[0].Address))
	}
	for _, path := range pages {
		body := s.get(path).Body.String()
		checkPage(t, s, path, body)
		doc, _ := html.Parse(strings.NewReader(body))
		for n := range doc.Descendants() {
			if n.Type == html.ElementNode && (n.Data == "img" || n.Data == "script" && !strings.HasPrefix(attribute(n, "src"), "/static/")) {
				t.Errorf("GET %s: there is a <%s>", path, n.Data)
			}
			if href := attribute(n, "href"); strings.HasPrefix(href, "javascript") {
				t.Errorf("GET %s: a link to %s", path, href)
			}
		}
	}
	if body := s.get("/").Body.String(); !strings.Contains(body, "&lt;script&gt;alert(") {
		t.Error("the overview does not show the hostile texts at all")
	}
}
