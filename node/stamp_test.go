package node

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestStamp: a stamp is another one when a file may have become readable, and when its content is another of the same size
// and with the same time.
func TestStamp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	before := stampOf(path)
	for _, change := range []struct {
		name string
		make func() error
	}{
		{"permissions", func() error { return os.Chmod(path, 0o640) }},
		{"content", func() error {
			if err := os.WriteFile(path, []byte("two"), 0o600); err != nil {
				return err
			}
			return os.Chtimes(path, info.ModTime(), info.ModTime())
		}},
	} {
		time.Sleep(20 * time.Millisecond) // longer than the clock of a file system takes to move
		if err := change.make(); err != nil {
			t.Fatal(err)
		}
		after := stampOf(path)
		check(t, change.name, after != before, true)
		check(t, change.name+": time", fmt.Sprint(after.modified), fmt.Sprint(before.modified))
		before = after
	}
}

// TestUnread: a file that could not be read is tried again at times, and by every reload; it is counted once.
func TestUnread(t *testing.T) {
	path := filepath.Join(t.TempDir(), "loop.mmdb")
	if err := os.Symlink(path, path); err != nil { // too many levels of symbolic links, for everybody
		t.Fatal(err)
	}
	a := newAtlas()
	for range 3 {
		check(t, "is unread", isUnread(a.read(path, nil).err), true)
	}
	check(t, "reads", a.reads, 3)
	check(t, "failures", a.failures.get(path), 1)
	missing := path + ".missing"
	for range 3 {
		check(t, "is unread", isUnread(a.read(missing, nil).err), false)
	}
	check(t, "reads", a.reads, 4)

	c := changes{seen: map[string]stamp{}}
	due := 0
	for range 3 * unreadLooks {
		due += len(c.look([]*database{{path: path, refused: syscall.EIO, unread: true}, {path: missing, refused: syscall.ENOENT}}))
	}
	check(t, "attempts", due, 3)
}
