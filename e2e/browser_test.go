//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// browser is a headless Chromium that runs until its test ends.
type browser struct{ ctx context.Context }

// startBrowser starts Chromium with an empty profile.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	program := need(t, "chromium")["chromium"]
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.Flag("js-flags", "--expose-gc")}
	for _, flag := range []string{"disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, end := chromedp.NewContext(ctx, chromedp.WithAllocatorOptions(options...))
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	t.Cleanup(func() {
		chromedp.Cancel(ctx) // waits for its end, so that its profile can be removed
		end()
	})
	return &browser{ctx}
}

// tab is a page of a browser. What it writes to the console, and exceptions that nothing caught, are errors of the test.
type tab struct {
	ctx context.Context

	mu      sync.Mutex // guards console
	console []string
}

// The sizes of a screen.
var (
	desktop = [2]int64{1280, 900}
	phone   = [2]int64{390, 844}
)

// open makes a tab of a size, dark or light.
func (b *browser) open(t *testing.T, size [2]int64, isDark bool) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &tab{ctx: ctx}
	scheme := "light"
	if isDark {
		scheme = "dark"
	}
	colours := func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return chromedp.Void{}, err
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(size[0], size[1]), colours); err != nil {
		t.Fatal(err)
	}
	go p.listen(chromedp.Console(ctx)) // subscribed now: what the page says from its first line on is heard
	return p
}

// listen notes what goes wrong in the page, until the tab is closed.
func (p *tab) listen(messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range messages {
		if err != nil {
			return
		}
		if m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning || m.Type == chromedp.ConsoleException {
			p.mu.Lock()
			p.console = append(p.console, fmt.Sprintf("%s: %s (%s:%d)", m.Type, m.Text, m.URL, m.Line))
			p.mu.Unlock()
		}
	}
}

// complaints are what the page has complained of since the last time.
func (p *tab) complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.console
	p.console = nil
	return all
}

// do runs actions, for ten seconds at most.
func (p *tab) do(t *testing.T, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%s: %v\n%s", what, err, strings.Join(p.complaints(), "\n"))
	}
}

// text is that of the whole page.
func (p *tab) text(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// screenshot writes a picture of the page, of its whole height, where GTMD_E2E_SCREENSHOTS names a directory.
func (p *tab) screenshot(t *testing.T, name string) {
	t.Helper()
	p.capture(t, name, chromedp.FullScreenshot(100))
}

// capture writes a picture as screenshot does.
func (p *tab) capture(t *testing.T, name string, how chromedp.Action[[]byte]) {
	t.Helper()
	dir := os.Getenv("GTMD_E2E_SCREENSHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Second)
	defer cancel()
	picture, err := chromedp.Run(ctx, how)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644)
	}
	if err != nil {
		t.Errorf("screenshot %s: %v", name, err)
	}
}

// TestBrowser: what goes wrong in a page is heard, so that a test can fail for it.
func TestBrowser(t *testing.T) {
	b := startBrowser(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><title>x</title><link rel="icon" href="data:,"><p style="color:red">there</p>`)
	}))
	defer server.Close()
	p := b.open(t, phone, true)
	p.do(t, "navigate", chromedp.Navigate(server.URL))
	if text := p.text(t); text != "there" {
		t.Errorf("the text is %q", text)
	}
	eventually(t, 5*time.Second, "the style that the policy forbids is complained of", func() bool {
		return strings.Contains(strings.Join(p.complaints(), "\n"), "Content Security Policy")
	})
}
