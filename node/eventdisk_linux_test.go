package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"gtmd/admin"
)

// TestEventLogFullDisk: a full disk costs nothing but a line in the log; with room again everything that waits is written, whole.
func TestEventLogFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, log := t.TempDir(), &lockedText{}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
			t.Skip("no file system can be mounted here: ", err)
		}
		t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
		filler := filepath.Join(dir, "filler")
		if err := os.WriteFile(filler, make([]byte, 56<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		l := openLog(t, dir, log)
		const events = 100 // some 12 KiB
		for i := range events {
			l.add(plain(fmt.Sprint("event ", i))...)
		}
		waitUntil(t, "complaint", func() bool { return log.count("events are not written") == 1 })
		waitUntil(t, "further attempts", func() bool { return testutil.ToFloat64(l.metrics.failures) >= 2 })
		check(t, "complaints", log.count("events are not written"), 1)
		check(t, "in memory", len(l.query(admin.EventQuery{}, nil).Events), events)
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "written again", func() bool { return log.count("events are written again") == 1 })
		l.close()
		lines := readLines(t, filepath.Join(dir, eventsFile))
		check(t, "lines", len(lines), events)
		for i, line := range lines {
			if !strings.Contains(line, fmt.Sprintf(`"event %d"`, i)) {
				t.Errorf("line %d is %s", i, line)
			}
		}
		check(t, "dropped", testutil.ToFloat64(l.metrics.dropped), 0)
	})
}
