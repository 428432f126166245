//go:build e2e

package e2e

import (
	"context"
	"syscall"
	"testing"
	"time"
)

// TestReloadUnderLoad changes the pool, and twice also the number of workers, which opens the sockets anew, while queries
// come in. No query is lost, and once a version was seen, no older one is.
func TestReloadUnderLoad(t *testing.T) {
	l := newLab(t, shop)
	file := func(version, workers int) {
		l.write(t, "gtmd.toml", fill(t, "load.toml", map[string]any{
			"GTMD": l.GTMD, "Socket": l.Socket, "Dir": l.dir, "Version": version, "Workers": workers,
		}))
	}
	file(1, 2)
	l.startGTMD(t)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	load := startLoad(t, ctx, l.GTMD, l.access)
	releases := map[int]release{}
	const last = 9
	for version := 2; version <= last; version++ {
		time.Sleep(700 * time.Millisecond)
		workers := 2
		switch {
		case version >= 7:
			workers = 3
		case version >= 4:
			workers = 1
		}
		file(version, workers)
		r := release{asked: time.Since(load.begin)}
		if version%2 == 0 {
			l.gtmd.signal(t, syscall.SIGHUP)
		} else if out, code := l.run(t, "reload"); code == 0 {
			r.served = time.Since(load.begin)
		} else {
			t.Errorf("gtmd reload ends with %d:\n%s", code, out)
		}
		releases[version] = r
	}
	time.Sleep(700 * time.Millisecond)
	cancel()
	udp, tcp := load.finish()
	judge(t, "UDP", udp, releases)
	judge(t, "TCP", tcp, releases)
	t.Logf("TCP: %d queries were sent again because a reload had closed their connection", load.retried)
	if took := udp[len(udp)-1].sent; len(udp) < int(took.Seconds()*rate*0.9) {
		t.Errorf("only %d queries were sent in %v", len(udp), took)
	}
	if v := udp[len(udp)-1].version; v != last {
		t.Errorf("the last query got version %d, want %d", v, last)
	}
}
