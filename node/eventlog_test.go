package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"gtmd/admin"
)

// lockedText is a log that can be read while it is written.
type lockedText struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *lockedText) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lockedText) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// openLog opens an event log on a directory, until the end of the test.
func openLog(t *testing.T, dir string, log *lockedText) *eventLog {
	t.Helper()
	l, err := newEventLog(func() string { return dir }, slog.New(slog.NewTextHandler(log, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	l.open()
	t.Cleanup(l.close)
	return l
}

// messages are those of the events of a list.
func messages(list admin.EventList) string {
	var all []string
	for _, e := range list.Events {
		all = append(all, e.Message)
	}
	return strings.Join(all, " ")
}

func plain(messages ...string) (all []admin.Event) {
	for _, m := range messages {
		all = append(all, admin.Event{Kind: admin.EventSwitch, Message: m})
	}
	return all
}

// waitUntil waits for something that another goroutine does.
func waitUntil(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !isSo(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func readLines(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// TestEventLogRestart: what was added is there again, IDs go on, and what is on disk is a line for each event within a second.
func TestEventLogRestart(t *testing.T) {
	dir, log := filepath.Join(t.TempDir(), "made", "on demand"), &lockedText{}
	l := openLog(t, dir, log)
	check(t, "empty", l.query(admin.EventQuery{}, nil), admin.EventList{})
	changed, end := l.watch()
	begin := time.Now()
	l.add(plain("one", "two")...)
	<-changed
	end()
	path := filepath.Join(dir, eventsFile)
	waitUntil(t, "two lines", func() bool {
		text, _ := os.ReadFile(path)
		return bytes.Count(text, []byte("\n")) == 2
	})
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it took %v until the events were on disk", took)
	}
	var e admin.Event
	if err := json.Unmarshal([]byte(readLines(t, path)[0]), &e); err != nil || e.Message != "one" || e.ID == 0 || e.Time.IsZero() {
		t.Errorf("the first line is %+v, %v", e, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("everybody may read the events: %v, %v", info.Mode(), err)
	}
	l.add(plain("three")...)
	l.close() // writes what is left
	l.close()
	l.add(plain("too late")...)
	last := l.query(admin.EventQuery{}, nil)

	l = openLog(t, dir, log)
	check(t, "restored", l.query(admin.EventQuery{}, nil), last)
	l.add(plain("four")...)
	list := l.query(admin.EventQuery{After: last.Latest}, nil)
	check(t, "after", messages(list), "four")
	if list.Latest <= last.Latest {
		t.Errorf("the ID %d comes after %d", list.Latest, last.Latest)
	}
	check(t, "complaints", log.count("level=ERROR")+log.count("level=WARN"), 0)
	check(t, "no two complaints about a registry", testutil.ToFloat64(l.metrics.events.WithLabelValues("switch")), 1)
}

// TestEventLogDamage: a half line at the end, as kill -9 leaves it, and lines that are none, are skipped, with one line in the log.
func TestEventLogDamage(t *testing.T) {
	const good = `{"id":%d,"time":"2026-01-01T00:00:00Z","kind":"switch","message":"%s"}`
	first, second := fmt.Sprintf(good, 5, "one"), fmt.Sprintf(good, 6, "two")
	for _, row := range []struct{ name, text, want, left string }{
		{"half a line", first + "\n" + second + "\n" + second[:30], "two one", first + "\n" + second + "\n"},
		{"only half a line", second[:30], "", ""},
		{"garbage", first + "\n\x00\x01\xff\n\nnull\n[]\n{}\n" + second + "\n", "two one", ""},
		{"no end of line", first + "\n" + second, "two one", first + "\n" + second + "\n"},
		{"IDs that fall", second + "\n" + first + "\n", "one", ""},
		{"an ID that repeats", first + "\n" + second + "\n" + second + "\n", "two one", ""},
		{"an ID that is none", fmt.Sprintf(good, uint64(1)<<60, "huge") + "\n" + first + "\n", "one", ""},
		{"empty", "", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir, log := t.TempDir(), &lockedText{}
			path := filepath.Join(dir, eventsFile)
			if err := os.WriteFile(path, []byte(row.text), 0o600); err != nil {
				t.Fatal(err)
			}
			l := openLog(t, dir, log)
			check(t, "events", messages(l.query(admin.EventQuery{}, nil)), row.want)
			l.add(plain("new")...)
			l.close()
			lines := readLines(t, path)
			if !strings.Contains(lines[len(lines)-1], `"new"`) {
				t.Errorf("the new event is not a line of its own: %q", lines)
			}
			text, _ := os.ReadFile(path)
			if !strings.HasPrefix(string(text), row.left) {
				t.Errorf("the file has %q, want it to begin with %q", text, row.left)
			}
			want := 1
			if !slices.Contains([]string{"half a line", "only half a line", "garbage", "IDs that fall", "an ID that repeats", "an ID that is none"}, row.name) {
				want = 0
			}
			check(t, "complaints", log.count("some lines of the event file are no events"), want)
			again := openLog(t, dir, log)
			check(t, "latest", messages(again.query(admin.EventQuery{Limit: 1}, nil)), "new")
		})
	}
}

func TestEventLogRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, log := t.TempDir(), &lockedText{}
		l, err := newEventLog(func() string { return dir }, slog.New(slog.NewTextHandler(log, nil)), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		l.file.size, l.file.keep = 1000, 2
		l.open()
		t.Cleanup(l.close)
		const events = 60
		for i := range events {
			l.add(plain(fmt.Sprint(i))...)
			waitUntil(t, "written", func() bool {
				l.mu.Lock()
				defer l.mu.Unlock()
				return len(l.unwritten) == 0
			})
		}
		l.close()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
			if info, err := e.Info(); err != nil || info.Size() > 1000 {
				t.Errorf("%s has %d octets, %v", e.Name(), info.Size(), err)
			}
		}
		check(t, "files", names, []string{"events.jsonl", "events.jsonl.1", "events.jsonl.2"})
		list := openLog(t, dir, log).query(admin.EventQuery{Limit: 1000}, nil)
		if n := len(list.Events); n < 20 || n >= events {
			t.Errorf("%d events are left", n)
		}
		for i, e := range list.Events {
			check(t, "message", e.Message, fmt.Sprint(events-1-i))
		}
		check(t, "complaints", log.count("level="), 0)
	})
}

// TestEventLogMoved: a file that somebody has moved away is begun anew.
func TestEventLogMoved(t *testing.T) {
	dir, log := t.TempDir(), &lockedText{}
	l := openLog(t, dir, log)
	path := filepath.Join(dir, eventsFile)
	l.add(plain("one")...)
	waitUntil(t, "the file", func() bool { return len(tryRead(path)) > 0 })
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	l.add(plain("two")...)
	waitUntil(t, "the new file", func() bool { return strings.Contains(tryRead(path), "two") })
	check(t, "lines", len(readLines(t, path)), 1)
}

func tryRead(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

// TestEventLogDrops: what waits for the disk is bounded; what is lost is counted, and the log says so once.
func TestEventLogDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, log := t.TempDir(), &lockedText{}
		if err := os.Mkdir(filepath.Join(dir, eventsFile), 0o700); err != nil { // in the way of the file
			t.Fatal(err)
		}
		l := openLog(t, dir, log)
		batch := plain(make([]string, 1000)...)
		begin := time.Now()
		for range unwrittenEvents/1000 + 3 {
			l.add(slices.Clone(batch)...)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("adding took %v", took)
		}
		check(t, "dropped", testutil.ToFloat64(l.metrics.dropped), 3000)
		waitUntil(t, "complaint", func() bool { return log.count("events are lost for the event file") == 1 })
		check(t, "remembered", len(first2(l.latest())), rememberedEvents)
		if err := os.Remove(filepath.Join(dir, eventsFile)); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "written again", func() bool { return log.count("events are written again") == 1 })
		l.close()
		list, skipped, err := readEvents(dir, 1<<20)
		if err != nil || skipped != 0 || len(list) != unwrittenEvents {
			t.Errorf("%d events in the files, %d skipped, error %v", len(list), skipped, err)
		}
		for i := 1; i < len(list); i++ {
			if list[i].ID <= list[i-1].ID {
				t.Fatalf("ID %d comes after %d", list[i].ID, list[i-1].ID)
			}
		}
	})
}

func first2[T, U any](a T, _ U) T { return a }

// TestEventLogTwoWriters: a second process does not write to the file while the first one has it.
func TestEventLogTwoWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, log := t.TempDir(), &lockedText{}
		one := openLog(t, dir, log)
		one.add(plain("one")...)
		path := filepath.Join(dir, eventsFile)
		waitUntil(t, "the file", func() bool { return len(tryRead(path)) > 0 })
		two := openLog(t, dir, log)
		two.add(plain("two")...)
		waitUntil(t, "complaint", func() bool { return log.count("another gtmd writes to "+path) == 1 })
		check(t, "lines", len(readLines(t, path)), 1)
		one.close()
		waitUntil(t, "the second writes", func() bool { return strings.Contains(tryRead(path), `"two"`) })
	})
}

func TestEventQueries(t *testing.T) {
	dir, log := t.TempDir(), &lockedText{}
	l := openLog(t, dir, log)
	l.add(
		admin.Event{Kind: admin.EventAddressDown, Message: "a", Reason: "Connection REFUSED", Pool: "p1", Pools: []string{"p1", "p2"}, Address: "192.0.2.1", Time: at(1)},
		admin.Event{Kind: admin.EventSwitch, Message: "b", Instance: "one", Time: at(2)},
		admin.Event{Kind: admin.EventSwitch, Message: "c", Instance: "two", Author: "Alice", Time: at(3)},
		admin.Event{Kind: admin.EventAddressUp, Message: "d", Pool: "p3", Address: "192.0.2.2", Time: at(4)},
		admin.Event{Kind: admin.EventStarted, Message: "e", Time: at(5)},
	)
	all := l.query(admin.EventQuery{}, nil).Events
	id := func(i int) uint64 { return all[len(all)-1-i].ID }
	for _, row := range []struct {
		name  string
		q     admin.EventQuery
		pools map[string]bool
		want  string
		more  bool
	}{
		{name: "all", want: "e d c b a"},
		{name: "limit", q: admin.EventQuery{Limit: 2}, want: "e d", more: true},
		{name: "exactly the limit", q: admin.EventQuery{Limit: 5}, want: "e d c b a"},
		{name: "after", q: admin.EventQuery{After: id(1)}, want: "c d e"},
		{name: "after with a limit", q: admin.EventQuery{After: id(1), Limit: 2}, want: "c d", more: true},
		{name: "after the last", q: admin.EventQuery{After: id(4)}, want: ""},
		{name: "after what is not there", q: admin.EventQuery{After: 1}, want: "a b c d e"},
		{name: "before", q: admin.EventQuery{Before: id(2)}, want: "b a"},
		{name: "between", q: admin.EventQuery{After: id(0), Before: id(3)}, want: "b c"},
		{name: "after above before", q: admin.EventQuery{After: id(3), Before: id(1)}, want: ""},
		{name: "before the first", q: admin.EventQuery{Before: 1}, want: ""},
		{name: "kind", q: admin.EventQuery{Kinds: []admin.EventKind{admin.EventSwitch, admin.EventStarted}}, want: "e c b"},
		{name: "pool", q: admin.EventQuery{Pool: "p1"}, want: "a"},
		{name: "second pool", q: admin.EventQuery{Pool: "p2"}, want: "a"},
		{name: "address", q: admin.EventQuery{Address: "192.0.2.2"}, want: "d"},
		{name: "instance", q: admin.EventQuery{Instance: "one"}, want: "b"},
		{name: "instance with its addresses", q: admin.EventQuery{Instance: "one"}, pools: map[string]bool{"p2": true}, want: "b a"},
		{name: "text of the reason", q: admin.EventQuery{Text: "refused"}, want: "a"},
		{name: "text of the author", q: admin.EventQuery{Text: "aLICE"}, want: "c"},
		{name: "since", q: admin.EventQuery{Since: at(4)}, want: "e d"},
		{name: "until", q: admin.EventQuery{Until: at(4)}, want: "c b a"},
	} {
		list := l.query(row.q, row.pools)
		check(t, row.name, messages(list), row.want)
		check(t, row.name+": more", list.More, row.more)
		check(t, row.name+": latest", list.Latest, id(4))
	}
	check(t, "most", len(l.query(admin.EventQuery{Limit: 1 << 30}, nil).Events), 5)
}

// TestEventTexts: whatever an origin or an operator writes, an event is one line of bounded length.
func TestEventTexts(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"plain", "plain"},
		{"", ""},
		{"äöü 中文", "äöü 中文"},
		{"one\ntwo\r\n\n three", "one; two; three"},
		{"tab\tand\x1b[31m red\x00", "tab and [31m red "},
		{"\u202eright to left", " right to left"},
		{"\xff\xfe", "\ufffd"},
		{strings.Repeat("x", 20), strings.Repeat("x", 20)},
		{strings.Repeat("x", 21), strings.Repeat("x", 19) + "…"},
		{strings.Repeat("中", 21), strings.Repeat("中", 19) + "…"},
		{"line\u2028separator", "line separator"},
	} {
		check(t, row.text, oneLine(row.text, 20), row.want)
	}
	e := admin.Event{Kind: "x\ny", Message: strings.Repeat("m\n", 10_000), Reason: strings.Repeat("r\x00", 10_000), Author: "a\nb", Pools: make([]string, 1000)}
	neat(&e, at(0))
	line, err := json.Marshal(e)
	if err != nil || len(line) > maxEventLine || bytes.ContainsAny(line, "\n\x00") {
		t.Errorf("the line has %d octets, %v", len(line), err)
	}
}

// FuzzEventLine: no text of an event is more than one line, and none is more than bounded.
func FuzzEventLine(f *testing.F) {
	for _, seed := range []string{"", "a\nb", "\xff", "\u2028\u202e", strings.Repeat("x", 2000)} {
		f.Add(seed, 20)
	}
	f.Fuzz(func(t *testing.T, text string, most int) {
		if most < 2 || most > 2000 {
			return
		}
		got := oneLine(text, most)
		if n := len([]rune(got)); n > most {
			t.Errorf("%q has %d characters, want at most %d", got, n, most)
		}
		if strings.ContainsAny(got, "\n\r\x00\u2028\u202e") {
			t.Errorf("%q has a line break or what cannot be printed", got)
		}
	})
}

// FuzzReadEvents: whatever is in the file, what is read has growing IDs, and the next event is read again.
func FuzzReadEvents(f *testing.F) {
	for _, seed := range []string{"", "\n", `{"id":1,"kind":"switch"}`, `{"id":2,"kind":"switch"}` + "\n" + `{"id":1,"kind":"switch"}` + "\n", "{\"id\":9007199254740991,\"kind\":\"x\"}\n", "\x00\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, eventsFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		l := openLog(t, dir, &lockedText{})
		events, last := l.latest()
		for i, e := range events {
			if e.ID > last || i > 0 && e.ID <= events[i-1].ID {
				t.Fatalf("ID %d is out of order", e.ID)
			}
		}
		l.add(plain("new")...)
		l.close()
		if last == endOfIDs-1 {
			return // nothing can come after it
		}
		again, _, err := readEvents(dir, 1)
		if err != nil || len(again) != 1 || again[0].Message != "new" || again[0].ID <= last {
			t.Errorf("read again: %v, %v", again, err)
		}
	})
}

func TestRefusals(t *testing.T) {
	var r refusals
	events, omitted := 0, 0
	for i := range 1000 { // in two minutes
		if before, ok := r.admit(at(i / 8)); ok {
			events, omitted = events+1, omitted+before
		}
	}
	check(t, "events", events, 3*refusedPerMinute)
	check(t, "told as omitted, without those of the last minute", omitted, 2*(480-refusedPerMinute))
	if _, ok := r.admit(at(-100)); !ok {
		t.Error("a clock that is set back stops it")
	}
}
