package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newDocs() *cobra.Command {
	c := &cobra.Command{
		Use: "docs", Short: "Write the manual", Hidden: true, Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newDocsMan())
	return c
}

func newDocsMan() *cobra.Command {
	var options string
	c := &cobra.Command{
		Use: "man DIR", Short: "Write the man pages",
		Long: `Write a man page of section 8 for gtmd and for each of its commands into a directory. With --options,
the page gtmd.toml(5) as well, from docs/options.md. $SOURCE_DATE_EPOCH is the date of the pages.`,
		Args: arguments(1, "a directory"),
		RunE: func(c *cobra.Command, args []string) error { return writeManual(c.Root(), args[0], options) },
	}
	c.Flags().StringVar(&options, "options", "", "docs/options.md, for gtmd.toml(5)")
	return c
}

// writeManual writes the pages of all commands, and that of the options when their file is named.
func writeManual(root *cobra.Command, dir, options string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	date, err := manualDate()
	if err != nil {
		return err
	}
	plainSocket(root)
	root.DisableAutoGenTag = true // and the day of the build with it
	header := &doc.GenManHeader{Section: "8", Source: "gtmd " + release, Manual: "Global Traffic Manager", Date: &date}
	if err := doc.GenManTree(root, header, dir); err != nil {
		return fmt.Errorf("write the man pages into %s: %w", dir, err)
	}
	if options == "" {
		return nil
	}
	text, err := os.ReadFile(options)
	if err != nil {
		return err
	}
	page := optionsPage(string(text), date)
	return os.WriteFile(filepath.Join(dir, "gtmd.toml.5"), []byte(page), 0o644)
}

// plainSocket has the flags of the socket name the usual one, whatever $GTMD_SOCKET is where the manual is written.
func plainSocket(c *cobra.Command) {
	if f := c.Flags().Lookup("socket"); f != nil {
		f.DefValue = defaultSocket
	}
	for _, child := range c.Commands() {
		plainSocket(child)
	}
}

// manualDate is that of the pages, so that a build can be repeated (reproducible-builds.org/specs/source-date-epoch).
func manualDate() (time.Time, error) {
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return time.Now().UTC(), nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH=%s: want seconds since 1970", epoch)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
