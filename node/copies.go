package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// copiesDir is the directory of the last good copies in the state directory.
const copiesDir = "geo"

// copyRetry is how long a copy that could not be written waits for the next attempt.
const copyRetry = time.Minute

// copyName is the name of the last good copy of a file: for people its name, for the rest a hash of its path.
func copyName(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	sum := sha256.Sum256([]byte(path))
	base := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	return fmt.Sprintf("%s-%s.mmdb", base, hex.EncodeToString(sum[:8]))
}

// copyPattern is what copyName returns, and what is left of one that was not written to its end.
var copyPattern = regexp.MustCompile(`-[0-9a-f]{16}\.mmdb(\.new)?$`)

// touchCopies asks for copies of the databases that serve.
func (n *Node) touchCopies() {
	select {
	case n.uncopied <- struct{}{}:
	default:
	}
}

// runCopier keeps a copy of every database that serves in the state directory, for a start without its file.
func (n *Node) runCopier(ctx context.Context) {
	known := map[string]string{} // path of a copy -> hash of the database in it
	failed := false
	for {
		var retry <-chan time.Time
		if failed {
			retry = time.After(copyRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-n.uncopied:
		case <-retry:
		}
		err := n.copyDatabases(ctx, known)
		switch {
		case err != nil && ctx.Err() != nil:
			return
		case err != nil:
			n.metrics.copyErrors.Inc()
			if !failed {
				n.log.Error("geo databases are not copied: a start without their files would fail; trying again", "error", err)
			}
		case failed:
			n.log.Info("geo databases are copied again")
		}
		failed = err != nil
	}
}

// copyDatabases makes the directory of the copies hold the databases that serve, and no others.
func (n *Node) copyDatabases(ctx context.Context, known map[string]string) error {
	w := n.world.Load()
	dir := filepath.Join(w.config.File.State.Dir, copiesDir)
	wanted := map[string]bool{}
	var errs []error
	for _, d := range w.databases {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := filepath.Join(dir, copyName(d.path))
		wanted[name] = true
		if known[name] == "" {
			known[name] = hashOf(name)
		}
		if known[name] == d.Hash {
			continue
		}
		known[name] = "" // until it is there
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return fmt.Errorf("copy geo database %q: %w", d.path, err)
		}
		if err := replaceFile(name, d.Content()); err != nil {
			errs = append(errs, fmt.Errorf("copy geo database %q: %w", d.path, err))
			continue
		}
		known[name] = d.Hash
	}
	if len(errs) == 0 {
		errs = append(errs, prune(dir, wanted))
	}
	return errors.Join(errs...)
}

// hashOf is the hash of a copy as databases have it; empty when there is none.
func hashOf(name string) string {
	content, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return checksum(content)
}

// prune removes the copies that are not wanted: of files that the configuration does not name any more.
func prune(dir string, wanted map[string]bool) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		if name := filepath.Join(dir, e.Name()); !wanted[name] && copyPattern.MatchString(e.Name()) {
			errs = append(errs, os.Remove(name))
		}
	}
	return errors.Join(errs...)
}
