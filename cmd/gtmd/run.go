package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/handover"
	"gtmd/node"
)

const defaultConfig = "/etc/gtmd/gtmd.toml"

func newRun() *cobra.Command {
	var file string
	var logs logFlags
	var alone bool
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the server",
		Long: `Run the server in the foreground until SIGTERM or SIGINT.

SIGHUP loads the configuration again: a file with problems changes nothing, the old one
serves on. SIGTERM stops listening, answers what is in flight, saves the state and ends.
SIGUSR1 writes the state of everything to the log.

When a gtmd with the same admin socket runs already, this one takes over from it without
losing a query: it loads everything, takes the sockets and the state, answers, and the other
one ends. SIGUSR2 does that from the other side: it starts the program that is now at the
path of the running one, with the same arguments, to take over.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := logs.logger()
			if err != nil {
				return err
			}
			sockets, err := handover.Passed(activation.Files(true))
			if err != nil {
				log.Warn("not every socket that was passed can be used", "error", err)
			}
			return serve(c.Context(), node.Options{
				Name: file, Load: func() (*config.Config, error) { return config.Load(file) }, Logger: log, Version: version(),
				// What a large configuration took while it was loaded is given back, and not kept for the next time.
				Loaded:   debug.FreeOSMemory,
				TakeOver: !alone, Sockets: sockets,
			}, nil)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", defaultConfig, "configuration file")
	c.Flags().BoolVar(&alone, "no-take-over", false, "do not take over from a gtmd that runs already: end with an error")
	logs.add(c)
	return c
}

// serve runs a node until a signal ends it, or another process has taken over. The function ready, when not nil, is called once queries are answered.
func serve(ctx context.Context, o node.Options, ready func(*node.Node)) error {
	// A UDP worker that sleeps in the kernel keeps its processor for a moment: one more than there are workers lets
	// everything else run meanwhile.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	// One channel for each signal: while a reload takes its time, no other signal of its kind or of another is lost.
	hangups, dumps, upgrades, children := make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	signal.Notify(dumps, syscall.SIGUSR1)
	signal.Notify(upgrades, syscall.SIGUSR2)
	signal.Notify(children, syscall.SIGCHLD)
	for _, c := range []chan os.Signal{hangups, dumps, upgrades, children} {
		defer signal.Stop(c)
	}
	successor := newUpgrade(o.Logger)

	// systemd takes the end of its main process for that of the service: it has to know the new one before the old one ends.
	o.Serving = func(n *node.Node) { notify(o.Logger, readiness(n)) }
	n, err := node.Start(ctx, o)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		o.Logger.Info("stopped before queries were answered")
		return nil
	}
	if err != nil {
		return fmt.Errorf("gtmd does not start:\n%w", err)
	}
	stopWatchdog := startWatchdog(ctx, n, o.Logger)
	if ready != nil {
		ready(n)
	}
	// leave ends this process when another one has taken over.
	leave := func() {
		// systemd is told by the other process: STOPPING=1 would be taken for the end of the service.
		stopWatchdog()
		passOn(hangups, n, o.Logger)
		n.Close()
		passOn(hangups, n, o.Logger)
	}
	for {
		select {
		case <-n.HandedOver(): // whatever else there is: the other process is not to be ended for it
			leave()
			return nil
		default:
		}
		select {
		case <-ctx.Done():
			notify(o.Logger, daemon.SdNotifyStopping)
			successor.cancel()
			stopWatchdog()
			n.Close()
			return nil
		case <-hangups:
			if errors.Is(reload(ctx, n, o.Logger), node.ErrHandedOver) {
				select {
				case hangups <- syscall.SIGHUP: // for passOn
				default:
				}
			}
		case <-dumps:
			dump(n, o.Logger)
		case <-upgrades:
			successor.start()
		case <-children:
			successor.look()
		case <-successor.bound.C:
			successor.giveUp()
		case <-n.HandedOver():
			leave()
			return nil
		}
	}
}

// passOn has the process that has taken over do the reload that this one was asked for and has not done: what that one has
// loaded may be older.
func passOn(hangups <-chan os.Signal, n *node.Node, log *slog.Logger) {
	select {
	case <-hangups:
	default:
		return
	}
	if n.Successor() == 0 {
		log.Warn("a reload was asked for, and is not done: another gtmd has taken over")
	} else if err := syscall.Kill(n.Successor(), syscall.SIGHUP); err != nil {
		log.Warn("a reload was asked for: tell the gtmd that has taken over", "pid", n.Successor(), "error", err)
	}
}

// readiness tells systemd that queries are answered; who has taken over is the main process of the service from now on
// (NotifyAccess=all in the unit lets it say so).
func readiness(n *node.Node) string {
	if n.TookOver() {
		return fmt.Sprintf("MAINPID=%d\n%s", os.Getpid(), daemon.SdNotifyReady)
	}
	return daemon.SdNotifyReady
}

// reload reloads on SIGHUP; the node logs how it went.
func reload(ctx context.Context, n *node.Node, log *slog.Logger) error {
	// systemd 253 and later wants to know when the reload began (sd_notify(3)); older ones ignore it.
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	notify(log, fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
	status, err := "STATUS=serving", n.Reload(admin.WithCaller(ctx, admin.Caller{Via: "signal"}))
	switch {
	case errors.Is(err, node.ErrHandedOver):
		return err // what the service does is for the other process to say
	case err != nil:
		status = "STATUS=the last reload was refused, the old configuration serves on"
	}
	notify(log, daemon.SdNotifyReady+"\n"+status)
	return err
}

// dump logs what is in force and what is down.
func dump(n *node.Node, log *slog.Logger) {
	status := n.Status()
	for _, b := range status.Blind {
		log.Info("blind", "family", b.Family, "since", b.Since, "reason", b.Reason)
	}
	for _, o := range status.Overrides {
		log.Info("override", "id", o.ID, "state", o.State, "on", o.OverrideTarget.String(), "since", o.Since, "expires", o.Expires, "author", o.Author, "reason", o.Reason)
	}
	for _, d := range status.Databases {
		log.Info("geo database", "path", d.Path, "type", d.Type, "built", d.Built, "state", d.State, "error", d.Error)
	}
	for _, in := range status.Instances {
		for _, p := range in.Policies {
			log.Info("in force", "instance", in.Name, "policy", p.Name, "family", p.Family, "set", p.InForce, "why", p.Why, "since", p.Since)
		}
	}
	for _, p := range status.Pools {
		for _, a := range p.Addresses {
			log.Info("address", "pool", p.Name, "address", a.Address, "standing", a.Standing, "reason", a.Reason)
		}
	}
}

// notify tells systemd, when it started us (sd_notify(3)).
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("tell systemd", "error", err)
	}
}
