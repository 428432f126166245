package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gtmd/config"
	"gtmd/node"
)

//go:embed demo.toml
var demoConfig []byte

//go:embed demo.zone
var demoZone []byte

func newDemo() *cobra.Command {
	var logs logFlags
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole set-up on this machine, to try things out",
		Long: `Run the real server on 127.0.0.1:5300 with two small origins, 127.0.0.2:8080 and
127.0.0.3:8080, that can be stopped and started. It needs no root, no network and no file.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := logs.logger()
			if err != nil {
				return err
			}
			return demo(c.Context(), node.Options{Name: "demo.toml", Logger: log, Version: version()})
		},
	}
	logs.add(c)
	c.AddCommand(newDemoCommand("stop", "stopped"), newDemoCommand("start", "started"))
	return c
}

// newDemoCommand makes "demo stop" and "demo start".
func newDemoCommand(verb, done string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " POOL", Short: "Have the origin of a pool of the running demo " + done, Args: arguments(1, "test1 or test2"),
		RunE: func(c *cobra.Command, args []string) error {
			control := client{socket: filepath.Join(demoDir(), demoSocket)}
			var text string
			if err := control.post(c.Context(), "/"+verb+"/"+args[0], nil, &text); err != nil {
				return err
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), text)
			return err
		},
	}
}

// demo runs the origins and the node until a signal ends it.
func demo(ctx context.Context, o node.Options) error {
	dir, err := prepareDemoDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	origins, err := startOrigins(filepath.Join(dir, demoSocket))
	if err != nil {
		return err
	}
	defer origins.Close()
	o.Load = func() (*config.Config, error) {
		c, err := config.LoadText(filepath.Join(dir, "demo.toml"), demoConfig)
		if err != nil {
			return nil, err
		}
		c.File.State.Dir, c.File.Admin.Socket = dir, filepath.Join(dir, "admin.sock")
		return c, nil
	}
	return serve(ctx, o, func(*node.Node) { printDemo(filepath.Join(dir, "admin.sock")) })
}

// printDemo tells what there is to try. The commands work as they are printed.
func printDemo(socket string) {
	self := os.Args[0]
	fmt.Printf(`
gtmd answers on 127.0.0.1:5300 for origin.gtm.test: pool test1 (127.0.0.2) is primary, test2 (127.0.0.3) is backup.
Try, in another terminal, from this directory:

  1. Ask it, and ask as a client of the "office" line, which gets test2:
       dig @127.0.0.1 -p 5300 origin.gtm.test +noall +answer
       dig @127.0.0.1 -p 5300 origin.gtm.test +noall +answer +subnet=198.51.100.0/24
     or, where there is no dig, the same answer from:
       %[1]s explain origin.gtm.test --socket %[2]s

  2. Ask why:
       %[1]s explain origin.gtm.test --client 198.51.100.0/24 --socket %[2]s

  3. Stop an origin, see the switch about 3 seconds later, and start it again:
       %[1]s demo stop test1
       %[1]s status --socket %[2]s
       %[1]s demo start test1

The dashboard: http://127.0.0.1:8553/, metrics: http://127.0.0.1:8553/metrics. Ctrl-C ends it.

`, self, socket)
}

// demoSocket is where the running demo takes orders for its origins.
const demoSocket = "demo.sock"

// demoDir is the directory of this user's demo.
func demoDir() string { return filepath.Join(os.TempDir(), fmt.Sprintf("gtmd-demo-%d", os.Getuid())) }

// prepareDemoDir makes the directory afresh, readable by this user alone. It refuses when a demo runs already, or when
// something of somebody else has the name.
func prepareDemoDir() (string, error) {
	dir := demoDir()
	if conn, err := net.DialTimeout("unix", filepath.Join(dir, demoSocket), time.Second); err == nil {
		conn.Close()
		return "", errors.New("a demo runs already: end it first")
	}
	if info, err := os.Lstat(dir); err == nil {
		owner, known := info.Sys().(*syscall.Stat_t)
		if !info.IsDir() || known && int(owner.Uid) != os.Getuid() {
			return "", fmt.Errorf("%s is in the way: it belongs to somebody else, or is no directory", dir)
		}
		if err := os.RemoveAll(dir); err != nil {
			return "", fmt.Errorf("clear the directory of the demo: %w", err)
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the directory of the demo: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "demo.zone"), demoZone, 0o600); err != nil {
		return "", fmt.Errorf("write the zone of the demo: %w", err)
	}
	return dir, nil
}
