//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// flagBound is how long after a reload was asked for a refused one must be seen.
const flagBound = time.Second

// goodChanges are what good reloads change beside the version: nothing, or something that no query of the load is affected by, and no socket
// (those TestReloadUnderLoad changes). Each is what to add to [dns], and what to add at the end.
var goodChanges = []struct{ dns, after string }{
	{"", ""},
	{"nsid = \"ns1\"\nversion = \"gtmd\"\n", ""},
	{"", "[dns.cookies]\nsecret_file = \"secrets\"\n"},
	{"identity = \"ns1\"\n", "[dns.rate_limit]\nresponses_per_second = 100000\n"},
	{"", "[[zone]]\nname = \"other.test\"\nnameservers = [\"ns1.shop.test\"]\ncontact = \"hostmaster@shop.test\"\nfile = \"zone\"\n"},
}

// badChanges each make a configuration that is refused.
var badChanges = []struct{ dns, after string }{
	{"", "[dns\n"},
	{"colour = \"red\"\n", ""},
	{"", "[dns.cookies]\nsecret_file = \"missing\"\n"},
	{"", "[[zone]]\nname = \"other.test\"\nnameservers = [\"ns1.shop.test\"]\ncontact = \"hostmaster@shop.test\"\nfile = \"missing\"\n"},
	{"", "[[pool]]\nname = \"version\"\ntype = \"ipv4\"\naddresses = [\"127.0.1.253\"]\n"},
	{"max_udp_payload = 100\n", ""},
}

// TestReloads reloads GTMD_RELOADS times under a load of 2,000 queries a second over UDP and more than 50 over TCP, each sixth time with a
// configuration that is refused (reliability.md, figure 12). No query is lost, answered by an older version than was seen, or by a refused one;
// no connection is closed; a refused one is flagged within a second.
func TestReloads(t *testing.T) {
	const part = 240 // reloads on one load, whose versions are octets of an address
	total := count(t, "GTMD_RELOADS", 60)
	for done := 0; done < total; done += part {
		n := min(part, total-done)
		t.Run(fmt.Sprintf("%d to %d", done+1, done+n), func(t *testing.T) { reloads(t, n) })
	}
}

// reloads does n reloads.
func reloads(t *testing.T, n int) {
	l := newLab(t, shop)
	l.client = overSocket(l.Socket)
	l.write(t, "secrets", strings.Repeat("0a", 16)+"\n")
	l.write(t, "zone", "ns1 A 127.0.0.53\n")
	file := func(version int, change struct{ dns, after string }) {
		text := fill(t, "load.toml", map[string]any{"GTMD": l.GTMD, "Socket": l.Socket, "Dir": l.dir, "Version": version, "Workers": 2})
		l.write(t, "gtmd.toml", strings.Replace(text, "[dns]\n", "[dns]\n"+change.dns, 1)+"\n"+change.after)
	}
	file(1, goodChanges[0])
	l.startGTMD(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	load := startLoad(t, ctx, l.GTMD, l.access)
	releases := map[int]release{}
	const refused = 254 // a version that is in no release
	version, good, bad, slowest := 1, 0, 0, time.Duration(0)
	for i := 1; i <= n; i++ {
		isBad := i%6 == 0
		if isBad {
			file(refused, badChanges[bad%len(badChanges)])
			bad++
		} else {
			version++
			file(version, goodChanges[good%len(goodChanges)])
			good++
		}
		r := release{asked: time.Since(load.begin)}
		begin, byCommand := time.Now(), i/6%2 == 0
		if byCommand {
			out, code := l.run(t, "reload")
			if (code != 0) != isBad || isBad && !strings.Contains(out, "gtmd.toml") {
				t.Fatalf("reload %d ends with %d:\n%s", i, code, out)
			}
		} else {
			l.gtmd.signal(t, syscall.SIGHUP)
		}
		successes, failures := float64(good+1), float64(bad) // with the first load
		eventually(t, 10*time.Second, fmt.Sprintf("reload %d is counted", i), func() bool {
			return l.metric(t, "gtmd_config_reloads_total", `result="success"`) == successes && l.metric(t, "gtmd_config_reloads_total", `result="failure"`) == failures
		})
		took := time.Since(begin)
		isFlagged := l.metric(t, "gtmd_config_last_reload_successful") == 0 && l.status(t).Config.Error != ""
		switch {
		case isBad != isFlagged:
			t.Errorf("reload %d: refused %v, want %v", i, isFlagged, isBad)
		case isBad:
			slowest = max(slowest, took)
		default:
			r.served = time.Since(load.begin)
			releases[version] = r
		}
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	took := time.Since(load.begin)
	cancel()
	udp, tcp := load.finish()
	judge(t, "UDP", udp, releases)
	judge(t, "TCP", tcp, releases)
	t.Logf("%d good and %d refused reloads in %v under %d queries/s over UDP and %d over TCP; %d connections closed under a query; a refused one is flagged after %v at most",
		good, bad, took.Round(time.Millisecond), int(float64(len(udp))/took.Seconds()), int(float64(len(tcp))/took.Seconds()), load.retried, slowest.Round(time.Millisecond))
	if load.retried != 0 {
		t.Errorf("%d connections were closed under a query", load.retried)
	}
	if slowest > flagBound {
		t.Errorf("a refused reload was flagged after %v, want at most %v", slowest, flagBound)
	}
	if len(udp) < int(took.Seconds()*500) || len(tcp) < int(took.Seconds()*50) {
		t.Errorf("only %d queries over UDP and %d over TCP in %v", len(udp), len(tcp), took)
	}
	if v := udp[len(udp)-1].version; v != version {
		t.Errorf("the last query got version %d, want %d", v, version)
	}
}
