package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"gtmd/admin"
)

// overrides is a backend that has nothing but overrides.
type overrides struct {
	admin.Backend
	err     error
	set     admin.OverrideRequest
	cleared admin.ClearRequest
	all     []admin.Override
}

func (b *overrides) Overrides() []admin.Override { return b.all }

func (b *overrides) SetOverride(_ context.Context, r admin.OverrideRequest) (admin.OverrideResult, error) {
	b.set = r
	o := admin.Override{ID: "o1", OverrideTarget: r.OverrideTarget, State: r.State, Reason: r.Reason, Author: r.Author,
		Since: time.Now(), Expires: r.Until, Over: r.Over, Affects: 1}
	if r.Address == "" {
		o.Affects = 3
	}
	result := admin.OverrideResult{Override: o}
	if r.Until == nil && r.For == 0 {
		result.Warnings = []string{"it has no end"}
	}
	return result, b.err
}

func (b *overrides) ClearOverride(_ context.Context, r admin.ClearRequest) (admin.ClearResult, error) {
	b.cleared = r
	return admin.ClearResult{Cleared: b.all}, b.err
}

// listen has an admin API answer for a backend, and returns its socket.
func listen(t *testing.T, b admin.Backend) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gtmd") // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server, err := admin.New(b, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	socket := filepath.Join(dir, "admin.sock")
	change, err := server.Prepare(admin.Options{Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	change.Commit()
	return socket
}

// command runs a command line and returns what it says.
func command(args ...string) (out, warnings string, err error) {
	var stdout, stderr bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	err = root.ExecuteContext(context.Background())
	return stdout.String(), stderr.String(), err
}

func TestOverrideSet(t *testing.T) {
	b := &overrides{}
	socket := listen(t, b)
	t.Setenv("SUDO_USER", "alice")
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	over, drain := admin.Duration(0), admin.DefaultDrain
	const forever = "warning: it has no end\n"
	request := func(state string, on admin.OverrideTarget) admin.OverrideRequest {
		return admin.OverrideRequest{OverrideTarget: on, State: state, Reason: "new kernel", Author: "alice"}
	}
	one := request("down", admin.OverrideTarget{Address: "192.0.2.1"})
	lasting := request("up", admin.OverrideTarget{Address: "2001:db8::1", Pool: "test1"})
	lasting.Until = &until
	short := request("down", admin.OverrideTarget{Address: "origin.example"})
	short.For, short.Author, short.Force = admin.Duration(90*time.Second), "bob", true
	drained := request("drain", admin.OverrideTarget{Pool: "test1"})
	drained.Over = &drain
	quick := request("drain", admin.OverrideTarget{Instance: "cdn-origin", Policy: "Global", Set: "backup 2"})
	quick.Over = &over
	for _, row := range []struct {
		args          []string
		want          admin.OverrideRequest
		out, warnings string
	}{
		{[]string{"down", "192.0.2.1"}, one, "o1: 192.0.2.1 is forced down\n", forever},
		{[]string{"up", "2001:DB8::1", "--pool", "test1", "--until", until.Format(time.RFC3339)}, lasting,
			"o1: 2001:db8::1 of pool test1 is forced up, until " + until.Local().Format(time.DateTime) + "\n", ""},
		{[]string{"down", "Origin.Example.", "--for", "90s", "--author", "bob", "--force"}, short, "o1: origin.example is forced down\n", ""},
		{[]string{"drain", "--pool", "test1"}, drained, "o1: pool test1 is drained over 1m (3 addresses)\n", forever},
		{[]string{"drain", "--instance", "cdn-origin", "--policy", "Global", "--set", "backup 2", "--over", "0s"}, quick,
			"o1: the backup 2 set of policy Global of cdn-origin is drained at once (3 addresses)\n", forever},
	} {
		out, warnings, err := command(append([]string{"override", "set", "--socket", socket, "--reason", "new kernel"}, row.args...)...)
		if err != nil || out != row.out || warnings != row.warnings {
			t.Errorf("%v says %q, %q, %v; want %q, %q", row.args, out, warnings, err, row.out, row.warnings)
		}
		if diff := cmp.Diff(row.want, b.set); diff != "" {
			t.Errorf("%v asks for something else (-want +got):\n%s", row.args, diff)
		}
	}

	b.err = &admin.EmptyError{Emptied: []admin.EmptiedPolicy{{Instance: "cdn-origin", Policy: "Global", Family: "ipv4"}}}
	_, _, err := command("override", "set", "down", "192.0.2.1", "--reason", "x", "--socket", socket)
	if failed, ok := errors.AsType[*exitError](err); err == nil || ok || err.Error() != b.err.Error() {
		t.Errorf("a refusal says %v (%v), want %v", err, failed, b.err)
	}
}

func TestOverrideListAndClear(t *testing.T) {
	b := &overrides{}
	socket := listen(t, b)
	t.Setenv("SUDO_USER", "alice")
	expect := func(want string, args ...string) {
		t.Helper()
		out, warnings, err := command(append(args, "--socket", socket)...)
		if out != want || warnings != "" || err != nil {
			t.Errorf("%v says %q, %v; want:\n%s", args, warnings, err, cmp.Diff(want, out))
		}
	}
	expect("there are no overrides\n", "override", "list")
	expect("there were no overrides\n", "override", "clear", "--all")
	expect("{\n  \"overrides\": []\n}\n", "override", "list", "--json")

	soon, over := time.Now().Add(25*time.Hour+30*time.Minute), admin.DefaultDrain
	b.all = []admin.Override{
		{ID: "o1", OverrideTarget: admin.OverrideTarget{Address: "192.0.2.1", Pool: "test1"}, State: "drain", Phase: "draining, weight 40%", Over: &over,
			Reason: "new kernel", Author: "alice", Since: time.Now().Add(-150 * time.Minute).Add(-30 * time.Second), Expires: &soon, Affects: 1},
		{ID: "o2", OverrideTarget: admin.OverrideTarget{Pool: "test2"}, State: "down", Forced: true, Reason: "not paid", Author: "bob",
			Since: time.Now().Add(-50 * time.Hour).Add(-30 * time.Minute), Affects: 2},
	}
	expect(`OVERRIDE  STATE                 ON                       ADDRESSES  FOR    ENDS       BY     REASON
o1        draining, weight 40%  192.0.2.1 of pool test1  1          2h30m  1d1h left  alice  new kernel
o2        down (with force)     pool test2               2          2d2h   no expiry  bob    not paid
`, "override", "list")
	for _, row := range []struct {
		args []string
		want admin.ClearRequest
	}{
		{[]string{"o17"}, admin.ClearRequest{ID: "o17"}},
		{[]string{"--all"}, admin.ClearRequest{All: true}},
		{[]string{"2001:DB8::1", "--pool", "test1"}, admin.ClearRequest{OverrideTarget: admin.OverrideTarget{Address: "2001:db8::1", Pool: "test1"}}},
		{[]string{"--pool", "test1"}, admin.ClearRequest{OverrideTarget: admin.OverrideTarget{Pool: "test1"}}},
		{[]string{"--instance", "cdn-origin", "--policy", "Global", "--set", "backup"},
			admin.ClearRequest{OverrideTarget: admin.OverrideTarget{Instance: "cdn-origin", Policy: "Global", Set: "backup"}}},
	} {
		expect(`o1: 192.0.2.1 of pool test1 is no longer drained over 1m (by alice, 2h30m ago: new kernel)
o2: pool test2 is no longer forced down (by bob, 2d2h ago: not paid)
`, append([]string{"override", "clear"}, row.args...)...)
		row.want.Author = "alice"
		if b.cleared != row.want {
			t.Errorf("%v asks for %+v, want %+v", row.args, b.cleared, row.want)
		}
	}
	b.err = errors.New("there is no override o17")
	if _, _, err := command("override", "clear", "o17", "--socket", socket); err == nil || err.Error() != "there is no override o17" {
		t.Errorf("error is %v", err)
	}
}

func TestAuthor(t *testing.T) {
	t.Setenv("SUDO_USER", "")
	t.Setenv("USER", "bob")
	for given, want := range map[string]string{"": "bob", "alice": "alice"} {
		if got := authorOr(given); got != want {
			t.Errorf("author %q is %q, want %q", given, got, want)
		}
	}
	t.Setenv("USER", "")
	t.Setenv("LOGNAME", "")
	if authorOr("") == "" {
		t.Error("somebody who is not in the environment has no name")
	}
}
