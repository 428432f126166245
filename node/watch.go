package node

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gtmd/config"
)

// watchInterval is how often the files of a configuration with watch = true are looked at.
const watchInterval = 2 * time.Second

// runWatcher reloads the configuration when one of its files has changed and then stayed as it is for one interval, so
// that a file is not read while it is written. Files that were refused are not tried again until they change.
func (n *Node) runWatcher(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	seen, tried := "", ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		w := n.world.Load()
		if !w.config.File.Watch {
			continue
		}
		present, _ := fingerprint(w.config)
		if present == seen && present != w.files && present != tried {
			tried = present
			n.log.Info("a configuration file has changed")
			n.Reload(ctx) // tells how it went
		}
		seen = present
	}
}

// fingerprint changes when a file of the configuration does, and when an include pattern matches another one. It returns
// also when the latest change was.
func fingerprint(c *config.Config) (files string, latest time.Time) {
	names := slices.Clone(c.Files)
	for _, pattern := range c.File.Include {
		if !filepath.IsAbs(pattern) {
			escape := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`) // as the loader does
			pattern = filepath.Join(escape.Replace(filepath.Dir(c.Files[0])), pattern)
		}
		included, _ := filepath.Glob(pattern) // the loader refuses a bad pattern
		names = append(names, included...)
	}
	var b strings.Builder
	for _, name := range names {
		at := stampOf(name)
		if at == (stamp{}) {
			continue
		}
		fmt.Fprintf(&b, "%s %v\n", name, at)
		if changed := time.Unix(at.changed.Unix()); changed.After(latest) {
			latest = changed
		}
	}
	return b.String(), latest
}
