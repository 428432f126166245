//go:build e2e

package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// tourPages are pictures of the tour: their names, where they are, and what they must show, with | between.
var tourPages = []struct{ name, path, texts string }{
	{"overview", "/", "Not normal now|refused|fail open|degraded|A backup set answers|connection refused|HTTP 503|certificate|pinned|draining|Last switches"},
	{"instances", "/instances", "7 instances"},
	{"instances-none", "/instances?q=nothing-like-it", "No instance"},
	{"instance", "/instance?name=cdn-origin", "failback waits|By place|South China|CN-GD|4134"},
	{"instance-normal", "/instance?name=checkout", "The preferred set is available"},
	{"instance-failopen", "/instance?name=images", "fail open"},
	{"pools", "/pools", "frankfurt"},
	{"pool", "/pool?name=cn-south", "Shenzhen, rack 7|draining"},
	{"pool-domain", "/pool?name=bulk", "127.0.20.12"},
	{"pool-unused", "/pool?name=spare", "No policy uses it"},
	{"address", "/address?address=127.0.20.6", "HTTP 503"},
	{"address-tls", "/address?address=127.0.20.21", "ends in 9 d"},
	{"address-unprobed", "/address?address=192.0.2.11", "It is not probed"},
	{"events", "/events", "drill ended"},
	{"events-filter", "/events?kind=switch&instance=cdn-origin", "Europe"},
	{"events-none", "/events?text=nothing-like-it", "No event"},
	{"explain-empty", "/explain", "Suppose"},
	{"explain", "/explain?name=origin.gtm.test&type=A&client=36.1.7.0/24", "South China|subdivision:CN-GD"},
	{"explain-suppose", "/explain?name=origin.gtm.test&type=A&client=62.1.7.0/24&suppose=pool:virginia=down", "Only supposed"},
	{"explain-wrong", "/explain?name=origin.gtm.test&client=nobody", "nobody"},
	{"steer", "/steer", "new kernel|game day"},
	{"confirm", "/steer/confirm?do=drain&address=127.0.20.1&for=30m&reason=new+kernel&author=alice", "South China"},
	{"confirm-refused", "/steer/confirm?do=down&pool=virginia&for=30m&reason=moves+to+another+rack&author=alice", "refused|nothing"},
	{"confirm-clear", "/steer/clear?id=o1", "End the override"},
	{"business", "/business", "configured|loop"},
	{"alerts", "/alerts", "ops|night"},
	{"config", "/config", "wieght|The last reload was refused"},
	{"fault", "/instance?name=nothing", "nothing"},
	{"missing", "/no-such-page", "There is no such page"},
}

// look is a size and a colour scheme.
type look struct {
	name   string
	size   [2]int64
	isDark bool
}

// looks are those of pictures.
var looks = []look{{"desktop", desktop, false}, {"desktop-dark", desktop, true}, {"phone", phone, false}, {"phone-dark", phone, true}}

// TestDashboardTour goes through every page of a set-up in which something of everything is wrong, in both sizes and both
// colour schemes (with pictures in each combination): each shows what it must, fits the screen and has nothing to complain of. The pictures are those of
// docs/dashboard.md.
func TestDashboardTour(t *testing.T) {
	s := startTour(t)
	b := startBrowser(t)
	chosen := looks
	if os.Getenv("GTMD_E2E_SCREENSHOTS") != "" {
		s.paint(t, b)
	} else {
		chosen = []look{looks[0], looks[3]}
	}
	for _, look := range chosen {
		p := b.open(t, look.size, look.isDark)
		p.do(t, "open the login", chromedp.Navigate("http://"+s.Admin+"/login"))
		p.screenshot(t, "login-"+look.name)
		s.login(t, p)
		for _, page := range tourPages {
			s.visit(t, p, page.name+"-"+look.name, page.path, page.texts, look.size[0])
		}
		if look.size == phone {
			p.do(t, "open the menu", chromedp.Navigate("http://"+s.Admin+"/"), chromedp.Click(chromedp.CSS("button.menu")))
			p.screenshot(t, "menu-"+look.name)
		}
	}
}

// pictures are those of docs/dashboard.md: what a screen of a size shows of a page, from a part of it on.
var pictures = []struct {
	name, path, from string
	size             [2]int64
	isDark           bool
}{
	{"overview", "/", "", [2]int64{1280, 1180}, false},
	{"instance", "/instance?name=cdn-origin", "", [2]int64{1280, 1120}, false},
	{"places", "/instance?name=cdn-origin", "#map", [2]int64{1280, 900}, false},
	{"address", "/address?address=127.0.20.21", "", [2]int64{1280, 900}, false},
	{"explain", "/explain?name=origin.gtm.test&type=A&client=36.1.7.0/24", "", [2]int64{1280, 1180}, false},
	{"confirm", "/steer/confirm?do=down&pool=virginia&for=30m&reason=moves+to+another+rack", "", [2]int64{1280, 920}, false},
	{"configuration", "/config", "", [2]int64{1280, 900}, false},
	{"events", "/events", "", [2]int64{1280, 900}, false},
	{"overview-phone", "/", "", phone, true},
	{"address-phone", "/address?address=127.0.20.6", "", phone, true},
}

// paint takes the pictures.
func (s *tour) paint(t *testing.T, b *browser) {
	t.Helper()
	for _, v := range pictures {
		p := b.open(t, v.size, v.isDark)
		s.login(t, p)
		p.do(t, v.name, chromedp.Navigate("http://"+s.Admin+v.path))
		p.shows(t, "live")
		if v.from != "" {
			p.number(t, `(document.querySelector("`+v.from+`").closest("section").scrollIntoView({behavior: "instant"}), scrollBy(0, -60), 1)`)
		}
		p.capture(t, "docs-"+v.name, chromedp.CaptureScreenshot())
	}
}

// visit opens a page, takes its picture and judges it.
func (s *tour) visit(t *testing.T, p *tab, name, path, texts string, width int64) {
	t.Helper()
	p.do(t, name, chromedp.Navigate("http://"+s.Admin+path))
	text := p.text(t)
	for _, want := range strings.Split(texts, "|") {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
			t.Errorf("%s does not show %q:\n%s", name, want, text)
		}
	}
	for _, secret := range []string{s.dir, operateToken, "2026-01-01T"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows %q", name, secret)
		}
	}
	p.screenshot(t, name)
	if wide := p.number(t, "document.documentElement.scrollWidth"); wide > float64(width) {
		t.Errorf("%s is %v pixels wide", name, wide)
	}
	if unnamed := p.number(t, unnamedControls); unnamed > 0 {
		t.Errorf("%s has %v controls without a name", name, unnamed)
	}
	for _, complaint := range p.complaints() {
		if !strings.Contains(complaint, "status of 404") && !strings.Contains(complaint, "status of 400") {
			t.Errorf("%s: %s", name, complaint)
		}
	}
}
