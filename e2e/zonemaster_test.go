//go:build e2e

package e2e

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestZonemaster has Zonemaster test a zone of gtmd, delegated from the root of an Internet of its own: nothing above NOTICE. The
// notices that are expected are those of an unsigned zone and of a negative TTL and refresh time short enough for failover.
func TestZonemaster(t *testing.T) {
	zonemaster := need(t, "zonemaster-cli")["zonemaster-cli"]
	i := newIslandOfZones(t)
	expected := []string{
		"There are neither DS nor DNSKEY records for the zone.",
		"The zone is not signed with DNSSEC.",
		"SOA 'refresh' value (3600) is less than the recommended one (14400).",
		"SOA 'retry' value (600) is less than the recommended one (3600).",
		"SOA 'minimum' value (30) is less than the recommended one (300).",
	}
	for _, zone := range []string{"gtm.island", "cdn.island"} {
		var out []byte
		var err error
		i.inside(t, "island", func() {
			out, err = exec.Command(zonemaster, "--hints", filepath.Join(i.dir, "nsd/hints"), "--level", "INFO", "--show-level", "--no-time", zone).CombinedOutput()
		})
		if err != nil {
			t.Fatalf("zonemaster-cli: %v\n%s", err, out)
		}
		levels := map[string]int{}
		for _, m := range regexp.MustCompile(`(?m)^(CRITICAL|ERROR|WARNING|NOTICE|INFO) +(.*)$`).FindAllStringSubmatch(string(out), -1) {
			level, message := m[1], strings.TrimSpace(m[2])
			levels[level]++
			if level == "INFO" || level == "NOTICE" && slices.Contains(expected, message) {
				continue
			}
			t.Errorf("%s: %s: %s", zone, level, message)
		}
		t.Logf("%s: %v", zone, levels)
		if levels["INFO"] < 40 {
			t.Errorf("%s: Zonemaster has %d messages, want at least 40: did it test?\n%s", zone, levels["INFO"], out)
		}
	}
}

// newIslandOfZones is an island whose zones have something of everything.
func newIslandOfZones(t *testing.T) *island {
	t.Helper()
	big := make([]string, 20)
	for n := range big {
		big[n] = strings.Repeat(string(rune('a'+n)), 200)
	}
	data := map[string]any{"Serial": islandSerial, "Big": big}
	return newIsland(t, fill(t, "island/gtmd.toml", data), map[string]string{
		"gtm.zone": fill(t, "island/gtm.zone", data), "cdn.zone": fill(t, "island/cdn.zone", data),
	})
}
