//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// startAttended runs the chain with a console and a browser.
func startAttended(t *testing.T) (*lab, *browser, *origin) {
	t.Helper()
	l := newLab(t, shop)
	test1 := startOrigin(t, "test1", test1IP+":"+l.OriginPort, l.business)
	startOrigin(t, "test2", test2IP+":"+l.OriginPort, l.business)
	l.startConsole(t)
	return l, startBrowser(t), test1
}

// focused tells what has the focus, and whether that can be seen: drawn around, and not below the header or off the screen.
const focused = `(() => {
	const e = document.activeElement, r = e.getBoundingClientRect(), s = getComputedStyle(e);
	if (e === document.body || e.tagName === "MAIN") return e.tagName + "|seen"; // what the link that skips leads to is the page itself
	const top = e.closest(".skip, .top, dialog, #nav") ? 0 : document.querySelector(".top")?.getBoundingClientRect().bottom ?? 0;
	const seen = e.matches(":focus-visible") && s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 && r.bottom > top && r.top < innerHeight && r.width > 0;
	return [e.tagName, e.id, e.name ?? "", e.value ?? "", e.textContent.trim().slice(0, 40)].join(" ") + "|" + (seen ? "seen" : "hidden");
})()`

// press presses keys, and returns what has the focus then.
func (p *tab) press(t *testing.T, keys string) string {
	t.Helper()
	p.do(t, "press a key", chromedp.KeyEvent(keys))
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	at, err := chromedp.Run(ctx, chromedp.Evaluate[string](focused))
	if err != nil {
		t.Fatal(err)
	}
	name, seen, _ := strings.Cut(at, "|")
	if seen != "seen" {
		t.Errorf("the focus cannot be seen on %s", name)
	}
	return name
}

// enter presses Enter on what leads to another page, and waits for that.
func (p *tab) enter(t *testing.T, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	if response, err := chromedp.RunResponse(ctx, chromedp.KeyEvent(kb.Enter)); err != nil || response.Status >= 400 {
		t.Fatalf("%s: %v, %+v", what, err, response)
	}
}

// tabTo presses Tab until something with a text in it has the focus.
func (p *tab) tabTo(t *testing.T, text string) {
	t.Helper()
	var passed []string
	for range 60 {
		at := p.press(t, kb.Tab)
		if strings.Contains(at, text) {
			return
		}
		passed = append(passed, at)
	}
	t.Fatalf("Tab does not lead to %q, but to\n%s", text, strings.Join(passed, "\n"))
}

// TestDashboardKeyboard has an operator set and end an override with nothing but a keyboard. The focus is always seen, and Tab
// leads through every page and out again.
func TestDashboardKeyboard(t *testing.T) {
	l, b, _ := startAttended(t)
	p := b.open(t, desktop, false)
	p.do(t, "log in", chromedp.Navigate("http://"+l.Admin+"/login?next=/steer"))
	p.do(t, "write the token", chromedp.KeyEvent(operateToken))
	p.enter(t, "log in")
	p.shows(t, "Set an override, or start a drill")
	if at := p.press(t, kb.Tab); !strings.Contains(at, "Skip to the content") {
		t.Errorf("the first Tab leads to %s", at)
	}
	p.press(t, kb.Enter)
	p.tabTo(t, "INPUT  do down")
	p.press(t, kb.ArrowDown)
	p.press(t, kb.ArrowUp)
	p.tabTo(t, "INPUT address")
	p.press(t, test1IP)
	p.tabTo(t, "INPUT for")
	p.press(t, "30m")
	p.tabTo(t, "INPUT reason")
	p.press(t, "new kernel")
	p.tabTo(t, "Show what would change")
	p.enter(t, "confirm")
	p.shows(t, "127.0.0.2 counts as down")
	p.tabTo(t, "Set the override")
	p.enter(t, "set it")
	p.shows(t, "Override o1 is in force.")
	l.gives(t, test2IP)
	p.tabTo(t, "End it")
	p.enter(t, "end it")
	p.shows(t, "is no longer forced down")
	p.tabTo(t, "End the override")
	p.enter(t, "end it")
	p.shows(t, "Override o1 is cleared")
	l.gives(t, test1IP)

	for _, page := range consolePages {
		p.do(t, page.name, chromedp.Navigate("http://"+l.Admin+page.path))
		if page.name == "login" {
			continue // it begins with the focus in its field
		}
		stops := 0
		for ; p.press(t, kb.Tab) != "BODY"; stops++ {
			if stops > 150 {
				t.Fatalf("%s: Tab does not leave the page", page.name)
			}
		}
		if stops < 12 { // what is on every page
			t.Errorf("%s: Tab has %d stops", page.name, stops)
		}
		for what, expression := range landmarks {
			if p.number(t, expression) != 1 {
				t.Errorf("%s: not so: %s", page.name, what)
			}
		}
		p.quiet(t, page.name)
	}
}

// landmarks are what a page must have for those who do not see it.
var landmarks = map[string]string{
	"one main and one h1":                  `document.querySelectorAll("main").length === 1 && document.querySelectorAll("h1").length === 1 ? 1 : 0`,
	"a header, a named navigation":         `document.querySelector("header.top") && document.querySelector("nav#nav[aria-label]") ? 1 : 0`,
	"a language and a title":               `document.documentElement.lang === "en" && document.title.endsWith(" · gtmd") ? 1 : 0`,
	"no heading skips a level":             `[...document.querySelectorAll("main h1, main h2, main h3, main h4")].every((h, i, all) => i === 0 || h.tagName[1] - all[i - 1].tagName[1] <= 1) ? 1 : 0`,
	"every section has a name":             `[...document.querySelectorAll("main section")].every((s) => s.ariaLabel || document.getElementById(s.getAttribute("aria-labelledby"))) ? 1 : 0`,
	"every table has a caption":            `[...document.querySelectorAll("main table")].every((t) => t.caption) ? 1 : 0`,
	"every id is there once":               `new Set([...document.querySelectorAll("[id]")].map((e) => e.id)).size === document.querySelectorAll("[id]").length ? 1 : 0`,
	"what is read out has no running time": `document.querySelectorAll("[role=status] time, [role=alert] time, [aria-live] time").length === 0 ? 1 : 0`,
	"pictures have a text or are hidden":   `[...document.querySelectorAll("main svg")].every((s) => s.getAttribute("aria-hidden") === "true" || s.ariaLabel || s.closest("[aria-hidden=true]")) ? 1 : 0`,
}

// TestDashboardQuiet: with reduced motion nothing moves; what a screen reader is told is told when it changes, not at every refresh.
func TestDashboardQuiet(t *testing.T) {
	l, b, test1 := startAttended(t)
	p := b.open(t, desktop, false)
	still := func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}},
		})
		return chromedp.Void{}, err
	}
	p.do(t, "open", chromedp.Navigate("http://"+l.Admin+"/"))
	p.shows(t, "live")
	if p.number(t, `document.getAnimations().length`) == 0 {
		t.Error("nothing moves with motion: the test does not see it")
	}
	p.do(t, "reduce motion", still)
	if n := p.number(t, `document.getAnimations().length`); n != 0 {
		t.Errorf("%v animations run with reduced motion", n)
	}
	p.number(t, `(() => {
		window.told = 0;
		window.refreshed = 0;
		const observer = new MutationObserver((all) => { window.told += all.length; });
		for (const e of document.querySelectorAll("[role=status], [aria-live], [role=alert]")) observer.observe(e, { subtree: true, childList: true, characterData: true });
		document.addEventListener("gtmd:refreshed", () => { window.refreshed++; });
		return 1;
	})()`)
	eventually(t, 30*time.Second, "two refreshes", func() bool { return p.number(t, "window.refreshed") >= 2 })
	if told := p.number(t, "window.told"); told != 0 {
		t.Errorf("%v times something was read out while nothing happened", told)
	}
	test1.set(t, failing)
	l.gives(t, test2IP)
	p.within(t, 5*time.Second, "HTTP 503")
	if told := p.number(t, "window.told"); told < 1 || told > 6 {
		t.Errorf("%v times something was read out for one failover", told)
	}
}

// TestDashboardWithoutScripts: an operator whose browser runs no script sees every page, and steers.
func TestDashboardWithoutScripts(t *testing.T) {
	l, b, _ := startAttended(t)
	p := b.open(t, phone, false)
	p.do(t, "switch scripts off", func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return chromedp.Void{}, err
	})
	l.login(t, p)
	for _, page := range consolePages {
		p.do(t, page.name, chromedp.Navigate("http://"+l.Admin+page.path))
		if text := p.text(t); !containsAny(text, strings.Split(page.text, "|")) {
			t.Errorf("%s does not show %q:\n%s", page.name, page.text, text)
		}
		if text := p.text(t); strings.Contains(text, "live\n") {
			t.Errorf("%s says that it is live", page.name)
		}
	}
	p.do(t, "look at what would change", chromedp.Navigate("http://"+l.Admin+"/steer/confirm?do=down&address=127.0.0.2&for=30m&reason=new+kernel"))
	p.follow(t, "set it", chromedp.CSS(`form[action="/steer/override"] button`))
	p.shows(t, "Override o1 is in force.")
	l.gives(t, test2IP)
}
