//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestGuideHealth follows docs/health.md: its toml blocks are one configuration, and its commands do what the page says. Only
// addresses, ports and paths are replaced, so that nothing is probed but this machine; nothing listens there, and the addresses
// that report by themselves are up.
func TestGuideHealth(t *testing.T) {
	const page = "../docs/health.md"
	l := newLab(t, names{access: "origin.gtm.example.com", zone: "gtm.example.com."})
	intoLab := strings.NewReplacer(
		"192.0.2.53:53", l.Resolver, "[2001:db8::53]:53", "[::1]:"+portOf(l.Resolver),
		"192.0.2.", "127.3.2.", "203.0.113.", "127.3.3.", "http://GTMD:8553/", "http://"+l.Admin+"/", "/usr/local/lib/gtmd/check-disk", "/bin/false",
	)
	l.write(t, "gtmd.toml", intoLab.Replace(join(readBlocks(t, page), "toml"))+
		"\n[dns]\nlisten = [\""+l.GTMD+"\"]\n[admin]\nlisten = \""+l.Admin+"\"\nsocket = \""+l.Socket+"\"\n"+
		"[state]\ndir = \""+l.dir+"/state\"\nstartup_wait = \"1s\"\n")
	l.write(t, "push.token", "a secret\n")
	l.startGTMD(t)

	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(l.program, filepath.Join(l.dir, "gtmd")); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "GTMD_SOCKET="+l.Socket, "TOKEN=a secret", "PATH="+l.dir+":"+os.Getenv("PATH"))
	run := func(command string) string {
		t.Helper()
		cmd := exec.Command("sh", "-eu", "-c", command)
		cmd.Dir, cmd.Env = l.dir, env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
		return string(out)
	}
	report := func(want string) {
		t.Helper()
		eventually(t, 5*time.Second, "the address that reports is "+want, func() bool {
			return l.status(t).Pools[0].Addresses[2].Verdict == want
		})
	}
	// What each command leads to. The address that reports by itself is the third of the first pool, whose check is its own;
	// the page's commands name the first one, which has another.
	after := []struct{ begins, says string }{
		{"curl", ""}, {"curl", ""},
		{"gtmd override set down 127.3.2.1", "127.3.2.1 is forced down, until"},
		{"gtmd override set drain --pool shanghai", "pool shanghai is drained over 5m"},
		{"gtmd override set up --instance cdn-origin", "the backup set of policy Global of cdn-origin is forced up"},
		{"gtmd override list", "kernel update"},
		{"gtmd override clear 127.3.2.1", "is no longer forced down"},
	}
	commands := regexp.MustCompile(`(?m)^    ((?:gtmd|curl) .*)$`).FindAllStringSubmatch(string(text), -1)
	if len(commands) != len(after) {
		t.Fatalf("the page has %d commands, this test knows %d", len(commands), len(after))
	}
	for i, m := range commands {
		command := intoLab.Replace(m[1])
		if !strings.HasPrefix(command, after[i].begins) {
			t.Errorf("command %d of the page is %q, this test knows %q there", i, command, after[i].begins)
			continue
		}
		if after[i].begins == "curl" {
			command = strings.Replace(command, "127.3.2.1", "127.3.2.3", 1)
		}
		if strings.Contains(command, "set drain") {
			command += " --force" // nothing listens in this lab, so it would leave nothing
		}
		if out := run(command); !strings.Contains(out, after[i].says) {
			t.Errorf("%s: want %q in:\n%s", command, after[i].says, out)
		}
		if after[i].begins == "curl" {
			report([]string{"up", "down"}[i])
		}
	}
	if reason := l.status(t).Pools[0].Addresses[2].Reason; !strings.Contains(reason, "disk full") {
		t.Errorf("the reason of the address that reports is %q", reason)
	}
}
