//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// startConsole runs the chain with a token file, so that the dashboard may steer.
func (l *lab) startConsole(t *testing.T, sections ...string) {
	t.Helper()
	l.configureChain(t)
	l.writeTokens(t)
	text, err := os.ReadFile(filepath.Join(l.dir, "gtmd.toml"))
	if err != nil {
		t.Fatal(err)
	}
	config := strings.Replace(string(text), `socket = "`+l.Socket+`"`, `socket = "`+l.Socket+"\"\ntoken_file = \"tokens\"", 1)
	l.write(t, "gtmd.toml", config+"\n[business]\ncheck_interval = \"0s\"\n"+strings.Join(sections, "\n"))
	l.startGTMD(t)
}

// login logs a tab in as the operator.
func (l *lab) login(t *testing.T, p *tab) {
	t.Helper()
	p.do(t, "log in", chromedp.Navigate("http://"+l.Admin+"/login?next=/steer"), chromedp.SetValue(chromedp.ID("token"), operateToken))
	p.follow(t, "log in", chromedp.CSS("main form button"))
	p.shows(t, "Set an override, or start a drill")
}

// follow clicks on what leads to another page, and waits for that.
func (p *tab) follow(t *testing.T, what string, selector chromedp.CSS) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	if response, err := chromedp.RunResponse(ctx, chromedp.Click(selector)); err != nil || response.Status >= 400 {
		t.Fatalf("%s: %v, %+v\n%s", what, err, response, p.text(t))
	}
}

// shows waits until the page has a text.
func (p *tab) shows(t *testing.T, text string) {
	t.Helper()
	p.within(t, 10*time.Second, text)
}

func (p *tab) within(t *testing.T, limit time.Duration, text string) {
	t.Helper()
	begin := time.Now()
	for !strings.Contains(p.text(t), text) {
		if time.Since(begin) > limit {
			t.Fatalf("after %v the page does not show %q:\n%s", limit, text, p.text(t))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// quiet checks that the page had nothing to complain of.
func (p *tab) quiet(t *testing.T, what string) {
	t.Helper()
	for _, complaint := range p.complaints() {
		t.Errorf("%s: %s", what, complaint)
	}
}

// consolePages are those of the dashboard, with names for pictures and something that each must show.
var consolePages = []struct{ name, path, text string }{
	{"overview", "/", "cdn-origin"},
	{"instances", "/instances", "cdn-origin"},
	{"instance", "/instance?name=cdn-origin", "origin.gtm.test"},
	{"pools", "/pools", "test2"},
	{"pool", "/pool?name=test1", "127.0.0.2"},
	{"address", "/address?address=127.0.0.2", "test1"},
	{"events", "/events", "Events"},
	{"explain", "/explain?name=origin.gtm.test&client=127.1.2.0/24&suppose=pool:test1=down", "client-subnet scope"},
	{"steer", "/steer", "No drill yet"},
	{"confirm", "/steer/confirm?do=drain&address=127.0.0.2&for=30m&reason=new+kernel&author=alice", "Nothing has changed|Set the override|log in"},
	{"business", "/business", "www.shop.test"},
	{"alerts", "/alerts", "alert group"},
	{"config", "/config", "access_domain"},
	{"login", "/login", "Token"},
}

// TestDashboardPages: every page of a small set-up, with little to show, shows what it should, without a word in the console, no
// wider than the screen, and is marked as live where it follows.
func TestDashboardPages(t *testing.T) {
	l := newLab(t, shop)
	startOrigin(t, "test1", test1IP+":"+l.OriginPort, l.business)
	startOrigin(t, "test2", test2IP+":"+l.OriginPort, l.business)
	l.startConsole(t)
	b := startBrowser(t)
	for _, look := range []struct {
		name   string
		size   [2]int64
		isDark bool
	}{{"desktop", desktop, false}, {"phone-dark", phone, true}} { // TestDashboardTour has all four
		p := b.open(t, look.size, look.isDark)
		for _, page := range consolePages {
			what := page.name + ", " + look.name
			p.do(t, what, chromedp.Navigate("http://"+l.Admin+page.path))
			if text := p.text(t); !containsAny(text, strings.Split(page.text, "|")) {
				t.Errorf("%s does not show %q:\n%s", what, page.text, text)
			}
			p.screenshot(t, page.name+"-"+look.name)
			if width := p.number(t, "document.documentElement.scrollWidth"); width > float64(look.size[0]) {
				t.Errorf("%s is %v pixels wide", what, width)
			}
			if unnamed := p.number(t, unnamedControls); unnamed > 0 {
				t.Errorf("%s has %v controls without a name", what, unnamed)
			}
			p.quiet(t, what)
		}
	}
}

// unnamedControls counts what a screen reader could not name.
const unnamedControls = `[...document.querySelectorAll("main a, main button, main input:not([type=hidden]), main select")].filter(e =>
	!(e.labels?.length || e.textContent.trim() || e.ariaLabel || e.title)).length`

func containsAny(text string, any []string) bool {
	for _, part := range any {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// number is the value of an expression in the page.
func (p *tab) number(t *testing.T, expression string) float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[float64](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// TestDashboardSteers: an operator logs in, sees what an override would do, sets it, sees it, ends it; then runs and stops a
// drill; and the DNS answers are what the pages say.
func TestDashboardSteers(t *testing.T) {
	l := newLab(t, shop)
	startOrigin(t, "test1", test1IP+":"+l.OriginPort, l.business)
	startOrigin(t, "test2", test2IP+":"+l.OriginPort, l.business)
	l.startConsole(t)
	p := startBrowser(t).open(t, desktop, false)
	l.login(t, p)

	p.do(t, "fill in the form", chromedp.SetValue(chromedp.ID("address"), test1IP), chromedp.SetValue(chromedp.ID("for"), "30m"),
		chromedp.SetValue(chromedp.ID("reason"), "new kernel"))
	p.follow(t, "ask what would change", chromedp.CSS(`form[action="/steer/confirm"] button`))
	p.shows(t, "127.0.0.2 counts as down")
	for _, text := range []string{"primary (normal)", "backup (failover)", "another set"} {
		p.shows(t, text)
	}
	p.screenshot(t, "preview-desktop")
	l.gives(t, test1IP) // nothing is changed yet
	p.follow(t, "set it", chromedp.CSS(`form[action="/steer/override"] button`))
	p.shows(t, "Override o1 is in force.")
	p.screenshot(t, "override-desktop")
	l.gives(t, test2IP)

	p.follow(t, "end it", chromedp.CSS(`a[href="/steer/clear?id=o1"]`))
	p.shows(t, "is no longer forced down")
	p.follow(t, "end it", chromedp.CSS(`form[action="/steer/clear"] button`))
	p.shows(t, "Override o1 is cleared")
	l.gives(t, test1IP)

	p.do(t, "fill in the form", chromedp.Click(chromedp.CSS(`input[value="drill"]`)), chromedp.SetValue(chromedp.ID("pool"), "test1"),
		chromedp.SetValue(chromedp.ID("for"), "10m"), chromedp.SetValue(chromedp.ID("reason"), "game day"))
	p.follow(t, "ask what would change", chromedp.CSS(`form[action="/steer/confirm"] button`))
	p.follow(t, "start it", chromedp.CSS(`form[action="/steer/drill"] button`))
	p.shows(t, "runs. It ends by itself.")
	p.screenshot(t, "drill-desktop")
	l.gives(t, test2IP)
	p.follow(t, "stop it", chromedp.CSS(`form[action="/steer/stop"] button`))
	p.shows(t, "is stopped: what the health checks say counts again.")
	l.gives(t, test1IP)

	p.do(t, "look at the events", chromedp.Navigate("http://"+l.Admin+"/events"))
	for _, text := range []string{"override set", "override cleared", "drill started", "drill ended", "alice", "by dashboard"} {
		p.shows(t, text)
	}
	p.screenshot(t, "audit-desktop")
	p.quiet(t, "steering")

	// Without a login the same form is refused, and nothing changes.
	q := startBrowser(t).open(t, desktop, false)
	q.do(t, "look without a login", chromedp.Navigate("http://"+l.Admin+"/steer"))
	q.shows(t, "log in")
	if n := q.number(t, `document.querySelectorAll("form[method=post]").length`); n > 0 {
		t.Errorf("%v forms that change something are shown without a login", n)
	}
}

// gives waits until the access domain has this one address.
func (l *lab) gives(t *testing.T, want string) {
	t.Helper()
	eventually(t, 5*time.Second, "the answer is "+want, func() bool {
		got, err := ask(l.GTMD, l.access)
		return err == nil && len(got) == 1 && got[0] == want
	})
}

// TestDashboardLive: a page that is open shows a failover within two seconds of the switch, and recovery, without a reload and without losing the
// focus; it says when the server is gone, and that it is back.
func TestDashboardLive(t *testing.T) {
	l := newLab(t, shop)
	test1 := startOrigin(t, "test1", test1IP+":"+l.OriginPort, l.business)
	startOrigin(t, "test2", test2IP+":"+l.OriginPort, l.business)
	l.startConsole(t)
	p := startBrowser(t).open(t, desktop, false)
	p.do(t, "open", chromedp.Navigate("http://"+l.Admin+"/"))
	p.shows(t, "live")
	p.number(t, `window.same = 1`)
	test1.set(t, failing)
	l.gives(t, test2IP)
	p.within(t, 2*time.Second, "HTTP 503")
	p.screenshot(t, "failover-desktop")
	if p.number(t, "window.same") != 1 {
		t.Error("the page was loaded anew")
	}
	test1.set(t, serving)
	l.gives(t, test1IP)
	p.within(t, 2*time.Second, "Everything is normal")
	l.gtmd.end(t)
	p.shows(t, "disconnected since")
	p.complaints() // the browser says that it cannot reach the server
	l.startGTMD(t)
	eventually(t, 15*time.Second, "the page is live again", func() bool { return !strings.Contains(p.text(t), "disconnected") })
}
