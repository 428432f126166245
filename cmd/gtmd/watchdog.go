package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/miekg/dns"

	"gtmd/node"
)

// startWatchdog keeps systemd's watchdog quiet (WatchdogSec= in the unit) as long as the server really answers: each time
// it asks our own addresses first. It returns a function that ends it.
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

// watch tells systemd that all is well each time that one of our addresses has answered.
func watch(ctx context.Context, every time.Duration, n *node.Node, log *slog.Logger) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		err := askOurselves(ctx, n.Addresses(), every)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			log.Error("the server does not answer itself: systemd's watchdog is not told that all is well", "error", err)
		default:
			notify(log, daemon.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// askOurselves asks every address listened on, over UDP and over TCP and again and again, until one has answered: then it
// returns nil. Any reply will do. Under a flood most queries get lost, and a server that is flooded is not to be killed.
// When there was no reply within the time given, or ctx has ended, the error has the last one of each address.
func askOurselves(ctx context.Context, addresses []netip.AddrPort, within time.Duration) error {
	if len(addresses) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var asking sync.WaitGroup
	defer asking.Wait()
	results := make(chan error, 2*len(addresses))
	for _, address := range addresses {
		for _, network := range []string{"udp", "tcp"} {
			asking.Go(func() { results <- askUntil(ctx, network, reachable(address).String(), within/tries) })
		}
	}
	var errs []error
	for range cap(results) {
		err := <-results
		if err == nil {
			cancel()
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// tries is how often each address is asked at least before it counts as silent.
const tries = 8

// askUntil sends a query, and another one each time that there was no reply for a moment, until there is one or ctx ends.
func askUntil(ctx context.Context, network, address string, patience time.Duration) error {
	question := new(dns.Msg)
	question.SetQuestion(".", dns.TypeNS)
	client := dns.Client{Net: network, Timeout: patience}
	for {
		_, _, err := client.ExchangeContext(ctx, question, address)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("ask %s over %s: %w", address, network, err)
		case <-time.After(patience / 4): // an error may have come at once
		}
	}
}

// reachable is the address to ask for one listened on: the loopback address for the unspecified one.
func reachable(address netip.AddrPort) netip.AddrPort {
	switch {
	case !address.Addr().IsUnspecified():
		return address
	case address.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), address.Port())
	default:
		return netip.AddrPortFrom(netip.IPv6Loopback(), address.Port())
	}
}
