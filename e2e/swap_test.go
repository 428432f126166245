//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"
)

// swapBound is how long after a good file is in place an answer may still be that of the one before: gtmd looks every 250 ms
// whether a file has changed, and takes one that has stayed as it is until the next look; that is half a second. The rest is for
// reading, checking and building, on a machine whose cores also make the load. What such a machine stalls comes on top: see
// longestGap.
const swapBound = 2 * time.Second

// The growth that memory may show from the second quarter of the test to the last: what the garbage collector lets the heap
// swing, which depends on where in a rebuild a collection falls, and what the kernel counts late. A database that stayed
// referenced at each swap would be far more: the test logs how much.
const (
	growth      = 1.2
	growthBytes = 8 << 20
)

// swap is a gtmd whose ASN database is replaced again and again. Version i of the database says that clients on loopback
// are of a system of its own, and only they: an answer tells the version that it comes from.
type swap struct {
	*lab
	version int // in place
}

// versionSystem is the autonomous system of a version, as swap.toml takes it.
type versionSystem struct{ Version, Number int }

// TestDatabaseSwap replaces a database by renaming every second, under load, GTMD_E2E_SWAP times (60). Every
// tenth file is damaged, or is damaged in place, and must change nothing. No query is lost, each answer is that of a good file
// that was in place within the last two seconds, and gtmd is no larger in the end.
func TestDatabaseSwap(t *testing.T) {
	seconds := 60
	if text := os.Getenv("GTMD_E2E_SWAP"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 15 || n > 200 {
			t.Fatalf("GTMD_E2E_SWAP is %q, want 15 to 200 seconds", text)
		}
		seconds = n
	}
	s := &swap{lab: newLab(t, shop), version: 1}
	s.prepare(t, seconds+3)
	s.place(t, 1)
	s.startGTMD(t)
	before := s.idle(t)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	load := startLoad(t, ctx, s.GTMD, s.access)
	releases := map[int]release{}
	var samples []sample
	damages := 0
	next := func() {
		asked := time.Since(load.begin)
		s.place(t, s.version+1)
		releases[s.version] = release{asked: asked, served: time.Since(load.begin) + swapBound}
	}
	for i := 1; i <= seconds; i++ {
		time.Sleep(time.Second)
		if i%10 == 0 {
			s.damage(t, damages)
			damages++
		} else {
			next()
		}
		one := s.sample(t)
		one.at = time.Since(load.begin)
		samples = append(samples, one)
	}
	time.Sleep(time.Second)
	next()
	s.served(t)
	time.Sleep(500 * time.Millisecond)
	cancel()
	udp, tcp := load.finish()
	stall := longestGap(udp)
	for version, r := range releases {
		r.served += stall
		releases[version] = r
	}
	judge(t, "UDP", udp, releases)
	judge(t, "TCP", tcp, releases)
	if len(udp) < seconds*rate*9/10 {
		t.Errorf("only %d queries were sent in %d s", len(udp), seconds)
	}
	if v := udp[len(udp)-1].version; v != s.version {
		t.Errorf("the last query got version %d, want %d", v, s.version)
	}
	s.logDelays(t, udp, releases)

	if ok, failures := s.metric(t, "gtmd_geoip_database_ok", `asn.mmdb"`), s.failures(t); ok != 1 || failures != float64(damages) {
		t.Errorf("gtmd_geoip_database_ok is %v after %v load failures, want 1 after %d", ok, failures, damages)
	}
	if failures := s.metric(t, "gtmd_geoip_database_load_failures_total", `city.mmdb"`); failures != 0 {
		t.Errorf("%v load failures of city.mmdb, which nobody touched", failures)
	}
	t.Logf("%d good files and %d damages", s.version, damages)
	s.judgeSize(t, before, samples)
}

// prepare writes the configuration and all versions of the database. They differ in one network only. Beside the atlas a
// version has 32,768 networks with a system of their own, so that one of them left behind in memory is noticed.
func (s *swap) prepare(t *testing.T, versions int) {
	t.Helper()
	a := newAtlas(t, 50000)
	write(t, a.city, filepath.Join(s.dir, "city.mmdb"))
	for i := range 1 << 15 {
		insert(t, a.asn, netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 7), byte(i << 1)}), 23), system(100000+i))
	}
	var systems []versionSystem
	for v := 1; v <= versions; v++ {
		systems = append(systems, versionSystem{v, 64511 + v})
		// Every version has clients of every system.
		insert(t, a.asn, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 0, byte(v)}), 32), system(64511+v))
	}
	for _, v := range systems {
		insert(t, a.asn, netip.MustParsePrefix("127.0.0.0/8"), system(v.Number))
		write(t, a.asn, s.file(v.Version))
	}
	s.write(t, "gtmd.toml", fill(t, "swap.toml", map[string]any{
		"GTMD": s.GTMD, "Admin": s.Admin, "Socket": s.Socket, "Dir": s.dir, "Systems": systems,
	}))
}

// file is where a version waits.
func (s *swap) file(version int) string {
	return filepath.Join(s.dir, fmt.Sprintf("asn-%d.mmdb", version))
}

// place puts a version in place.
func (s *swap) place(t *testing.T, version int) {
	t.Helper()
	if err := os.Rename(s.file(version), s.live()); err != nil {
		t.Fatal(err)
	}
	s.version = version
}

func (s *swap) live() string { return filepath.Join(s.dir, "asn.mmdb") }

// served waits until the version in place is served.
func (s *swap) served(t *testing.T) {
	t.Helper()
	want := fmt.Sprintf("127.0.1.%d", s.version)
	eventually(t, 10*time.Second, want+" is served", func() bool {
		got, err := ask(s.GTMD, s.access)
		return err == nil && slices.Equal(got, []string{want})
	})
}

func (s *swap) failures(t *testing.T) float64 {
	t.Helper()
	return s.metric(t, "gtmd_geoip_database_load_failures_total", `asn.mmdb"`)
}

// damage damages the database in one of several ways, waits until gtmd has noticed, and sees that it serves on.
func (s *swap) damage(t *testing.T, n int) {
	t.Helper()
	s.served(t)
	before := s.failures(t)
	whole, err := os.ReadFile(s.live())
	if err != nil {
		t.Fatal(err)
	}
	city, err := os.ReadFile(filepath.Join(s.dir, "city.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	rename := func(content []byte) error {
		next := filepath.Join(s.dir, "next.mmdb")
		if err := os.WriteFile(next, content, 0o644); err != nil {
			return err
		}
		return os.Rename(next, s.live())
	}
	ways := []struct {
		name string
		do   func() error
	}{
		{"truncated in place", func() error { return os.Truncate(s.live(), int64(len(whole)*6/10)) }},
		{"half a file", func() error { return rename(whole[:len(whole)/2]) }},
		{"removed", func() error { return os.Remove(s.live()) }},
		{"a City database", func() error { return rename(city) }},
		{"text", func() error { return rename([]byte("<html>404 not found</html>\n")) }},
		{"emptied in place", func() error { return os.Truncate(s.live(), 0) }},
	}
	way := ways[n%len(ways)]
	if err := way.do(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "gtmd notices: "+way.name, func() bool { return s.failures(t) > before })
	if failures, ok := s.failures(t), s.metric(t, "gtmd_geoip_database_ok", `asn.mmdb"`); failures != before+1 || ok != 0 {
		t.Errorf("%s: %v load failures more and gtmd_geoip_database_ok %v, want 1 and 0", way.name, failures-before, ok)
	}
	s.served(t)
}

// sample is how large gtmd is at a time.
type sample struct {
	at         time.Duration
	rss, heap  float64 // octets; heap is the size at which the next collection begins: twice what the last one found in use
	goroutines float64
	fds        int
}

var rssText = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

func (s *swap) sample(t *testing.T) sample {
	t.Helper()
	// The connection over which these are read is one of the files that are counted below.
	one := sample{heap: s.metric(t, "go_memstats_next_gc_bytes"), goroutines: s.metric(t, "go_goroutines")}
	process := filepath.Join("/proc", strconv.Itoa(s.gtmd.cmd.Process.Pid))
	status, err := os.ReadFile(filepath.Join(process, "status"))
	if err != nil {
		t.Fatal(err)
	}
	m := rssText.FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmRSS in:\n%s", status)
	}
	kilobytes, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join(process, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	one.rss, one.fds = float64(kilobytes)*1024, len(files)
	return one
}

// idle is the smallest that gtmd is within five seconds: what is open only for a moment does not count.
func (s *swap) idle(t *testing.T) sample {
	t.Helper()
	least := s.sample(t)
	for range 25 {
		time.Sleep(200 * time.Millisecond)
		one := s.sample(t)
		least.rss, least.heap = min(least.rss, one.rss), min(least.heap, one.heap)
		least.goroutines, least.fds = min(least.goroutines, one.goroutines), min(least.fds, one.fds)
	}
	return least
}

// judgeSize compares the largest sizes of the second quarter and of the last, and what was open before with what is open now.
func (s *swap) judgeSize(t *testing.T, before sample, samples []sample) {
	t.Helper()
	end := samples[len(samples)-1].at
	largest := func(from, to float64, size func(sample) float64) (most float64) {
		for _, one := range samples {
			if at := float64(one.at) / float64(end); from < at && at <= to {
				most = max(most, size(one))
			}
		}
		return most
	}
	file, err := os.Stat(s.live())
	if err != nil {
		t.Fatal(err)
	}
	const mib = 1 << 20
	t.Logf("the database has %.1f MiB: kept at each swap from the second quarter on, it would be %.0f MiB",
		float64(file.Size())/mib, float64(file.Size())*float64(len(samples))/2/mib)
	for _, row := range []struct {
		name string
		size func(sample) float64
	}{
		{"RSS", func(one sample) float64 { return one.rss }},
		{"heap at the next collection", func(one sample) float64 { return one.heap }},
	} {
		early, late := largest(0.25, 0.5, row.size), largest(0.75, 1, row.size)
		t.Logf("%s: %.1f MiB before the load, at most %.1f in the second quarter and %.1f in the last, %.1f in the end",
			row.name, row.size(before)/mib, early/mib, late/mib, row.size(samples[len(samples)-1])/mib)
		if late > early*growth+growthBytes {
			t.Errorf("%s grew from %.1f MiB to %.1f", row.name, early/mib, late/mib)
		}
	}
	after := s.idle(t)
	t.Logf("goroutines %v before, %v after; open files %d before, %d after", before.goroutines, after.goroutines, before.fds, after.fds)
	if after.goroutines > before.goroutines || after.fds > before.fds {
		t.Error("goroutines or open files were left behind")
	}
}

// longestGap is the longest time for which the load, which waits for nobody, sent nothing: so long was the machine busy
// with other things, at least once.
func longestGap(udp []exchange) (gap time.Duration) {
	var sent []time.Duration
	for _, e := range udp {
		sent = append(sent, e.sent)
	}
	slices.Sort(sent)
	for i := 1; i < len(sent); i++ {
		gap = max(gap, sent[i]-sent[i-1])
	}
	return gap
}

// logDelays logs how soon after it was put in place each version was first answered with.
func (s *swap) logDelays(t *testing.T, all []exchange, releases map[int]release) {
	t.Helper()
	first := map[int]time.Duration{}
	for _, e := range all {
		if at, seen := first[e.version]; !seen || e.received < at {
			first[e.version] = e.received
		}
	}
	var delays []time.Duration
	var skipped []int // overtaken by the next one
	for version, r := range releases {
		if at, seen := first[version]; seen {
			delays = append(delays, at-r.asked)
		} else {
			skipped = append(skipped, version)
		}
	}
	slices.Sort(delays)
	slices.Sort(skipped)
	t.Logf("%d of %d versions were answered with, the first time after %v (median), %v at most (bound %v, longest stall of the load %v); not %v",
		len(delays), len(releases), delays[len(delays)/2].Round(time.Millisecond), delays[len(delays)-1].Round(time.Millisecond),
		swapBound, longestGap(all).Round(time.Millisecond), skipped)
}
