package server

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"gtmd/server/querylog"
)

// logged is the options with a query log.
func logged(o Options, file string) Options {
	o.QueryLog = querylog.Options{File: file, Sample: 1, Buffer: 4096}
	return o
}

// tapped is the options with dnstap.
func tapped(o Options, socket string) Options {
	o.Dnstap = querylog.DnstapOptions{Socket: socket, Identity: "ns1", Version: "gtmd", Sample: 1, Buffer: 4096}
	return o
}

// logFile is where a test logs to.
func logFile(t *testing.T) string { return filepath.Join(t.TempDir(), "query.log") }

// lines are the lines of a log, each as its keys.
func lines(tb testing.TB, path string) []map[string]any {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	var all []map[string]any
	for line := range strings.Lines(string(text)) {
		var keys map[string]any
		if err := json.Unmarshal([]byte(line), &keys); err != nil || !strings.HasSuffix(line, "\n") {
			tb.Fatalf("line %q: %v", line, err)
		}
		all = append(all, keys)
	}
	return all
}

func TestQueryLog(t *testing.T) {
	path := logFile(t)
	s := newServer(t, logged(options("127.0.0.1:0"), path))
	server := first(s)
	udp, tcp := dial(t, "udp", server), dial(t, "tcp", server)
	badVersion := packet(t, "www.gtm.test.", dns.TypeA, 4096, "")
	badVersion[len(badVersion)-5] = 1
	chaos := packet(t, "version.bind.", dns.TypeTXT, 0, "")
	chaos[len(chaos)-1] = dns.ClassCHAOS
	ask := []struct {
		conn  net.Conn
		query []byte
		want  string // but for time, client, port and server
	}{
		{udp, packet(t, "ECS.gtm.test.", dns.TypeA, 1232, "10.77.1.0/24"), `{"transport":"udp","name":"ecs.gtm.test.","type":"A","rcode":"NOERROR","flags":"aa rd","size":116,"ecs":"10.77.1.0/24","scope":22,"ttl":60,
			"answers":["198.51.100.50","198.51.100.51","198.51.100.52","198.51.100.53"],"instance":"ecs","family":"ipv4","policy":"Office","line":"office","set":"primary","why":"normal"}`},
		{tcp, packet(t, "weight.gtm.test.", dns.TypeA, 0, ""), `{"transport":"tcp","name":"weight.gtm.test.","type":"A","rcode":"NOERROR","flags":"aa rd","size":49,"ttl":60,
			"answers":["198.51.100.4?"],"instance":"weight","family":"ipv4","policy":"Global","line":"global","set":"primary","why":"normal"}`},
		{udp, packet(t, "alias.gtm.test.", dns.TypeA, 0, ""), `{"transport":"udp","name":"alias.gtm.test.","type":"A","rcode":"NOERROR","flags":"aa rd","size":66,"ttl":300,"answers":["CNAME www.gtm.test.","192.0.2.1"]}`},
		{udp, packet(t, "x.gtm.test.", dns.TypeAAAA, 0, ""), `{"transport":"udp","name":"x.gtm.test.","type":"AAAA","rcode":"NXDOMAIN","flags":"aa rd","size":73}`},
		{udp, packet(t, "big.gtm.test.", dns.TypeA, 0, ""), `{"transport":"udp","name":"big.gtm.test.","type":"A","rcode":"NOERROR","flags":"aa tc rd","size":30}`},
		{tcp, packet(t, "big.gtm.test.", dns.TypeA, 0, ""), `{"transport":"tcp","name":"big.gtm.test.","type":"A","rcode":"NOERROR","flags":"aa rd","size":8990,"cut":true}`},
		{udp, badVersion, `{"transport":"udp","name":"www.gtm.test.","type":"A","rcode":"BADVERS","flags":"rd","size":41}`},
		{udp, packet(t, "www.gtm.test.", dns.TypeA, 0, "")[:20], `{"transport":"udp","rcode":"FORMERR","flags":"rd","size":12}`},
		{udp, chaos, `{"transport":"udp","name":"version.bind.","type":"TXT","class":"CH","rcode":"REFUSED","flags":"rd","size":30}`},
	}
	var want []map[string]any
	for _, a := range ask {
		exchange(t, a.conn, a.query)
		keys := map[string]any{}
		if err := json.Unmarshal([]byte(a.want), &keys); err != nil {
			t.Fatal(err)
		}
		local := a.conn.LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort()
		keys["client"], keys["port"], keys["server"] = "127.0.0.1", float64(local.Port()), server.String()
		want = append(want, keys)
	}
	if _, err := udp.Write([]byte{1, 2, 3}); err != nil { // gets no reply, and no line
		t.Fatal(err)
	}
	s.Close()
	got := lines(t, path)
	for _, keys := range got {
		at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(keys["time"]))
		if err != nil || time.Since(at) > patience {
			t.Errorf("time %v: %v", keys["time"], err)
		}
		delete(keys, "time")
		switch answers, _ := keys["answers"].([]any); keys["name"] {
		case "weight.gtm.test.": // any of them
			answers[0] = fmt.Sprint(answers[0])[:12] + "?"
		case "ecs.gtm.test.": // they rotate
			slices.SortFunc(answers, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		}
	}
	// Workers have rings of their own, so that lines are not quite in the order of time.
	for _, list := range [][]map[string]any{want, got} {
		slices.SortFunc(list, func(a, b map[string]any) int {
			key := func(m map[string]any) string { return fmt.Sprint(m["name"], m["transport"], m["rcode"]) }
			return strings.Compare(key(a), key(b))
		})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAnonymize(t *testing.T) {
	path := logFile(t)
	o := logged(options("127.0.0.1:0"), path)
	o.QueryLog.Anonymize = true
	s := newServer(t, o)
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 9, 8, 7)}, net.UDPAddrFromAddrPort(first(s)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	exchange(t, conn, packet(t, "ecs.gtm.test.", dns.TypeA, 1232, "10.77.1.77/32"))
	exchange(t, conn, packet(t, "www.gtm.test.", dns.TypeA, 1232, "10.0.0.0/8"))
	s.Close()
	for _, line := range lines(t, path) {
		if want := map[any]any{"ecs.gtm.test.": "10.77.1.0/24", "www.gtm.test.": "10.0.0.0/8"}[line["name"]]; line["client"] != "127.9.8.0" || line["ecs"] != want {
			t.Errorf("client %v, ecs %v, want 127.9.8.0, %v", line["client"], line["ecs"], want)
		}
	}
}

// With a sink on and everything in its sample, a query still costs no allocation. The sink is one whose collector is away: it
// takes entries like any other, and its goroutine, whose allocations would be counted too, only throws them away.
func TestRespondAllocatesNothingWhenLogged(t *testing.T) {
	s := newServer(t, tapped(options(), filepath.Join(t.TempDir(), "tap.sock")))
	r := s.responder(s.stats.join(true))
	reply := make([]byte, 0, 1232)
	const runs = 500
	replies := uint64(0)
	for _, b := range benchmarks(t) {
		if n := testing.AllocsPerRun(runs, func() { r.Respond(reply, b.packet, client, 1232) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", b.name, n)
		}
		if b.name != "dropped" {
			replies += runs + 1 // it runs once before it counts
		}
	}
	await(t, "all replies to be entries", func() bool { return s.stats.queries.Dnstap.Dropped() == replies })
}

// Switching the sinks on and off under load loses no query, and every line is whole. What was in the rings is written.
func TestReloadQueryLog(t *testing.T) {
	dir := t.TempDir()
	path, socket := filepath.Join(dir, "query.log"), filepath.Join(dir, "tap.sock")
	r := newReceiver(t, socket)
	plain := options("127.0.0.1:0")
	s := newServer(t, plain)
	plain.Listen = s.Addresses()
	apply(t, s, plain)
	var stop atomic.Bool
	var asked atomic.Uint64
	var running sync.WaitGroup
	for _, network := range []string{"udp", "udp", "tcp"} {
		conn := dial(t, network, first(s))
		running.Go(func() {
			for !stop.Load() {
				exchange(t, conn, packet(t, "all.gtm.test.", dns.TypeA, 0, ""))
				asked.Add(1)
			}
		})
	}
	go func() { // keeps the receiver from filling up
		for range r.messages {
		}
	}()
	sampled := logged(plain, path)
	sampled.QueryLog.Sample = 0.5
	for round, o := range []Options{logged(plain, path), plain, tapped(plain, socket), tapped(logged(plain, path), socket), sampled, plain, logged(plain, path)} {
		apply(t, s, o)
		isOn := s.queries.Taps() != nil
		if want := o.QueryLog.File != "" || o.Dnstap.Socket != ""; isOn != want {
			t.Errorf("round %d: on %v, want %v", round, isOn, want)
		}
		goal := asked.Load() + 50
		await(t, "queries", func() bool { return asked.Load() > goal })
	}
	stop.Store(true)
	running.Wait()
	s.Close()
	close(r.messages)
	count := &s.stats.queries.File
	if got := uint64(len(lines(t, path))); got != count.Written() || got < 150 {
		t.Errorf("%d lines, %d written, %d dropped", got, count.Written(), count.Dropped())
	}
}

// A log that is on from start to end has every query.
func TestQueryLogIsComplete(t *testing.T) {
	path := logFile(t)
	s := newServer(t, logged(options("127.0.0.1:0"), path))
	const each = 500
	var running sync.WaitGroup
	for _, network := range []string{"udp", "tcp", "tcp"} {
		conn := dial(t, network, first(s))
		running.Go(func() {
			for range each {
				exchange(t, conn, packet(t, "all.gtm.test.", dns.TypeA, 0, ""))
			}
		})
	}
	running.Wait()
	s.Close()
	if got := len(lines(t, path)); got != 3*each || s.stats.queries.File.Dropped() != 0 {
		t.Errorf("%d lines, %d dropped, want %d, 0", got, s.stats.queries.File.Dropped(), 3*each)
	}
}

// A reload lets go of a file that was moved away, and begins a new one.
func TestRotation(t *testing.T) {
	path := logFile(t)
	o := logged(options("127.0.0.1:0"), path)
	s := newServer(t, o)
	conn, count := dial(t, "udp", first(s)), &s.stats.queries.File
	ask := func(name string) {
		before := count.Written()
		exchange(t, conn, packet(t, name, dns.TypeA, 0, ""))
		await(t, "a line", func() bool { return count.Written() > before })
	}
	ask("www.gtm.test.")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	ask("all.gtm.test.")
	apply(t, s, on(o, first(s)))
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	await(t, "a line in the new file", func() bool {
		ask("sticky.gtm.test.")
		return len(lines(t, path)) > 0
	})
	if old := lines(t, path+".1"); len(old) < 2 || old[0]["name"] != "www.gtm.test." || old[1]["name"] != "all.gtm.test." {
		t.Errorf("the old file has %v", old)
	}
	if count.Dropped() != 0 {
		t.Errorf("%d dropped", count.Dropped())
	}
}

// What cannot be opened for a reason in the configuration is refused before anything changes.
func TestQueryLogRefused(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, options("127.0.0.1:0"))
	const want = " (dns.query_log.file: want a file in a directory that is there, and that gtmd may write to)"
	for path, why := range map[string]string{
		filepath.Join(dir, "none", "log"): "no such file or directory",
		dir:                               "is a directory",
		filepath.Join(dir, "pipe"):        "no such device or address", // nobody reads it
	} {
		change, err := s.Prepare(logged(on(options(), first(s)), path))
		if text := fmt.Sprintf("open the query log: open %s: %s%s", path, why, want); change != nil || err == nil || err.Error() != text {
			t.Errorf("error\n%v\nwant\n%s", err, text)
		}
	}
	exchange(t, dial(t, "udp", first(s)), packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
}

// So does a pipe whose reader does not read.
func TestQueryLogBlocked(t *testing.T) {
	path := logFile(t)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	o := logged(options("127.0.0.1:0"), path)
	o.QueryLog.Buffer = 64
	s := newServer(t, o)
	conn, count := dial(t, "udp", first(s)), &s.stats.queries.File
	asked := uint64(0)
	await(t, "entries dropped", func() bool {
		exchange(t, conn, packet(t, "all.gtm.test.", dns.TypeA, 0, ""))
		asked++
		return count.Dropped() > 100
	})
	s.Close()
	if got := count.Written() + count.Dropped(); got != asked {
		t.Errorf("%d written and %d dropped of %d", count.Written(), count.Dropped(), asked)
	}
}

// A full disk costs lines, which are counted and told once, and nothing else; with room again there are whole lines again.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("mounts a small file system: needs root on Linux")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("mount: ", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	ballast, path := filepath.Join(dir, "ballast"), filepath.Join(dir, "query.log")
	var log lockedBuffer
	stats := NewStats()
	s := New(slog.New(slog.NewTextHandler(&log, nil)), stats)
	if err := s.Swap(newView(t, 1, nil)); err != nil {
		t.Fatal(err)
	}
	apply(t, s, logged(options("127.0.0.1:0"), path))
	defer s.Close()
	if err := os.WriteFile(ballast, make([]byte, 40<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	conn, count := dial(t, "udp", first(s)), &stats.queries.File
	query := packet(t, "all.gtm.test.", dns.TypeA, 0, "")
	asked := uint64(0)
	await(t, "lines dropped", func() bool {
		exchange(t, conn, query)
		asked++
		return count.Dropped() > 100
	})
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	before := count.Written()
	for range 10 {
		exchange(t, conn, query)
		asked++
	}
	await(t, "every query counted", func() bool { return count.Written()+count.Dropped() == asked })
	s.Close()
	if count.Written() < before+10 {
		t.Errorf("%d written before there was room, %d after 10 queries more", before, count.Written())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole, torn := uint64(0), 0
	for line := range strings.Lines(string(text)) {
		if json.Valid([]byte(line)) {
			whole++
		} else {
			torn++
		}
	}
	if whole != count.Written() || torn > 1 {
		t.Errorf("%d lines and %d torn ones, %d written", whole, torn, count.Written())
	}
	if told := strings.Count(log.String(), "the query log drops entries"); told != 1 || !strings.Contains(log.String(), "no space left on device") {
		t.Errorf("told %d times:\n%s", told, log.String())
	}
}

// What a query costs when it is in a sample, and when it is not. Most entries find the ring full or are thrown away: this is
// the worker's share alone.
func BenchmarkRespondLogged(b *testing.B) {
	for name, sample := range map[string]float64{"sampled": 1, "not sampled": 0.000001} {
		b.Run(name, func(b *testing.B) {
			o := tapped(options(), filepath.Join(b.TempDir(), "tap.sock"))
			o.Dnstap.Sample = sample
			s := newServer(b, o)
			r := s.responder(s.stats.join(true))
			query, reply := packet(b, "all.gtm.test.", dns.TypeA, 1232, ""), make([]byte, 0, 1232)
			b.ReportAllocs()
			for b.Loop() {
				r.Respond(reply, query, client, 1232)
			}
		})
	}
}

// What the writers need for a query, off the query path, to /dev/null.
func BenchmarkLines(b *testing.B) {
	o := logged(options(), os.DevNull)
	o.QueryLog.Buffer = 100000
	s := newServer(b, o)
	r := s.responder(s.stats.join(true))
	query, reply := packet(b, "ecs.gtm.test.", dns.TypeA, 1232, "10.77.1.0/24"), make([]byte, 0, 1232)
	count := &s.stats.queries.File
	asked := uint64(0)
	for b.Loop() {
		for range 40000 {
			r.Respond(reply, query, client, 1232)
		}
		asked += 40000
		await(b, "all written", func() bool { return count.Written()+count.Dropped() == asked })
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(count.Written())*1e6, "µs/line")
}
