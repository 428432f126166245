package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

// release is set when a release is built: go build -ldflags "-X main.release=1.2.3".
var release = "0.1.0-dev"

// version says which program this is.
func version() admin.Version {
	v := admin.Version{Version: release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Revision = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	return v
}

func newVersion() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			v := version()
			if asJSON {
				return printJSON(c.OutOrStdout(), v)
			}
			revision := v.Revision
			if revision == "" {
				revision = "unknown"
			}
			if v.Modified {
				revision += " (modified)"
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "gtmd, version %s\n  revision:  %s\n  go:        %s\n  platform:  %s\n", v.Version, revision, v.Go, v.Platform)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
