//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// baton is a lab with two addresses that tell by which of them they are, 127.0.1.1 and 127.0.1.2; the first, the primary, is
// down, and gtmd knows it.
type baton struct {
	*lab
	generation uint64
}

const batonGood = "127.0.1.2"

func newBaton(t *testing.T) *baton {
	t.Helper()
	l := newLab(t, shop)
	r := &baton{lab: l}
	r.configure(t, 2, 1232)
	startOrigin(t, "good", batonGood+":"+l.OriginPort, l.business)
	return r
}

// configure writes the configuration with so many workers and such a payload.
func (r *baton) configure(t *testing.T, workers, payload int) {
	t.Helper()
	r.write(t, "gtmd.toml", fill(t, "baton.toml", map[string]any{
		"GTMD": r.GTMD, "Admin": r.Admin, "Socket": r.Socket, "Dir": r.dir, "Port": r.OriginPort, "Workers": workers, "Payload": payload,
	}))
}

// begin starts gtmd, of a program, and waits until what it answers is right.
func (r *baton) begin(t *testing.T, program string, args ...string) {
	t.Helper()
	r.gtmd = start(t, r.dir, program, append([]string{"run", "--config", filepath.Join(r.dir, "gtmd.toml")}, args...)...)
	r.settled(t)
}

func (r *baton) settled(t *testing.T) {
	t.Helper()
	eventually(t, 15*time.Second, "gtmd answers "+batonGood, func() bool {
		got, err := ask(r.GTMD, r.access)
		return err == nil && slices.Equal(got, []string{batonGood})
	})
}

// next has a new process take over, and waits until the old one has ended with 0.
func (r *baton) next(t *testing.T, program string) {
	t.Helper()
	old := r.gtmd
	r.gtmd = start(t, r.dir, program, "run", "--config", filepath.Join(r.dir, "gtmd.toml"))
	if code := old.ended(t, 30*time.Second); code != 0 {
		t.Fatalf("the old gtmd ended with %d:\n%s", code, tail(old.output(t), 20))
	}
	if out := r.gtmd.output(t); !strings.Contains(out, `msg="took over"`) {
		t.Fatalf("the new gtmd did not take over:\n%s", tail(out, 20))
	}
	r.onwards(t)
}

// onwards checks that the generation has not gone back.
func (r *baton) onwards(t *testing.T) {
	t.Helper()
	now := r.status(t).Config.Generation
	if now < r.generation {
		t.Errorf("the generation went back from %d to %d", r.generation, now)
	}
	r.generation = now
}

// TestTakeOver has a new gtmd take over from the old one, again and again, under load.
func TestTakeOver(t *testing.T) {
	r := newBaton(t)
	r.begin(t, r.program)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := startSurge(t, ctx, r.GTMD, r.access, batonGood, count(t, "GTMD_TAKEOVER_RATE", 5000))
	time.Sleep(300 * time.Millisecond)
	rounds := count(t, "GTMD_TAKEOVERS", 5)
	for round := range rounds {
		workers := 2
		if round%4 == 3 {
			workers = 3 // some sockets are opened anew, or shared
		}
		r.configure(t, workers, 1232)
		r.next(t, r.program)
		time.Sleep(100 * time.Millisecond)
	}
	cancel()
	s.end(t)
	status := r.status(t)
	if len(status.Switches) != 0 {
		t.Errorf("%d switches, want none: %v", len(status.Switches), status.Switches)
	}
	t.Logf("%d take-overs, generation %d", rounds, r.generation)
}

// TestHangups sends SIGHUP every 100 ms under load, with other options from time to time, which open the sockets anew.
func TestHangups(t *testing.T) {
	r := newBaton(t)
	r.begin(t, r.program)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := startSurge(t, ctx, r.GTMD, r.access, batonGood, count(t, "GTMD_TAKEOVER_RATE", 5000))
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	hangups := count(t, "GTMD_HANGUP_SECONDS", 6) * 10
	for i := range hangups {
		<-ticker.C
		if i%10 == 5 {
			r.configure(t, 2+i/10%3, 1232+100*(i/10%2))
		}
		r.gtmd.signal(t, syscall.SIGHUP)
		if i%10 == 9 {
			r.onwards(t)
		}
	}
	time.Sleep(300 * time.Millisecond)
	cancel()
	s.end(t)
	loaded := strings.Count(r.gtmd.output(t), `msg="configuration loaded"`)
	t.Logf("%d SIGHUP, %d reloads, generation %d", hangups, loaded, r.generation)
	if loaded < hangups/3 {
		t.Errorf("only %d reloads", loaded)
	}
}

// buildAs builds gtmd with a release number of its own.
func buildAs(t *testing.T, path, release string) {
	t.Helper()
	out, err := exec.Command("go", "build", "-ldflags", "-X main.release="+release, "-o", path, "../cmd/gtmd").CombinedOutput()
	if err != nil {
		t.Fatalf("build gtmd %s: %v\n%s", release, err, out)
	}
}

// TestUpgrade replaces the program and sends SIGUSR2, as "systemctl kill --signal=SIGUSR2 gtmd" does; a program that does not
// start changes nothing.
func TestUpgrade(t *testing.T) {
	r := newBaton(t)
	program := filepath.Join(r.dir, "bin", "gtmd")
	buildAs(t, program, "1.0.0")
	buildAs(t, program+".new", "1.1.0")
	notices := listenNotify(t, r.dir)
	t.Setenv("NOTIFY_SOCKET", notices.path)
	r.begin(t, program)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := startSurge(t, ctx, r.GTMD, r.access, batonGood, count(t, "GTMD_TAKEOVER_RATE", 5000))

	good := r.write(t, "good.toml", string(readFile(t, filepath.Join(r.dir, "gtmd.toml"))))
	r.write(t, "gtmd.toml", "colour = 1\n")
	r.gtmd.signal(t, syscall.SIGUSR2)
	eventually(t, 20*time.Second, "the new program has refused the file", func() bool {
		return strings.Contains(r.gtmd.output(t), "upgrade: the new gtmd has ended: serving on")
	})
	if v := r.status(t).Version.Version; v != "1.0.0" {
		t.Errorf("version %s after a failed upgrade", v)
	}
	if err := os.Rename(good, filepath.Join(r.dir, "gtmd.toml")); err != nil {
		t.Fatal(err)
	}

	if err := os.Rename(program+".new", program); err != nil {
		t.Fatal(err)
	}
	r.gtmd.signal(t, syscall.SIGUSR2)
	old := r.gtmd
	if code := old.ended(t, 30*time.Second); code != 0 {
		t.Fatalf("the old gtmd ended with %d", code)
	}
	status := r.status(t)
	if status.Version.Version != "1.1.0" || len(status.Switches) != 0 {
		t.Errorf("version %s with %d switches, want 1.1.0 with none", status.Version.Version, len(status.Switches))
	}
	time.Sleep(300 * time.Millisecond)
	cancel()
	s.end(t)

	main := notices.main(t)
	if slices.ContainsFunc(notices.all(), func(n string) bool { return strings.Contains(n, "STOPPING=1") }) {
		t.Error("the old process told systemd that the service stops")
	}
	if err := syscall.Kill(main, syscall.SIGTERM); err != nil {
		t.Fatalf("end the new process %d: %v", main, err)
	}
	eventually(t, 10*time.Second, "the new process has saved the state and ended", func() bool {
		_, err := os.Stat(r.Socket)
		return os.IsNotExist(err)
	})
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
