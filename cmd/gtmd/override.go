package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

func newOverride() *cobra.Command {
	c := &cobra.Command{
		Use:   "override",
		Short: "Force addresses up or down, or drain them, beside what their probes say",
		Long: `Force an address, a pool or a set of a policy up or down, or drain it, with a reason and for a
time. Probing goes on and its verdict stays visible; when the override ends, it counts again.
Overrides are kept over restarts and reloads.

Where several are on one address the more specific one counts: that of the address in its pool,
that of the address in every pool, that of the pool, that of the set.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newOverrideSet(), newOverrideList(), newOverrideClear())
	return c
}

// addTarget adds the flags that, beside an address, say what an override is on.
func addTarget(c *cobra.Command, t *admin.OverrideTarget) {
	c.Flags().StringVar(&t.Pool, "pool", "", "this pool, or only the address of this pool")
	c.Flags().StringVar(&t.Instance, "instance", "", "with --policy and --set: a set of a policy of this instance")
	c.Flags().StringVar(&t.Policy, "policy", "", "with --instance and --set: a set of this policy")
	c.Flags().StringVar(&t.Set, "set", "", `with --instance and --policy: the set, such as primary or "backup 2"`)
}

// errNoTarget is what is missing when nothing is named.
var errNoTarget = errors.New("want what it is on: an ADDRESS (with --pool only that of one pool), --pool, or --instance with --policy and --set")

func addAuthor(c *cobra.Command, author *string) {
	c.Flags().StringVar(author, "author", "", "who does it (default: $SUDO_USER or $USER)")
}

// authorOr is the author, or who runs this command.
func authorOr(author string) string {
	if author != "" {
		return author
	}
	for _, name := range []string{"SUDO_USER", "USER", "LOGNAME"} {
		if author = os.Getenv(name); author != "" {
			return author
		}
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// forced says what an override makes of what it is on.
func forced(o *admin.Override) string {
	if o.State != admin.OverrideDrain {
		return "forced " + o.State
	}
	if o.Over == nil || *o.Over == 0 {
		return "drained at once"
	}
	return fmt.Sprintf("drained over %s", o.Over)
}

// left is how long it is until an override ends.
func left(expires *time.Time) string {
	if expires == nil {
		return "no expiry"
	}
	return span(time.Until(*expires)) + " left"
}
