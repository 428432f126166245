package node_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"gtmd/admin"
)

// differences writes a difference on one line.
func differences(d admin.Difference) string {
	var all []string
	for _, n := range d.Names {
		text := fmt.Sprintf("%s %s %s %.0f%%", n.Name, n.Type, n.Change, 100*n.ShareIPv4)
		for _, e := range n.Examples {
			text += fmt.Sprintf(" %s %v -> %v", e.Client, e.Before, e.After)
		}
		all = append(all, strings.TrimSpace(text+" "+n.Note))
	}
	return strings.Join(all, "; ")
}

// TestDiffOfARunningNode compares files with what serves, by the present health and overrides, and changes nothing.
func TestDiffOfARunningNode(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	n := s.start(header, pools, instance)
	eventually(t, "up", func() string { return standing(n, 0) })
	third := strings.ReplaceAll(pools, `"$1"`, `"$2"`)
	write := func(parts ...string) string {
		path := s.path("new.toml")
		if err := os.WriteFile(path, []byte(s.text(parts...)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	diff := func(path string) admin.Difference {
		t.Helper()
		d, err := n.Diff(context.Background(), admin.DiffRequest{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	generation := n.Status().Config.Generation

	equal(t, "the file that serves", differences(diff("")), "")
	equal(t, "another file with the same", differences(diff(write(header, pools, instance))), "")

	// While the primary answers, other addresses in the backup change nothing for clients.
	d := diff(write(header, third, instance))
	equal(t, "another backup", differences(d), "")
	equal(t, "other", strings.Join(d.Other, "; "), s.text(`pool "test2": addresses "$2" added; pool "test2": addresses "$1" removed`))

	// With the primary forced down they do: the new address is not known, and counts as available.
	_, err := n.SetOverride(context.Background(), admin.OverrideRequest{
		OverrideTarget: admin.OverrideTarget{Pool: "test1"}, State: "down", Reason: "test", Author: "test"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "with the override", differences(diff(write(header, third, instance))), s.text(`origin.gtm.test. A changed 100% 0.0.0.0/0 [$1] -> [$2]`))

	// The TTL alone.
	d = diff(write(header, pools, strings.ReplaceAll(instance, "ttl = 5", "ttl = 7")))
	equal(t, "TTL", differences(d), `origin.gtm.test. A changed 0% TTL 5 -> 7`)

	// A file that a reload would refuse, since it empties answers.
	offline := strings.NewReplacer(`["$0"]`, `[{ address = "$0", mode = "offline" }]`, `["$1"]`, `[{ address = "$1", mode = "offline" }]`)
	d = diff(write(header, offline.Replace(pools), instance))
	equal(t, "emptied", differences(d), s.text(`origin.gtm.test. A removed 100% 0.0.0.0/0 [$1] -> [(no data)]`))
	if len(d.Warnings) != 3 || !strings.HasPrefix(d.Warnings[2], "a reload would be refused: ") {
		t.Errorf("warnings: %q", d.Warnings)
	}

	_, err = n.Diff(context.Background(), admin.DiffRequest{Path: write("colour = 1\n")})
	contains(t, err, `unknown key "colour"`)
	_, err = n.Diff(context.Background(), admin.DiffRequest{Path: s.path("none.toml")})
	contains(t, err, "no such file")
	_, err = n.Diff(context.Background(), admin.DiffRequest{Path: "gtmd.toml"})
	contains(t, err, `path "gtmd.toml": want an absolute one`)

	equal(t, "generation", n.Status().Config.Generation, generation+1) // of the override
	equal(t, "answer", answer(n, dns.TypeA, ""), s.text("$1"))
	equal(t, "targets", n.TargetCount(), 2)
	equal(t, "error", n.Status().Config.Error, "")
}

// TestReloadDifference: what a reload changes is told with what its first probes have found.
func TestReloadDifference(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	n := s.start(header, pools, instance)
	eventually(t, "up", func() string { return standing(n, 0) })
	s.origins[2].stop()
	reload := func(parts ...string) admin.Difference {
		t.Helper()
		s.write(parts...)
		d, err := n.ReloadDifference(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	equal(t, "the same again", differences(reload(header, pools, instance)), "")
	// The new address is dead, so that the backup answers.
	dead := strings.ReplaceAll(pools, `"$0"`, `"$2"`)
	equal(t, "a dead primary", differences(reload(header, dead, instance)), s.text("origin.gtm.test. A changed 100% 0.0.0.0/0 [$0] -> [$1]"))
	equal(t, "answer", answer(n, dns.TypeA, ""), s.text("$1"))

	s.write("colour = 1\n")
	_, err := n.ReloadDifference(context.Background())
	contains(t, err, `unknown key "colour"`)
}

func TestConfigText(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	secret := "[[health_check]]\nname = \"api\"\nprotocol = \"http\"\nheaders = { X-Token = \"hidden\", Accept = \"*/*\" } # password = hidden\n"
	n := s.start(plainHeader, secret, static, instance)
	text := n.ConfigText()
	equal(t, "files", len(text.Files), 1)
	equal(t, "name", text.Files[0].Name, s.path("gtmd.toml"))
	equal(t, "text", text.Files[0].Text, s.text(plainHeader, strings.NewReplacer(`"hidden"`, `"***"`, "password = hidden", `password = "***"`).Replace(secret), static, instance))
	equal(t, "changed", text.Files[0].Changed, false)
	equal(t, "problems", len(text.Problems), 0)
	equal(t, "generation", text.Generation, 1)

	// A refused reload leaves the text of what serves, and its own problems with their lines.
	served := text.Files[0].Text
	if err := s.reload(n, plainHeader, static, instance, "colour = 1\n", "token = \"hidden\"\n"); err == nil {
		t.Fatal("the reload was not refused")
	}
	text = n.ConfigText()
	equal(t, "text", text.Files[0].Text, served)
	equal(t, "changed", text.Files[0].Changed, true)
	var problems []string
	for _, p := range text.Problems {
		message, _, _ := strings.Cut(p.Message, ":")
		problems = append(problems, p.Text+": "+message)
	}
	equal(t, "problems", strings.Join(problems, "\n"), "colour = 1: unknown key \"colour\" in [[instance.policy]] \"Global\" of [[instance]] \"cdn-origin\"\n"+
		"token = \"***\": unknown key \"token\" in [[instance.policy]] \"Global\" of [[instance]] \"cdn-origin\"")
	if text.Error == "" || text.Refused == nil {
		t.Errorf("the status is %v", text.ConfigStatus)
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	n := s.start(plainHeader, static, instance, `
[[instance.policy]]
name = "Office"
sources = ["office"]
primary = { pools = ["test2"] }
[[geo.line]]
name = "office"
prefixes = ["198.51.100.0/24"]
`)
	var all []string
	for _, source := range n.Sources() {
		text := fmt.Sprintf("%s (%s) %v:", source.Source, source.Name, source.Prefixes)
		for _, u := range source.Uses {
			text += fmt.Sprintf(" %s/%s %s: %s, %s", u.Instance, u.Policy, u.Family, u.InForce, u.Why)
		}
		all = append(all, text)
	}
	equal(t, "sources", strings.Join(all, "\n"), "global (Global) []: cdn-origin/Global ipv4: primary, normal\n"+
		"office () [198.51.100.0/24]: cdn-origin/Office ipv4: primary, normal")
}
