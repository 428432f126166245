package main

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/miekg/dns"

	"gtmd/node"
)

// startWatchdog keeps systemd's watchdog quiet (WatchdogSec= in the unit) as long as the server really answers: each time
// it asks one of our own addresses over UDP first. It returns a function that ends it.
func startWatchdog(ctx context.Context, n *node.Node, log *slog.Logger) (stop func()) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { watch(ctx, interval/3, n, log) })
	return func() {
		cancel()
		running.Wait()
	}
}

func watch(ctx context.Context, every time.Duration, n *node.Node, log *slog.Logger) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := askOurselves(ctx, n.Addresses()); err != nil {
			log.Error("the server does not answer itself: systemd's watchdog is not told that all is well", "error", err)
		} else {
			notify(log, daemon.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// askOurselves sends a query to the first address listened on. Any reply will do.
func askOurselves(ctx context.Context, addresses []netip.AddrPort) error {
	if len(addresses) == 0 {
		return nil
	}
	to := addresses[0]
	if to.Addr().IsUnspecified() {
		loopback := netip.IPv6Loopback()
		if to.Addr().Is4() {
			loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		to = netip.AddrPortFrom(loopback, to.Port())
	}
	question := new(dns.Msg)
	question.SetQuestion(".", dns.TypeNS)
	client := dns.Client{Timeout: 2 * time.Second}
	_, _, err := client.ExchangeContext(ctx, question, to.String())
	return err
}
