//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
)

// bulk is a configuration of so many instances, each with a primary and a backup pool of five addresses, and one with a pool of so
// many. One primary in three is probed, and all its connections are refused.
func (l *lab) bulk(instances, wide int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[dns]\nlisten = [%q]\n[admin]\nlisten = %q\nsocket = %q\n[state]\ndir = \"state\"\n", l.GTMD, l.Admin, l.Socket)
	b.WriteString("[[zone]]\nname = \"gtm.test\"\nnameservers = [\"ns1.shop.test\"]\ncontact = \"hostmaster@shop.test\"\n")
	b.WriteString("[[geo.line]]\nname = \"office\"\nprefixes = [\"198.51.100.0/24\"]\n[blind]\nshare = 0\n")
	b.WriteString("[[health_check]]\nname = \"web\"\nprotocol = \"tcp\"\nport = 9\ninterval = \"10s\"\nfall = 1\n")
	pool := func(name string, isProbed bool, addresses, first, second int) {
		fmt.Fprintf(&b, "[[pool]]\nname = %q\ntype = \"ipv4\"\n", name)
		if isProbed {
			b.WriteString("health_check = \"web\"\n")
		}
		b.WriteString("addresses = [")
		for i := range addresses {
			fmt.Fprintf(&b, "\"127.%d.%d.%d\",", first, second+i/200, 1+i%200)
		}
		b.WriteString("]\n")
	}
	pool("wide", true, wide, 99, 0)
	for i := range instances {
		primary, backup := fmt.Sprintf("pool-%04d-a", i), fmt.Sprintf("pool-%04d-b", i)
		pool(primary, i%3 == 0, 5, 101+i/200, i%200)
		pool(backup, false, 5, 111+i/200, i%200)
		if i == 1 {
			primary = "wide"
		}
		fmt.Fprintf(&b, "[[instance]]\nname = \"instance-%04[1]d\"\naccess_domain = \"i%04[1]d.gtm.test\"\n", i)
		for _, policy := range []string{"Global", "Office"} {
			fmt.Fprintf(&b, "[[instance.policy]]\nname = %q\nsources = [%q]\nprimary = { pools = [%q] }\nbackup = { pools = [%q] }\n", policy, strings.ToLower(policy), primary, backup)
		}
	}
	return b.String()
}

// TestDashboardScale: with 1,000 instances and more than 10,000 addresses, a third of the primaries down, every page is made in at
// most 200 ms and weighs at most 300 kB with all that belongs to it; so are those of an instance and a pool with 1,000 addresses.
func TestDashboardScale(t *testing.T) {
	const (
		mostTime   = 200 * time.Millisecond
		mostWeight = 300_000
	)
	l := newLab(t, names{access: "i0002.gtm.test", zone: "gtm.test."})
	l.write(t, "gtmd.toml", l.bulk(1000, 1000))
	l.startGTMD(t)
	eventually(t, 60*time.Second, "every third instance is on its backup", func() bool {
		return strings.Contains(string(l.get(t, "/")), "A backup set answers (335 instances)")
	})
	rest := 0 // octets of what pages refer to
	for _, file := range []string{"style.css", "icon.svg", "app.js", "theme.js", "live.js", "morph.js", "time.js", "keys.js", "choose.js", "chart.js"} {
		rest += len(l.get(t, "/static/"+file))
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	for _, path := range []string{
		"/", "/instances", "/instances?state=backup", "/instances?q=instance-0999", "/instance?name=instance-0000", "/instance?name=instance-0001", "/pools", "/pool?name=wide",
		"/address?address=127.99.0.1", "/events", "/steer", "/explain?name=i0001.gtm.test", "/steer/confirm?do=down&pool=wide&reason=x&author=y&for=1m", "/alerts", "/business", "/config",
	} {
		var took []time.Duration
		weight := 0
		for range 7 {
			begin := time.Now()
			response, err := client.Get("http://" + l.Admin + path)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("GET %s: %s, error %v\n%.500s", path, response.Status, err, text)
			}
			took = append(took, time.Since(begin))
			weight = len(text) + rest
		}
		slices.Sort(took)
		t.Logf("GET %-60s median %v, worst %v, %d octets with all that belongs to it", path, took[3].Round(time.Millisecond), took[6].Round(time.Millisecond), weight)
		limit := mostTime
		if path == "/config" { // it reads and marks the whole file
			limit = time.Second
		}
		if took[3] > limit {
			t.Errorf("GET %s takes %v, want at most %v", path, took[3], limit)
		}
		if weight > mostWeight {
			t.Errorf("GET %s has %d octets, want at most %d", path, weight, mostWeight)
		}
	}
}

// streams is how many event streams are open.
func (l *lab) streams(t *testing.T) float64 {
	t.Helper()
	response, err := http.Get("http://" + l.Admin + "/metrics")
	if err != nil {
		return -1 // gtmd starts
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return -1
	}
	var n float64 = -1
	if m := regexp.MustCompile(`(?m)^gtmd_http_streams (\d+)$`).FindSubmatch(text); m != nil {
		fmt.Sscan(string(m[1]), &n)
	}
	return n
}

// counts are the octets of the heap and the nodes of a page, after its garbage is collected.
func (p *tab) counts(t *testing.T) (heap, nodes float64) {
	t.Helper()
	p.do(t, "count", func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		if _, err := cdp.Call(ctx, target, performance.Enable, performance.EnableParams{}); err != nil {
			return chromedp.Void{}, err
		}
		if _, err := chromedp.Evaluate[float64](`window.gc ? (gc(), 1) : 0`)(ctx, target); err != nil {
			return chromedp.Void{}, err
		}
		result, err := cdp.Call(ctx, target, performance.GetMetrics, cdp.Empty{})
		if err != nil {
			return chromedp.Void{}, err
		}
		for _, m := range result.Metrics {
			switch m.Name {
			case "JSHeapUsedSize":
				heap = m.Value
			case "Nodes":
				nodes = m.Value
			}
		}
		return chromedp.Void{}, nil
	})
	return heap, nodes
}

// TestDashboardAllDay: a page that is open for long is one stream, over a reload, a restart and a take-over; a page that nobody sees
// is none, and is up to date when it is seen again; hundreds of refreshes leave no memory behind.
func TestDashboardAllDay(t *testing.T) {
	l, b, test1 := startAttended(t)
	p := b.open(t, phone, false)
	p.do(t, "open", chromedp.Navigate("http://"+l.Admin+"/"))
	p.shows(t, "live")
	one := func(after string) {
		t.Helper()
		eventually(t, 15*time.Second, "one stream after "+after, func() bool { return l.streams(t) == 1 })
		eventually(t, 15*time.Second, "the page is live after "+after, func() bool {
			return p.number(t, `document.getElementById("live").className === "live on" ? 1 : 0`) == 1
		})
	}
	one("the start")
	fresh := func(after string) {
		t.Helper()
		test1.set(t, failing)
		l.gives(t, test2IP)
		p.within(t, 3*time.Second, "A backup set answers")
		test1.set(t, serving)
		l.gives(t, test1IP)
		p.within(t, 3*time.Second, "Everything is normal")
		one(after)
	}

	config := filepath.Join(l.dir, "gtmd.toml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, "gtmd.toml", string(text)+"\n# another hash\n")
	if out, code := l.run(t, "reload"); code != 0 {
		t.Fatalf("reload: %d\n%s", code, out)
	}
	fresh("a reload")
	old := l.gtmd
	l.gtmd = start(t, l.dir, l.program, "run", "--config", config)
	if code := old.ended(t, 30*time.Second); code != 0 {
		t.Fatalf("the old gtmd ended with %d", code)
	}
	fresh("a take-over")
	l.gtmd.signal(t, syscall.SIGKILL)
	<-l.gtmd.done
	p.shows(t, "disconnected since")
	l.startGTMD(t)
	one("a restart")
	fresh("a restart")
	p.complaints() // of the time without a server

	// A phone that sleeps: no stream, and no request until it is seen again.
	lifecycle := func(state page.SetWebLifecycleStateState) func(context.Context, *chromedp.Target) (chromedp.Void, error) {
		return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
			_, err := cdp.Call(ctx, target, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state})
			return chromedp.Void{}, err
		}
	}
	p.do(t, "sleep", lifecycle("frozen"))
	eventually(t, 10*time.Second, "no stream for a page that is not seen", func() bool { return l.streams(t) == 0 })
	test1.set(t, failing)
	l.gives(t, test2IP)
	p.do(t, "wake in the background", lifecycle("active"))
	if p.number(t, `document.hidden ? 1 : 0`) != 1 || p.number(t, `document.body.textContent.includes("A backup set answers") ? 1 : 0`) == 1 {
		t.Error("the page that nobody sees was refreshed")
	}
	// A browser without a screen cannot show it again: the page is told so.
	p.number(t, `(Object.defineProperty(document, "hidden", { value: false, configurable: true }), document.dispatchEvent(new Event("visibilitychange")), 1)`)
	p.within(t, 3*time.Second, "A backup set answers")
	one("sleep")
	test1.set(t, serving)
	l.gives(t, test1IP)

	// The first refreshes fill caches; after that nothing grows.
	refreshed := func(n int) {
		t.Helper()
		p.number(t, fmt.Sprintf(`(() => {
			window.left = %d;
			document.addEventListener("gtmd:refreshed", function again() {
				if (--window.left > 0) setTimeout(() => document.dispatchEvent(new KeyboardEvent("keydown", { key: "r", bubbles: true })), 0);
				else document.removeEventListener("gtmd:refreshed", again);
			});
			document.dispatchEvent(new KeyboardEvent("keydown", { key: "r", bubbles: true }));
			return 1;
		})()`, n))
		eventually(t, 60*time.Second, "the refreshes", func() bool { return p.number(t, "window.left") <= 0 })
	}
	refreshed(50)
	heap, nodes := p.counts(t)
	refreshed(300)
	heapAfter, nodesAfter := p.counts(t)
	t.Logf("after 50 refreshes %.0f octets of heap and %.0f nodes, after 350 %.0f and %.0f", heap, nodes, heapAfter, nodesAfter)
	if heapAfter > 1.5*heap+1<<20 || nodesAfter > 1.2*nodes+500 {
		t.Errorf("the page grows: from %.0f octets and %.0f nodes to %.0f and %.0f", heap, nodes, heapAfter, nodesAfter)
	}
	p.quiet(t, "the page")
}
