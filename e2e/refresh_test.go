//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestDashboardKeeps: when a page changes under its reader, the focus, what is selected and written, open details and the place on the page stay,
// elements that have not changed are the same ones, and keys work.
func TestDashboardKeeps(t *testing.T) {
	l := newLab(t, shop)
	test1 := startOrigin(t, "test1", test1IP+":"+l.OriginPort, l.business)
	startOrigin(t, "test2", test2IP+":"+l.OriginPort, l.business)
	l.startConsole(t)
	p := startBrowser(t).open(t, phone, false)

	p.do(t, "open the instance", chromedp.Navigate("http://"+l.Admin+"/instance?name=cdn-origin"))
	p.shows(t, "live")
	p.number(t, `(() => {
		const set = [...document.querySelectorAll("details.set")].find((d) => !d.open) ?? document.querySelector("details.set");
		set.open = !set.open;
		set.dataset.mine = "1";
		window.opened = set.open ? 1 : 0;
		window.set = set;
		const link = document.querySelector(".set a");
		link.focus({ preventScroll: true });
		window.focused = document.activeElement;
		scrollTo(0, 300);
		return 1;
	})()`)
	test1.set(t, failing)
	l.gives(t, test2IP)
	p.shows(t, "HTTP 503")
	for _, tt := range []struct{ what, expression string }{
		{"the details are the same element, open as they were", `window.set.isConnected && window.set.open == (window.opened == 1) ? 1 : 0`},
		{"the focus is where it was", `document.activeElement === window.focused && window.focused !== document.body ? 1 : 0`},
		{"the page is where it was", `Math.abs(scrollY - 300) < 200 ? 1 : 0`},
	} {
		if p.number(t, tt.expression) != 1 {
			t.Errorf("not so: %s", tt.what)
		}
	}
	p.screenshot(t, "instance-failover-phone")

	p.do(t, "open the overview", chromedp.Navigate("http://"+l.Admin+"/"))
	p.shows(t, "live")
	p.number(t, `(() => { const q = document.getElementById("q"); q.focus(); q.value = "half a na"; q.setSelectionRange(2, 4); return 1; })()`)
	test1.set(t, serving)
	l.gives(t, test1IP)
	eventually(t, 10*time.Second, "the overview is normal again", func() bool { return strings.Contains(p.text(t), "Everything is normal") })
	if p.number(t, `(() => { const q = document.getElementById("q"); return document.activeElement === q && q.value === "half a na" && q.selectionStart === 2 && q.selectionEnd === 4 ? 1 : 0; })()`) != 1 {
		t.Error("what was written in the search is gone")
	}

	keydown := func(key string) string {
		return `(document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "` + key + `", bubbles: true, cancelable: true })), 1)`
	}
	press := func(key string) { p.number(t, keydown(key)) }
	press("?")
	if p.number(t, `document.getElementById("help").open ? 1 : 0`) != 1 {
		t.Error("? shows no help")
	}
	p.number(t, `(document.getElementById("help").close(), 1)`)
	for _, want := range []string{"light", "dark", "system"} {
		press("t")
		if p.number(t, `document.getElementById("theme").textContent === "Theme: `+want+`" ? 1 : 0`) != 1 {
			t.Errorf("the theme is not %s", want)
		}
	}
	p.number(t, `(document.activeElement.blur(), 1)`)
	press("/")
	if p.number(t, `document.activeElement.id === "q" ? 1 : 0`) != 1 {
		t.Error("/ does not go to the search")
	}
	press("g")
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	pools := func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Evaluate[float64](keydown("p"))(ctx, target)
		return chromedp.Void{}, err
	}
	if response, err := chromedp.RunResponse(ctx, pools); err != nil || response.Status != 200 {
		t.Fatalf("g p: %v, %+v", err, response)
	}
	p.shows(t, "Addresses, what the health checks say of them")
	p.quiet(t, "the pages")
}
